"""The fabric between two processes over TCP loopback, beside pyzmq PUB/SUB with CURVE and the channel underneath."""

import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from nzcore.net.link import Link
from nzcore.node.fabric.fabric import Fabric
from tools.benchmarks import peers
from tools.benchmarks.channel_ours import MESSAGE
from tools.benchmarks.fabric_ours import NODES, connected

REQUEST = 32
WARM_UP = 500
ZMQ = Path(__file__).with_name("peer_zmq_pubsub.py")


def publish(count: int = 400_000) -> dict[str, float]:
    """Publications of 100 bytes: `per_s`, until the last was handled at the other side; `cpu_us` of both processes."""

    async def work(fabric: Fabric, link: Link) -> dict[str, float]:
        await _publish(fabric, count // 10)
        begun, cpu = time.perf_counter(), time.process_time()
        theirs = await _publish(fabric, count)
        spent, cpu = time.perf_counter() - begun, time.process_time() - cpu + theirs
        return {"per_s": count / spent, "cpu_us": cpu / count * 1e6}

    return _run(work)


def request_reply(count: int = 4_000) -> dict[str, float]:
    """32 bytes there and back: `p50_us` between services, `channel_p50_us` on a stream of the same channel, `ratio`.

    Both in turn, a few at a time, so that whatever else the machine does troubles both.
    """

    async def work(fabric: Fabric, link: Link) -> dict[str, float]:
        ours: list[float] = []
        theirs: list[float] = []
        request = bytes(REQUEST)
        async with await link.open_stream("/echo") as stream:

            async def on_stream() -> None:
                await stream.send_all(request)
                await stream.receive_some()

            async def by_service() -> None:
                await fabric.request(NODES[1], "bench.echo", request, deadline_s=20)

            for number in range((WARM_UP + count) // 100):
                for call, times in ((on_stream, theirs), (by_service, ours)):
                    fresh = await _times(call, 100)
                    if number >= WARM_UP // 100:
                        times += fresh
        p50, channel = statistics.median(ours), statistics.median(theirs)
        return {"p50_us": p50, "channel_p50_us": channel, "ratio": p50 / channel}

    return _run(work)


def zmq(work: str = "publish") -> dict[str, float]:
    """`publish` by pyzmq PUB/SUB with CURVE, handlers in Python on both sides. *Raises* PeerMissing."""
    return peers.run(ZMQ, work)


async def _publish(fabric: Fabric, count: int) -> float:
    """Publishes and waits until all were heard; CPU seconds of the other side meanwhile."""
    body = bytes(MESSAGE)
    await fabric.request(NODES[1], "bench.heard", 0, deadline_s=20)
    for _ in range(count):
        await fabric.publish("bench.topic", body)
    heard: Any = await fabric.request(NODES[1], "bench.heard", count, deadline_s=60)
    assert heard[0] == count, f"{count - heard[0]} publications were lost"
    return float(heard[1])


async def _times(call: Callable[[], Awaitable[None]], count: int) -> list[float]:
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        await call()
        times.append((time.perf_counter() - begun) * 1e6)
    return times


def _run(work: Callable[[Fabric, Link], Awaitable[dict[str, float]]]) -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with connected() as (fabric, link):
            return await work(fabric, link)

    return trio.run(main)
