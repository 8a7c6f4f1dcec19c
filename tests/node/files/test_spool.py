"""The spool: blocks and steps in their order, handed over in as few errands as they allow."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.node.files import spool as spool_module
from nzcore.node.files.errands import Errands
from nzcore.node.files.spool import Spool
from nzcore.node.offload import in_thread, inline

BLOCK = 8


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(spool_module, "QUEUE_BYTES", 4 * BLOCK)
    monkeypatch.setattr(spool_module, "QUEUE_STEPS", 10)


class Disk:
    """Does what it is told when it may, and keeps it as text."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.came = 0
        self.may = trio.Event()
        self.spool = Spool(self._offload, self._write, self._count)

    def say(self, word: str) -> None:
        self.spool.do(self.done.append, word)

    def _write(self, view: memoryview) -> None:
        self.done.append(bytes(view).decode())

    def _count(self, size: int) -> None:
        self.came += size

    async def _offload(self, function: Callable[..., Any], /, *args: Any) -> Any:
        await self.may.wait()
        return await inline(function, *args)


async def test_content_and_steps_are_done_in_their_order_whatever_the_cuts(autojump_clock: MockClock) -> None:
    disk = Disk()
    disk.may.set()
    disk.say("start")
    for piece in ("abc", "defghijklmnopqrstuvw", "x"):
        disk.spool.add(piece.encode())
    disk.say("end")
    disk.spool.add(b"yz")
    disk.spool.complete()
    await disk.spool.run()  # all came before it began
    assert disk.done == ["start", "abcdefgh", "ijklmnop", "qrstuvwx", "end", "yz"]
    assert disk.came == 26


async def test_small_steps_of_one_turn_are_one_errand_and_a_full_block_waits_for_no_turn(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[object] = []
    monkeypatch.setattr(Errands, "put", lambda _, errand: put.append(errand))
    disk = Disk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(disk.spool.run)
        for number in range(3):
            disk.say(f"start {number}")
            disk.spool.add(b"ab")
        assert len(put) == 0
        await wait_all_tasks_blocked()
        assert len(put) == 1
        disk.spool.add(b"c" * BLOCK)
        assert len(put) == 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_what_was_written_is_counted_however_it_ends(end: str, autojump_clock: MockClock) -> None:
    disk = Disk()
    disk.may.set()
    with suppress(ExceptionGroup):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disk.spool.run)
            disk.spool.add(b"x" * BLOCK * 3)
            await wait_all_tasks_blocked()
            assert disk.done == ["x" * BLOCK] * 3
            if end == "failed":
                disk.spool.do(disk.done.remove, "never there")
                await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert disk.came == 3 * BLOCK


@pytest.mark.parametrize("what", ["bytes", "steps"])
async def test_a_full_spool_has_room_again_when_half_of_it_is_done(what: str, autojump_clock: MockClock) -> None:
    disk = Disk()
    spool = disk.spool
    add = partial(spool.add, b"x" * BLOCK) if what == "bytes" else partial(disk.say, "step")
    count, begun = 0, trio.current_time()
    while not spool.is_full:
        add()
        count += 1
    assert count == (4 if what == "bytes" else 11)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        with trio.move_on_after(60):
            await spool.room()
        assert trio.current_time() >= begun + 60
        disk.may.set()
        await spool.room()
        assert not spool.is_full
        assert len(disk.done) >= count // 2
        spool.complete()
    assert len(disk.done) == count


async def test_a_single_block_that_is_done_is_not_room_enough() -> None:
    written: list[int] = []
    may = threading.Semaphore(0)

    def write(view: memoryview) -> None:
        may.acquire()
        written.append(len(view))

    spool, has_room = Spool(in_thread, write, lambda _: None), trio.Event()

    async def wait_for_room() -> None:
        await spool.room()
        has_room.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        while not spool.is_full:
            spool.add(b"x" * BLOCK)
        nursery.start_soon(wait_for_room)
        may.release()
        while not written:
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked(0.01)
        was_early = has_room.is_set()
        may.release(3)
        await has_room.wait()
        assert not was_early
        spool.complete()


async def test_blocks_are_used_again(autojump_clock: MockClock) -> None:
    blocks: list[object] = []

    def write(view: memoryview) -> None:
        if not any(block is view.obj for block in blocks):
            blocks.append(view.obj)

    spool = Spool(inline, write, lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        for _ in range(50):
            spool.add(b"x" * BLOCK)
            if spool.is_full:
                await spool.room()
        spool.complete()
    assert len(blocks) <= 5
