"""A SQLite connection in aiosqlite's thread, called whole from asyncio, or straight from Trio (spec/store.md §2).

Knows threads and patience, no SQL. Straight means that no event loop lies between: two threads wake instead of five,
measured 52 µs a call instead of 130. Shared commits and reads go that way; one of each is under way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple, cast

import aiosqlite
import outcome
import trio

from nzcore.base.errors import UnavailableError
from nzcore.store.bridge import AsyncioBridge

DISK_S = 30.0  # after this a call counts as hung: real time, whatever clock Trio runs on

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Connection(aiosqlite.Connection):
    """aiosqlite's thread and queue, for whole calls: a transaction costs one trip through its thread, not five."""

    async def call(self, fn: Callable[[*Args], T], *args: *Args) -> T:
        """Runs `fn(*args)` in the connection's thread, from asyncio. *Raises* UnavailableError `store.disk-hangs`."""
        execute = cast("Callable[..., Awaitable[T]]", self._execute)
        task = asyncio.ensure_future(execute(fn, *args))
        # Not wait_for: a call that has reached the thread can't be taken back, and must not seem to be.
        await asyncio.wait((task,), timeout=DISK_S)
        if not task.done():
            raise _hangs()
        return task.result()


class _Ask:
    """One call under way; its owner is the Trio thread."""

    __slots__ = ("begun", "task")

    def __init__(self, task: trio.lowlevel.Task, begun: float) -> None:
        self.task = task
        self.begun = begun


class DirectCalls:
    """Calls from Trio into a connection's thread, in order; the connection is closed by its owner, after the last."""

    def __init__(self, connection: Connection, bridge: AsyncioBridge) -> None:
        self._put = connection._tx.put_nowait
        self._bridge = bridge
        self._token = trio.lowlevel.current_trio_token()
        self._asked: deque[_Ask] = deque()
        self._watched = False

    async def call(self, fn: Callable[[*Args], T], *args: *Args) -> T:
        """Runs `fn(*args)` there; cancelled, it is carried out all the same, unseen.

        *Raises* UnavailableError `store.disk-hangs`, after which it may still be carried out, and `store.bridge-down`.
        """
        if not self._bridge.alive:
            raise UnavailableError("store.bridge-down")
        if not self._watched:
            self._watch(DISK_S)
        ask = _Ask(trio.lowlevel.current_task(), time.monotonic())
        self._asked.append(ask)

        def work() -> None:
            result = outcome.capture(fn, *args)
            try:
                self._token.run_sync_soon(self._finish, ask, result)
            except trio.RunFinishedError:  # nobody is left to tell
                return

        def leave(_: object) -> trio.lowlevel.Abort:
            self._asked.remove(ask)
            return trio.lowlevel.Abort.SUCCEEDED

        self._put((None, work))
        result: T = await trio.lowlevel.wait_task_rescheduled(leave)
        return result

    def _finish(self, ask: _Ask, result: outcome.Outcome[T]) -> None:
        if ask in self._asked:
            self._asked.remove(ask)
            trio.lowlevel.reschedule(ask.task, result)

    def _watch(self, seconds: float) -> None:
        """One alarm, set again while somebody waits: an alarm for each call would wake the asyncio thread each time."""
        self._watched = True
        self._bridge.alarm(seconds, self._look)

    def _look(self) -> None:
        self._watched = False
        now, alive = time.monotonic(), self._bridge.alive
        while self._asked and (now - self._asked[0].begun >= DISK_S or not alive):
            error = _hangs() if alive else UnavailableError("store.bridge-down")
            trio.lowlevel.reschedule(self._asked.popleft().task, outcome.Error(error))
        if self._asked:
            self._watch(DISK_S - (now - self._asked[0].begun))


def _hangs() -> UnavailableError:
    return UnavailableError("store.disk-hangs", seconds=DISK_S)
