"""Group commit: who leads, who waits, who is told what."""

import pytest
import trio
import trio.testing

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.store.batch import Batcher


class Desk:
    """Work that can be held up; answers each number with its double, 13 with an error."""

    def __init__(self, *, max_items: int = 100, max_weight: int = 1000, max_waiting: int = 100) -> None:
        self.batches: list[list[int]] = []
        self.gate = trio.Event()
        self.error: Exception | None = None
        self.batcher = Batcher(self.work, max_items=max_items, max_weight=max_weight, max_waiting=max_waiting)

    async def work(self, items: list[int]) -> list[int | NzError]:
        self.batches.append(items)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [UsageError("store.conflict") if item == 13 else 2 * item for item in items]


async def submit_all(desk: Desk, items: list[int], nursery: trio.Nursery, answers: dict[int, object]) -> None:
    async def one(item: int) -> None:
        try:
            answers[item] = await desk.batcher.submit(item, item)
        except NzError as error:
            answers[item] = error.code

    for item in items:
        nursery.start_soon(one, item)
        await trio.testing.wait_all_tasks_blocked()


async def test_those_who_come_meanwhile_share_the_next_call_and_get_their_own_outcome() -> None:
    desk, answers = Desk(), dict[int, object]()
    async with trio.open_nursery() as nursery:
        await submit_all(desk, [1, 2, 13, 4], nursery, answers)
        desk.gate.set()
    assert desk.batches == [[1], [2, 13, 4]]
    assert answers == {1: 2, 2: 4, 13: "store.conflict", 4: 8}
    assert desk.batcher.statistics() == {"calls": 2, "queued": 0, "outside": 0}


async def test_callers_who_are_ready_together_share_the_first_call() -> None:
    desk = Desk()
    desk.gate.set()
    async with trio.open_nursery() as nursery:
        for item in range(10):
            nursery.start_soon(desk.batcher.submit, item)
    assert [len(batch) for batch in desk.batches] == [10]


async def test_batches_are_bounded_by_number_and_by_weight() -> None:
    by_number, by_weight, answers = Desk(max_items=2), Desk(max_weight=9), dict[int, object]()
    for desk in (by_number, by_weight):
        async with trio.open_nursery() as nursery:
            await submit_all(desk, [1, 2, 3, 4, 5, 6], nursery, answers)
            desk.gate.set()
    assert by_number.batches == [[1], [2, 3], [4, 5], [6]]
    assert by_weight.batches == [[1], [2, 3, 4], [5], [6]] or by_weight.batches == [[1], [2, 3, 4], [5, 6]]
    assert set(answers) == {1, 2, 3, 4, 5, 6}


async def test_a_full_queue_makes_callers_wait_for_room() -> None:
    desk, answers = Desk(max_waiting=2), dict[int, object]()
    async with trio.open_nursery() as nursery:
        await submit_all(desk, [1, 2, 3, 4, 5], nursery, answers)
        assert desk.batcher.statistics() == {"calls": 1, "queued": 2, "outside": 2}
        desk.gate.set()
    assert answers == {number: 2 * number for number in range(1, 6)}


async def test_a_caller_cancelled_in_the_queue_is_not_worked_on_and_one_at_work_is() -> None:
    desk, answers = Desk(), dict[int, object]()
    async with trio.open_nursery() as nursery:
        await submit_all(desk, [1], nursery, answers)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as cancelled:
                await submit_all(desk, [2], cancelled, answers)
                await submit_all(desk, [3], nursery, answers)
                scope.cancel()
        desk.gate.set()
    assert desk.batches == [[1], [3]]
    assert answers == {1: 2, 3: 6}


async def test_a_cancelled_leader_finishes_for_the_others_and_hands_over() -> None:
    desk, answers = Desk(), dict[int, object]()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as leaders:
                await submit_all(desk, [1], leaders, answers)
                await submit_all(desk, [2, 3], nursery, answers)
                scope.cancel()
                desk.gate.set()
    assert desk.batches == [[1], [2, 3]]
    assert answers[2] == 4
    assert answers[3] == 6


@pytest.mark.parametrize(
    ("error", "code"),
    [(UnavailableError("store.disk-full", used=3), "store.disk-full"), (ZeroDivisionError(), "store.batch-failed")],
)
async def test_when_the_call_fails_everybody_in_it_is_told_by_an_error_of_their_own(
    error: Exception, code: str
) -> None:
    desk = Desk()
    desk.error = error
    desk.gate.set()
    caught: list[NzError] = []

    async def one(item: int) -> None:
        with pytest.raises(NzError) as info:
            await desk.batcher.submit(item)
        caught.append(info.value)

    async with trio.open_nursery() as nursery:
        for item in range(3):
            nursery.start_soon(one, item)
    assert [refusal.code for refusal in caught] == [code] * 3
    assert len({id(refusal) for refusal in caught}) == 3
    assert {id(refusal.__cause__) for refusal in caught} == {id(error)}
    desk.error = None
    assert await desk.batcher.submit(4) == 8
