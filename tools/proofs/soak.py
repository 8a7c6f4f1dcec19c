"""`tools/prove soak`: nodes that connect, talk and part thousands of times grow by nothing.

Each round is a full connect over real loopback sockets, one request and its reply, and a close, in turn by either
side. Tasks, descriptors and tables must be at the end what they were after the first rounds, and memory almost.
"""

import gc
import os
import tracemalloc
from pathlib import Path

import trio
import trio.testing

from nzcore.base.scopes import Scope
from nzcore.net.requests import answering
from nzcore.node.config import Config, Door
from nzcore.testing.loopback import LoopbackWorld
from nzcore.testing.world import WorldNode
from tools.proofs.report import Report

CONNECTS = 10_000
WARM = 50
"""Rounds until caches and allocators have grown as they will, at least; a tenth of all otherwise."""

GROWTH_BYTES = 1 << 20
"""What memory may grow by, however many rounds there were: in 10,000, a hundred bytes a round would show."""

DESCRIPTORS = Path("/proc/self/fd")


def prove(count: int = CONNECTS) -> list[Report]:
    """One report. A door wide open: thousands of connects from one address are what it is there to slow down."""
    try:
        return [Report("soak", True, trio.run(_soak, count))]
    except AssertionError as broken:
        return [Report("soak", False, {"error": str(broken)})]


async def _soak(count: int) -> dict[str, object]:
    config = Config(door=Door(max_half_open=1024, per_network=1024, rate_per_s=1e6, burst=1e6))
    async with LoopbackWorld(1, remember=100) as world:
        alice, bob = await world.add("alice", config=config), await world.add("bob", config=config)
        for node in (alice, bob):
            node.node.channels.serve("/soak/1", answering(lambda peer, request: request), Scope.MESSAGE)
        await world.introduce(alice, bob)
        for one, other in ((alice, bob), (bob, alice)):
            one.node.channels.release(other.id)
        warm = max(WARM, count // 10)
        await _rounds(alice, bob, warm)
        tracemalloc.start()
        try:
            await _rounds(alice, bob, WARM)
            before = await _census(alice, bob)
            await _rounds(alice, bob, count)
            after = await _census(alice, bob)
        finally:
            tracemalloc.stop()
    grown = after.pop("bytes") - before.pop("bytes")
    assert after == before, f"{before} became {after}"
    assert grown < GROWTH_BYTES, f"memory grew by {grown:,} bytes in {count:,} connects"
    return {"connects": count, "grown_bytes": grown, **after}


async def _rounds(alice: WorldNode, bob: WorldNode, count: int) -> None:
    for number in range(count):
        one, other = (alice, bob) if number % 2 else (bob, alice)
        channel = await one.node.channels.connect(other.id)
        assert await one.node.channels.call(other.id, "/soak/1", b"still here?") == b"still here?"
        channel.link.close()
        while other.node.channels.links.get(one.id) is not None:
            await other.node.channels.links.wait_change()


async def _census(alice: WorldNode, bob: WorldNode) -> dict[str, int]:
    """What there is when everything has come to rest."""
    await trio.testing.wait_all_tasks_blocked(0.2)
    gc.collect()
    return {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "descriptors": _descriptors(),
        "links": len(alice.node.channels.links) + len(bob.node.channels.links),
        "bytes": tracemalloc.get_traced_memory()[0],
    }


def _descriptors() -> int:
    """How many this process has open; 0 where the system does not say."""
    return len(os.listdir(DESCRIPTORS)) if DESCRIPTORS.is_dir() else 0
