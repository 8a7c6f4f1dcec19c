"""Many callers, one call: whoever finds nobody at work does the work of all who wait (spec/store.md §5).

Group commit without a task of its own: the first caller leads, takes what has queued up, makes one call, wakes
everybody with their own outcome, and hands over to the next. So there is nothing to start or stop.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

from nzcore.base.errors import NzError, UnavailableError

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Ticket(Generic[Item, Result]):
    """A caller in the queue; woken without an outcome, it is to lead."""

    __slots__ = ("item", "outcome", "task", "weight")

    def __init__(self, item: Item, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.outcome: tuple[Result, None] | tuple[None, BaseException] | None = None
        self.task: trio.lowlevel.Task | None = None  # set while it waits


class Batcher(Generic[Item, Result]):
    """Shares calls of `work`, which answers a batch item by item with a result or an error.

    A batch has at most `max_items` items and, beyond its first item, `max_weight` weight. At most `max_waiting` callers
    are queued; further ones wait for room.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Awaitable[Sequence[Result | NzError]]],
        *,
        max_items: int,
        max_weight: int,
        max_waiting: int,
    ) -> None:
        self._work = work
        self._max_items = max_items
        self._max_weight = max_weight
        self._max_waiting = max_waiting
        self._queue: deque[_Ticket[Item, Result]] = deque()
        self._room = trio.lowlevel.ParkingLot()
        self._led = False
        self.calls = 0

    def statistics(self) -> dict[str, int]:
        """Calls of `work` so far, callers queued, callers waiting for room in the queue."""
        return {"calls": self.calls, "queued": len(self._queue), "outside": len(self._room)}

    async def submit(self, item: Item, weight: int = 0) -> Result:
        """The outcome of one item. Cancelled while it is queued, it is not worked on; later, it is, unseen."""
        if not self._led:  # whoever waits is cancelled in waiting; a leader has to ask
            await trio.lowlevel.checkpoint_if_cancelled()
        while len(self._queue) >= self._max_waiting:
            await self._room.park()
        ticket: _Ticket[Item, Result] = _Ticket(item, weight)
        self._queue.append(ticket)
        if self._led:
            await self._wait(ticket)
        if ticket.outcome is None:
            self._led = True
            await self._lead()
        assert ticket.outcome is not None  # a leader's ticket is the first of its own batch
        result, error = ticket.outcome
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # the pair says so: no error, hence a result

    async def _wait(self, ticket: _Ticket[Item, Result]) -> None:
        ticket.task = trio.lowlevel.current_task()

        def withdraw(_: object) -> trio.lowlevel.Abort:
            ticket.task = None
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._room.unpark()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(withdraw)

    async def _lead(self) -> None:
        batch: list[_Ticket[Item, Result]] = []
        try:
            # Others wait for this work, so the leader's cancellation must wait until it is done.
            with trio.CancelScope(shield=True):
                # Everybody who was woken by the last batch gets to queue up first: they run in the next turn, in
                # any order with us, so we wait for the one after.
                await trio.lowlevel.cancel_shielded_checkpoint()
                await trio.lowlevel.cancel_shielded_checkpoint()
                batch = self._take()
                self.calls += 1
                results = await self._work([ticket.item for ticket in batch])
                for ticket, result in zip(batch, results, strict=True):
                    ticket.outcome = (None, result) if isinstance(result, NzError) else (result, None)
        except Exception as error:  # the crash boundary of a batch: everybody in it is told
            for ticket in batch:
                ticket.outcome = (None, _echo(error))
        finally:
            for ticket in batch:
                if ticket.outcome is None:  # the leader was torn out, by a KeyboardInterrupt
                    ticket.outcome = (None, UnavailableError("store.batch-failed"))
                _wake(ticket)
            self._hand_over()

    def _take(self) -> list[_Ticket[Item, Result]]:
        batch, weight = [self._queue.popleft()], 0
        while self._queue and len(batch) < self._max_items:
            weight += self._queue[0].weight
            if weight > self._max_weight:
                break
            batch.append(self._queue.popleft())
        self._room.unpark(count=len(batch))
        return batch

    def _hand_over(self) -> None:
        self._led = bool(self._queue)
        if self._queue:
            _wake(self._queue[0])


def _wake(ticket: _Ticket[Item, Result]) -> None:
    if ticket.task is not None:
        task, ticket.task = ticket.task, None
        trio.lowlevel.reschedule(task)


def _echo(error: Exception) -> Exception:
    """An error of its own for each of several tasks: a shared one would collect all their tracebacks."""
    if isinstance(error, NzError):
        copy = type(error)(error.code)
        copy.facts = error.facts
    else:
        copy = UnavailableError("store.batch-failed", problem=type(error).__name__)
    copy.__cause__ = error
    return copy
