"""Calls straight into a connection's thread: cancelling, a disk that hangs, a bridge that ends."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from nzcore.base.errors import NzError, UnavailableError
from nzcore.crypto.secrets import StoreKey
from nzcore.store import connection as connection_module
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.connection import DirectCalls
from nzcore.store.database import Database

KEY = StoreKey(bytes(range(32)))


class Block:
    """A call that stands in the thread until it is let go."""

    def __init__(self) -> None:
        self.stuck, self.release = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.stuck.set()
        self.release.wait()
        return "late"


@pytest.fixture
async def bridge() -> AsyncIterator[AsyncioBridge]:
    async with AsyncioBridge() as bridge:
        yield bridge


@pytest.fixture
async def calls(bridge: AsyncioBridge, tmp_path: Path) -> AsyncIterator[DirectCalls]:
    async with Database(tmp_path / "store.db", KEY, bridge) as kv:
        yield kv._writing


async def test_a_call_runs_in_the_thread_and_its_errors_climb_here(calls: DirectCalls) -> None:
    assert await calls.call(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await calls.call(lambda: 1 // 0)
    assert await calls.call(int, "7") == 7


async def test_a_cancelled_call_is_carried_out_unseen(calls: DirectCalls) -> None:
    block, done = Block(), list[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.call, block)
        nursery.start_soon(calls.call, done.append, 1)
        await trio.to_thread.run_sync(block.stuck.wait)
        nursery.cancel_scope.cancel()
    block.release.set()
    assert await calls.call(len, done) == 1


async def test_callers_of_a_hung_disk_are_told_each_after_their_own_patience_and_late_answers_go_nowhere(
    calls: DirectCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, codes = Block(), []

    async def one(fn: Block | type[int]) -> None:
        with pytest.raises(UnavailableError) as caught:
            await calls.call(fn)
        codes.append(caught.value.code)

    monkeypatch.setattr(connection_module, "DISK_S", 0.05)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, block)
        await trio.to_thread.run_sync(block.stuck.wait)
        nursery.start_soon(one, int)  # comes while the alarm of the first is set
    assert codes == ["store.disk-hangs"] * 2
    monkeypatch.undo()
    block.release.set()
    assert await calls.call(int, "7") == 7


async def test_when_the_bridge_ends_whoever_waits_and_whoever_comes_is_told(
    calls: DirectCalls, bridge: AsyncioBridge
) -> None:
    async def die() -> None:
        raise SystemExit

    block, codes = Block(), []

    async def one() -> None:
        with pytest.raises(UnavailableError) as caught:
            await calls.call(block)
        codes.append(caught.value.code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        await trio.to_thread.run_sync(block.stuck.wait)
        with pytest.raises(NzError):
            await bridge.run(die)
    block.release.set()
    with pytest.raises(UnavailableError) as caught:
        await calls.call(int)
    assert [*codes, caught.value.code] == ["store.bridge-down"] * 2
