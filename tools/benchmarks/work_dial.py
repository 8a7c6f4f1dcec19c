"""Handshakes with certificates over TCP between two processes, and the memory of a thousand idle channels."""

import gc
import os
from statistics import median

import trio

from nzcore.proto.identity.address import Address
from nzcore.proto.identity.node_keys import NodeKeys
from tools.benchmarks.cpu import Stopwatch
from tools.benchmarks.handshake_ours import Side, dialling, resident_kib

TASKS = 16  # handshakes under way at once in `concurrent`
WARM_UP = 50
SETTLE_S = 0.5  # for the other side to open its ends


def concurrent(count: int = 1_000) -> dict[str, float]:
    """`TASKS` at a time: handshakes a second (`per_s`), each counted when both sides have finished, and `cpu_us`, both
    processes' CPU for one."""

    async def main() -> dict[str, float]:
        async with dialling("meet") as (alice, address, bob, server):
            await _dial_many(alice, address, bob, WARM_UP)
            watch = Stopwatch(server)
            await _dial_many(alice, address, bob, count)
            wall, cpu = watch.read()
            return {"per_s": count / wall, "cpu_us": cpu / count * 1e6}

    return trio.run(main)


def single(count: int = 400) -> dict[str, float]:
    """One at a time: `per_s` by the median time from the dial until the dialler may send, as whoever waits for it sees
    it; `whole_per_s` by all the time until the other side has finished too; `cpu_us` for one, of both."""

    async def main() -> dict[str, float]:
        async with dialling("meet") as (alice, address, bob, server):
            for _ in range(WARM_UP):
                await alice.shake_hands(address, bob)
            watch = Stopwatch(server)
            times = [await alice.shake_hands(address, bob) for _ in range(count)]
            wall, cpu = watch.read()
            return {"per_s": 1 / median(times), "whole_per_s": count / wall, "cpu_us": cpu / count * 1e6}

    return trio.run(main)


def idle_memory(count: int = 1_000) -> dict[str, float]:
    """Resident memory in KiB by which one idle channel makes a process grow: `dialled` and `served`, and `kib`, the
    larger. Everything counts: sockets' tasks, OpenSSL's keys, what the handshakes left behind."""

    async def main() -> dict[str, float]:
        async with dialling("keep") as (alice, address, bob, server):
            kept = [await alice.open_link(address, bob) for _ in range(WARM_UP)]
            gc.collect()
            before = [resident_kib(pid) for pid in (os.getpid(), server)]
            kept += [await alice.open_link(address, bob) for _ in range(count)]
            await trio.sleep(SETTLE_S)
            gc.collect()
            after = [resident_kib(pid) for pid in (os.getpid(), server)]
            assert not any(link.is_over for link in kept), "an idle channel was not open"
            dialled, served = ((late - early) / count for late, early in zip(after, before, strict=True))
            return {"dialled": dialled, "served": served, "kib": max(dialled, served)}

    return trio.run(main)


async def _dial_many(alice: Side, address: Address, bob: NodeKeys, count: int) -> None:
    left = count

    async def dial() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await alice.shake_hands(address, bob)

    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(dial)
