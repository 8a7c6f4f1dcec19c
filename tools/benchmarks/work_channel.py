"""A channel over TCP loopback between two processes, beside pyzmq with CURVE and a bare Trio echo."""

import gc
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio

from nzcore.base.ids import NodeId
from nzcore.net.link import Flusher, Link
from nzcore.net.wire import Buffer, WireUser
from tools.benchmarks import peers
from tools.benchmarks.channel_ours import MESSAGE, ROOT, User, ask, connected, machine

BULK = 65_536  # bytes of one write
REQUEST = 32
WARM_UP = 500  # requests before the clock starts
ZMQ = Path(__file__).with_name("peer_zmq.py")


def bulk(megabytes: int = 512) -> dict[str, float]:
    """One stream, 64 KiB writes: `mb_s`, and `cpu_s_gb`, this process's CPU seconds for a gigabyte."""

    async def work(link: Link) -> dict[str, float]:
        count = megabytes * 1_000_000 // BULK
        await ask(link, "/count", bytes(BULK), count // 16)
        begun, cpu = time.perf_counter(), time.process_time()
        assert await ask(link, "/count", bytes(BULK), count) == count * BULK
        spent, cpu = time.perf_counter() - begun, time.process_time() - cpu
        return {"mb_s": count * BULK / 1e6 / spent, "cpu_s_gb": cpu / (count * BULK / 1e9)}

    return _run(work)


def request_reply(count: int = 5_000) -> dict[str, float]:
    """32 bytes there and back: `p50_us`, `p99_us`, and `cpu_us`, this process's CPU for one."""

    async def work(link: Link) -> dict[str, float]:
        async with await link.open_stream("/echo") as stream:
            return await _times(stream, count)

    return _run(work)


def messages(count: int = 1_000_000) -> dict[str, float]:
    """100-byte messages, one `send_all` each: `per_s`, cut out again on the other side."""

    async def work(link: Link) -> dict[str, float]:
        await ask(link, "/messages", bytes(MESSAGE), count // 10)
        begun = time.perf_counter()
        assert await ask(link, "/messages", bytes(MESSAGE), count) == count
        return {"per_s": count / (time.perf_counter() - begun)}

    return _run(work)


def idle_memory(count: int = 1_000) -> dict[str, float]:
    """Python memory of one open, greeted channel with nothing to do, its wire left out, in KiB: `kib`."""
    return {"kib": trio.run(_idle, count)}


def stalled_neighbour(count: int = 3_000) -> dict[str, float]:
    """Request/reply p50 in µs `alone` and `beside` a stream of the same channel whose reader never reads."""

    async def work(link: Link) -> dict[str, float]:
        async with await link.open_stream("/echo") as stream:
            alone = (await _times(stream, count))["p50_us"]
            stalled = await link.open_stream("/stall")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stalled.send_all, bytes(8 << 20))
                beside = (await _times(stream, count))["p50_us"]
                nursery.cancel_scope.cancel()
        return {"alone": alone, "beside": beside}

    return _run(work)


def zmq(work: str) -> dict[str, float]:
    """`bulk`, `request_reply`, `request_reply_async` or `messages` by pyzmq with CURVE, under the names of our figures.

    *Raises* PeerMissing.
    """
    return peers.run(ZMQ, work)


def bare_echo(count: int = 5_000) -> dict[str, float]:
    """`request_reply` by plain Trio TCP streams, nothing encrypted."""
    command = [sys.executable, "-m", "tools.benchmarks.work_channel"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())

        async def work() -> dict[str, float]:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                return await _times(stream, count)

        return trio.run(work)


def _run(work: Callable[[Link], Awaitable[dict[str, float]]]) -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with connected() as link:
            return await work(link)

    return trio.run(main)


async def _times(stream: trio.abc.Stream, count: int) -> dict[str, float]:
    request, times = bytes(REQUEST), []
    for _ in range(WARM_UP):
        await stream.send_all(request)
        await stream.receive_some()
    cpu = time.process_time()
    for _ in range(count):
        begun = time.perf_counter()
        await stream.send_all(request)
        await stream.receive_some()
        times.append((time.perf_counter() - begun) * 1e6)
    cpu = time.process_time() - cpu
    return {
        "p50_us": statistics.median(times),
        "p99_us": statistics.quantiles(times, n=100)[-1],
        "cpu_us": cpu / count * 1e6,
    }


class _Pipe:
    """Half of a pair of wires in memory: what one sends, the other has at once."""

    remote = "memory"

    def __init__(self) -> None:
        self.other: _Pipe | None = None
        self._user: WireUser | None = None
        self._early = b""

    def attach(self, user: WireUser) -> None:
        self._user = user
        early, self._early = self._early, b""
        if early:
            user.on_bytes(memoryview(early))

    def send(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        assert self.other is not None
        data = b"".join(buffers)
        if self.other._user is None:
            self.other._early += data
        else:
            self.other._user.on_bytes(memoryview(data))
        return []

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def close(self, *, abort: bool = False, rest: Sequence[Buffer] = ()) -> None:
        pass


async def _idle(count: int) -> float:
    """Both ends live here, so a channel is half of a pair."""
    async with trio.open_nursery() as nursery:
        flusher, user = Flusher(), User(nursery)
        kept: list[Link] = []
        gc.collect()
        tracemalloc.start()
        for _ in range(count // 2):
            pipes = _Pipe(), _Pipe()
            pipes[0].other, pipes[1].other = pipes[1], pipes[0]
            pair = [Link(NodeId(bytes(32)), machine(initiator=not i), pipes[i], user, flusher) for i in (0, 1)]
            for link in pair:
                link.start()
            kept += pair
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert all(link.statistics().bytes_in for link in kept), "an idle channel was not open"
        return held / len(kept) / 1024


async def _serve_bare() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    print(listener.socket.getsockname()[1], flush=True)
    async with await listener.accept() as stream:
        while data := await stream.receive_some():
            await stream.send_all(data)


if __name__ == "__main__":
    trio.run(_serve_bare)
