"""A channel over TCP loopback between two processes, beside pyzmq with CURVE and a bare Trio echo."""

import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from nzcore.net.link import Link
from tools.benchmarks import peers
from tools.benchmarks.channel_ours import MESSAGE, ROOT, ask, connected
from tools.benchmarks.cpu import Stopwatch

BULK = 65_536  # bytes of one write
REQUEST = 32
WARM_UP = 500  # requests before the clock starts
ZMQ, LIBP2P = (Path(__file__).with_name(name) for name in ("peer_zmq.py", "peer_libp2p.py"))


def bulk(megabytes: int = 512) -> dict[str, float]:
    """One stream, 64 KiB writes: `mb_s`, and `cpu_s_gb`, both processes' CPU seconds for a gigabyte."""

    async def work(link: Link, server: int) -> dict[str, float]:
        count = megabytes * 1_000_000 // BULK
        await ask(link, "/count", bytes(BULK), count // 16)
        watch = Stopwatch(server)
        assert await ask(link, "/count", bytes(BULK), count) == count * BULK
        wall, cpu = watch.read()
        return {"mb_s": count * BULK / 1e6 / wall, "cpu_s_gb": cpu / (count * BULK / 1e9)}

    return _run(work)


def request_reply(count: int = 5_000) -> dict[str, float]:
    """32 bytes there and back: `p50_us`, `p99_us`, and `cpu_us`, both processes' CPU for one."""

    async def work(link: Link, server: int) -> dict[str, float]:
        async with await link.open_stream("/echo") as stream:
            return await _times(stream, count, server)

    return _run(work)


def messages(count: int = 1_000_000) -> dict[str, float]:
    """100-byte messages, one `send_all` each: `per_s`, cut out again on the other side; `cpu_us` for one."""

    async def work(link: Link, server: int) -> dict[str, float]:
        await ask(link, "/messages", bytes(MESSAGE), count // 10)
        watch = Stopwatch(server)
        assert await ask(link, "/messages", bytes(MESSAGE), count) == count
        wall, cpu = watch.read()
        return {"per_s": count / wall, "cpu_us": cpu / count * 1e6}

    return _run(work)


def stalled_neighbour(turns: int = 5, count: int = 600) -> dict[str, float]:
    """Request/reply p50 in µs `alone` and `beside` a stream of the same channel whose reader never reads.

    Medians over turns: both in each of them, so that what disturbs the machine disturbs both.
    """

    async def work(link: Link, server: int) -> dict[str, float]:
        found: dict[str, list[float]] = {"alone": [], "beside": []}
        async with await link.open_stream("/echo") as stream:
            for _ in range(turns):
                found["alone"].append((await _times(stream, count, server))["p50_us"])
                stalled = await link.open_stream("/stall")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stalled.send_all, bytes(8 << 20))
                    found["beside"].append((await _times(stream, count, server))["p50_us"])
                    nursery.cancel_scope.cancel()
                stalled.reset()
        return {name: statistics.median(times) for name, times in found.items()}

    return _run(work)


def zmq(work: str) -> dict[str, float]:
    """`bulk`, `request_reply`, `request_reply_async` or `messages` by pyzmq with CURVE, under the names of our figures.

    *Raises* PeerMissing.
    """
    return peers.run(ZMQ, work)


def libp2p() -> dict[str, float]:
    """`bulk` by py-libp2p. *Raises* PeerMissing."""
    return peers.run(LIBP2P)


def bare_echo(count: int = 5_000) -> dict[str, float]:
    """`request_reply` by plain Trio TCP streams, nothing encrypted."""
    command = [sys.executable, "-m", "tools.benchmarks.work_channel"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())

        async def work() -> dict[str, float]:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                return await _times(stream, count, server.pid)

        return trio.run(work)


def _run(work: Callable[[Link, int], Awaitable[dict[str, float]]]) -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with connected() as (link, server):
            return await work(link, server)

    return trio.run(main)


async def _times(stream: trio.abc.Stream, count: int, server: int) -> dict[str, float]:
    request, times = bytes(REQUEST), []
    for _ in range(WARM_UP):
        await stream.send_all(request)
        await stream.receive_some()
    watch = Stopwatch(server)
    for _ in range(count):
        begun = time.perf_counter()
        await stream.send_all(request)
        await stream.receive_some()
        times.append((time.perf_counter() - begun) * 1e6)
    _, cpu = watch.read()
    return {
        "p50_us": statistics.median(times),
        "p99_us": statistics.quantiles(times, n=100)[-1],
        "cpu_us": cpu / count * 1e6,
    }


async def _serve_bare() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    print(listener.socket.getsockname()[1], flush=True)
    async with await listener.accept() as stream:
        while data := await stream.receive_some():
            await stream.send_all(data)


if __name__ == "__main__":
    trio.run(_serve_bare)
