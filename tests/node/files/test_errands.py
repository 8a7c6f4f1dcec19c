"""Errands: done in order by one thread that stays while more comes, and goes back."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.node.files import errands as errands_module
from nzcore.node.files.errands import Errands
from nzcore.node.offload import in_thread, inline


class Hops:
    """An offload to a thread that counts its hops."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, function: Callable[..., Any], /, *args: Any) -> Any:
        self.count += 1
        return await in_thread(function, *args)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that goes back by the clock would do so where a busy machine likes."""
    monkeypatch.setattr(errands_module, "LINGER_S", 20.0)
    monkeypatch.setattr(errands_module, "TURN_S", 3600.0)


async def taken(errands: Errands[int], count: int) -> list[int]:
    results: list[int] = []
    while len(results) < count:
        await errands.news()
        results += errands.take()
    return results


def number(value: int) -> Callable[[], int]:
    return lambda: value


async def test_results_come_in_order_from_one_thread_that_stays_and_ends_at_once_when_told() -> None:
    hops, begun = Hops(), time.monotonic()
    threads: set[int] = set()

    def noted(value: int) -> int:
        threads.add(threading.get_ident())
        return value

    errands: Errands[int] = Errands(hops)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(errands.run)
        for turn in range(20):  # the thread has nothing to do in between
            for value in range(5):
                errands.put(partial(noted, turn * 5 + value))
            assert errands.outstanding == 5
            assert await taken(errands, 5) == list(range(turn * 5, turn * 5 + 5))
            assert errands.outstanding == 0
        assert hops.count == 1
        errands.complete()  # or the nursery would stay open for long
    assert time.monotonic() - begun < errands_module.LINGER_S
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def one_by_one() -> int:
    """Three errands, each put when the thread of the one before is back; hops that it took."""
    hops, threads = Hops(), trio.to_thread.current_default_thread_limiter()
    errands: Errands[int] = Errands(hops)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(errands.run)
        for value in range(3):
            errands.put(number(value))
            assert await taken(errands, 1) == [value]
            with trio.fail_after(10):
                while threads.borrowed_tokens:
                    await trio.lowlevel.checkpoint()
        count = hops.count
        errands.complete()
    return count


async def test_the_thread_goes_back_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands_module, "LINGER_S", 0.0)
    assert await one_by_one() == 3


async def test_a_thread_that_others_may_want_goes_back_although_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands_module, "TURN_S", 0.0)
    hops = Hops()
    errands: Errands[int] = Errands(hops)
    for value in range(4):
        errands.put(number(value))
    errands.complete()
    await errands.run()
    assert errands.take() == [0, 1, 2, 3]
    assert hops.count == 4


async def test_a_thread_does_not_wait_for_more_where_others_may_soon_lack_one() -> None:
    threads = trio.to_thread.current_default_thread_limiter()
    threads.total_tokens = errands_module.SPARE  # with one of them lent, one too few
    assert await one_by_one() == 3


async def test_what_an_errand_raises_is_raised_and_no_other_is_done() -> None:
    done: list[int] = []
    errands: Errands[None] = Errands(in_thread)
    errands.put(partial(done.append, 1))
    errands.put(partial(done.remove, 7))
    errands.put(partial(done.append, 2))
    with pytest.raises(ValueError, match="not in list"):
        await errands.run()
    assert done == [1]


async def test_cancelled_the_present_errand_is_waited_for_and_no_other_is_done() -> None:
    done: list[str] = []
    began, may_end = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    def slow() -> None:
        token.run_sync_soon(began.set)
        may_end.wait()
        done.append("slow")

    errands: Errands[None] = Errands(in_thread)
    errands.put(slow)
    errands.put(partial(done.append, "next"))
    ended: list[str] = []

    async def run() -> None:
        try:
            await errands.run()
        finally:
            ended.extend(done)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await began.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
        assert (done, ended) == ([], [])
        may_end.set()
    assert (done, ended) == (["slow"], ["slow"])


async def test_where_work_is_done_at_once_nothing_waits_for_more(autojump_clock: MockClock) -> None:
    begun = time.monotonic()
    errands: Errands[int] = Errands(inline)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(errands.run)
        for value in range(3):
            errands.put(number(value))
            assert await taken(errands, 1) == [value]
        errands.complete()
    assert time.monotonic() - begun < errands_module.LINGER_S
