"""The list of what is measured, with its goals."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path

from tools.benchmarks import (
    node,
    work_bus,
    work_channel,
    work_dial,
    work_fabric,
    work_files,
    work_ipc,
    work_store,
)
from tools.benchmarks.row import Better, Figure, Measure, Work

IDLE_KIB = 32.0


@contextmanager
def works() -> Iterator[list[Work]]:
    """All works; the node that some of them need is started at the first of these and stopped at the end."""
    with ExitStack() as stack:

        @cache
        def home() -> Path:
            return stack.enter_context(node.running())

        yield [
            Work("bus", "events/s", "higher", 1, "floor", lambda: work_bus.measure()["one"], floor(1_000_000)),
            _of_one("cli-state", "ms", "lower", 6, "python -c pass", lambda: node.command_ms(home()), "state pass"),
            Work("ready", "s", "lower", 1, "goal", node.seconds_to_ready, floor(1.0)),
            *_store(),
            Work("ipc", "requests/s", "higher", 1, "floor", lambda: work_ipc.measure()["sequential"], floor(5_000)),
            *_channel(),
            *_handshake(),
            *_fabric(),
            *_files(),
        ]


def _store() -> list[Work]:
    """Ours and the peer's run one after the other on the same disk."""

    def work(name: str, goal: float, peer: str, names: str) -> Work:
        return _of_one(name, "/s", "higher", goal, peer, work_store.measure, names)

    return [
        work("store-put", 0.5, "sqlite3, commits of 100", "put plain"),
        work("store-put-single", 10, "sqlite3, commits of 1", "put plain_single"),
        work("store-get", 3, "one call at a time", "get get_single"),
    ]


def _channel() -> list[Work]:
    """Two processes over TCP loopback, in every row on both sides."""
    channel = work_channel

    def work(name: str, better: Better, goal: float, peer: str, ours: Measure, theirs: Measure) -> Work:
        unit, cpu_unit = _UNITS[name.partition("-")[0]]
        return Work(f"channel-{name}", unit, better, goal, peer, ours, theirs, cpu_unit)

    bulk = _figure(channel.bulk, "mb_s", "cpu_s_gb")
    request = _figure(channel.request_reply, "p50_us", "cpu_us")
    messages = _figure(channel.messages, "per_s", "cpu_us")
    zmq_messages = _figure(partial(channel.zmq, "messages"), "per_s", "cpu_us")

    def zmq_request(kind: str) -> Measure:
        return _figure(partial(channel.zmq, kind), "p50_us", "cpu_us")

    return [
        work("bulk", "higher", 1.2, "pyzmq CURVE", bulk, _figure(partial(channel.zmq, "bulk"), "mb_s", "cpu_s_gb")),
        work("bulk-libp2p", "higher", 5, "py-libp2p", bulk, _figure(channel.libp2p, "mb_s", "cpu_s_gb")),
        work("request", "lower", 1.1, "pyzmq CURVE, blocking", request, zmq_request("request_reply")),
        work("request-async", "lower", 1.1, "pyzmq CURVE, asyncio", request, zmq_request("request_reply_async")),
        work("request-bare", "lower", 1.45, "bare Trio echo", request, _figure(channel.bare_echo, "p50_us", "cpu_us")),
        work("messages", "higher", 2, "pyzmq CURVE", messages, zmq_messages),
        _of_one(
            "channel-stalled", "µs p50", "lower", 1.2, "no stalled stream", channel.stalled_neighbour, "beside alone"
        ),
        Work("channel-idle", "KiB", "lower", 1, "limit", lambda: work_dial.idle_memory()["kib"], floor(IDLE_KIB)),
    ]


def _files() -> list[Work]:
    """One file of 1 GiB between two nodes, read, hashed on both sides and written, beside the bare bulk stream, which
    does none of that, and beside two processes that do the same and nothing else."""
    ours = _figure(work_files.measure, "mb_s", "cpu_s_gb")
    bulk, bare = (_figure(one, "mb_s", "cpu_s_gb") for one in (work_channel.bulk, work_files.bare))
    return [
        Work("files-send", "MB/s", "higher", 0.5, "channel-bulk", ours, bulk, "s/GB"),
        Work("files-send-bare", "MB/s", "higher", 0.7, "the primitives alone", ours, bare, "s/GB"),
    ]


def _handshake() -> list[Work]:
    """Two processes over TCP, beside the bare cryptography of a handshake in memory on one core."""

    def work(name: str, goal: float, measure: Callable[[], dict[str, float]]) -> Work:
        return _of_one(name, "/s", "higher", goal, "bare cryptography", measure, "per_s bare_per_s cpu_us", "µs")

    return [work("handshake", 0.8, work_dial.concurrent), work("handshake-single", 0.5, work_dial.single)]


def _fabric() -> list[Work]:
    """Two processes over TCP loopback, handlers in Python on both sides of both."""
    ours, theirs = (_figure(one, "per_s", "cpu_us") for one in (work_fabric.publish, work_fabric.zmq))
    request = _of_one(
        "fabric-request",
        "µs p50",
        "lower",
        1.6,
        "the channel's own",
        work_fabric.request_reply,
        "p50_us channel_p50_us",
    )
    publish = Work("fabric-publish", "messages/s", "higher", 0.8, "pyzmq CURVE PUB/SUB", ours, theirs, "µs")
    return [publish, request]


_UNITS = {"bulk": ("MB/s", "s/GB"), "request": ("µs p50", "µs"), "messages": ("messages/s", "µs")}


def _figure(measure: Callable[[], dict[str, float]], value: str, cpu: str) -> Measure:
    def figure() -> Figure:
        figures = measure()
        return Figure(figures[value], figures[cpu])

    return figure


def _of_one(
    name: str,
    unit: str,
    better: Better,
    goal: float,
    peer: str,
    measure: Callable[[], dict[str, float]],
    names: str,
    cpu_unit: str = "",
) -> Work:
    """Ours and the peer's come from one measurement; `names` are theirs in it, in this order, and that of our CPU."""
    ours, theirs, *cpu = names.split()
    latest: dict[str, float] = {}

    def first() -> float | Figure:
        latest.update(measure())
        return Figure(latest[ours], latest[cpu[0]]) if cpu else latest[ours]

    return Work(name, unit, better, goal, peer, first, lambda: latest[theirs], cpu_unit)


def floor(figure: float) -> Callable[[], float]:
    """A peer that always gives the figure of the goal itself."""
    return lambda: figure
