"""Handshakes with certificates over TCP between two processes, and the memory of a thousand idle channels."""

import gc
import os
import time
from collections.abc import Awaitable, Callable
from statistics import median

import trio

from nzcore.proto.identity.address import Address
from nzcore.proto.identity.node_keys import NodeKeys
from tools.benchmarks.cpu import Stopwatch
from tools.benchmarks.handshake_ours import Side, dialling, resident_kib
from tools.benchmarks.work_handshake import measure_bare

TASKS = 16  # handshakes under way at once in `concurrent`
WINDOWS = 15
BARE = 80
WARM_UP = 50
SETTLE_S = 0.5  # for the other side to open its ends


def concurrent(count: int = 120) -> dict[str, float]:
    """`TASKS` at a time, each counted when both sides have finished."""

    async def dial(alice: Side, address: Address, bob: NodeKeys) -> float:
        begun = time.perf_counter()
        await _dial_many(alice, address, bob, count)
        return count / (time.perf_counter() - begun)

    return _in_windows(dial, count)


def single(count: int = 60) -> dict[str, float]:
    """One at a time, by the median time from the dial until the dialler may send, as whoever waits for it sees it."""

    async def dial(alice: Side, address: Address, bob: NodeKeys) -> float:
        return 1 / median([await alice.shake_hands(address, bob) for _ in range(count)])

    return _in_windows(dial, count)


def _in_windows(dial: Callable[[Side, Address, NodeKeys], Awaitable[float]], count: int) -> dict[str, float]:
    """Handshakes a second (`per_s`), the bare cryptography's (`bare_per_s`), and both processes' CPU for one handshake
    (`cpu_us`).

    Medians of `WINDOWS` windows of a tenth of a second, ours and bare in turn: what else a machine does comes and goes
    within less than a whole measurement, and slows Python down more than the primitives. `dial` makes `count`
    handshakes and says how many a second.
    """

    async def main() -> dict[str, float]:
        async with dialling("meet") as (alice, address, bob, server):
            await _dial_many(alice, address, bob, WARM_UP)
            ours, bare, cpus = [], [], []
            for _ in range(WINDOWS):
                watch = Stopwatch(server)
                ours.append(await dial(alice, address, bob))
                cpus.append(watch.read()[1] / count * 1e6)
                bare.append(measure_bare(BARE))
            return {"per_s": median(ours), "bare_per_s": median(bare), "cpu_us": median(cpus)}

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
