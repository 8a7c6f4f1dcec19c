"""One asyncio thread for the libraries that need one (aiosqlite, zeroconf), called from Trio (spec/store.md §2).

Knows threads and loops, nothing of databases. `trio-asyncio` is no alternative: importing it changes the event loop
policy of the whole process, which breaks zeroconf in its own thread.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar, TypeVarTuple

import outcome
import trio

from nzcore.base.errors import UnavailableError, UsageError

MAX_CALLS = 256  # calls inside the thread at once; the rest wait in Trio, in order
CANCEL_GRACE_S = 5.0  # how long a cancelled caller waits for its asyncio task to end
CLOSE_GRACE_S = 10.0  # how long leaving the bridge waits for the thread

T = TypeVar("T")
Args = TypeVarTuple("Args")


class _Call:
    """One call in flight; the Trio thread owns every attribute but `task`, which the asyncio thread owns."""

    __slots__ = ("ended", "fn", "task", "waiter")

    def __init__(self, fn: Callable[[], Awaitable[object]], waiter: trio.lowlevel.Task) -> None:
        self.fn = fn
        self.waiter: trio.lowlevel.Task | None = waiter
        self.task: asyncio.Task[object] | None = None
        self.ended: trio.Event | None = None


class AsyncioBridge:
    """An asyncio event loop in one thread, as `async with AsyncioBridge() as bridge`; use from one Trio run.

    At most `max_calls` calls are inside at once; further callers wait their turn. Whoever enters the bridge closes it.
    Leaving cancels what still runs there and joins the thread. *Raises* on leaving: UnavailableError
    `store.bridge-stuck` when a task refuses to end; the thread is then left behind.
    """

    def __init__(self, *, max_calls: int = MAX_CALLS, name: str = "nzcore-asyncio") -> None:
        self._max_calls = max_calls
        self._name = name
        self._thread: threading.Thread | None = None
        self._calls: set[_Call] = set()
        self._queue: deque[trio.lowlevel.Task] = deque()
        self._places = max_calls  # free ones; a finished call hands its place to the first in the queue
        self._death: BaseException | None = None
        self._closing = False  # by our wish
        self._ending = False  # for whatever reason
        self._peak = 0

    async def __aenter__(self) -> Self:
        if self._thread is not None:
            raise UsageError("store.bridge-used")
        self._token = trio.lowlevel.current_trio_token()
        self._down = trio.Event()
        self._loop = asyncio.new_event_loop()
        # Not a daemon: a daemon thread would be killed in the middle of a commit when the interpreter exits.
        self._thread = threading.Thread(target=self._serve, name=self._name, daemon=False)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._schedule(self._loop.stop)
        assert self._thread is not None
        with trio.CancelScope(shield=True):
            # A join, not a Trio timeout: the grace is real time, also under a virtual clock.
            await trio.to_thread.run_sync(self._thread.join, CLOSE_GRACE_S)
            if self._thread.is_alive():
                raise UnavailableError("store.bridge-stuck")
            await self._down.wait()

    @property
    def alive(self) -> bool:
        """Whether calls are taken."""
        return self._thread is not None and not (self._closing or self._ending or self._down.is_set())

    def statistics(self) -> dict[str, int]:
        """Calls inside now, the most ever inside, callers waiting to get in."""
        return {"calls": len(self._calls), "peak": self._peak, "waiting": len(self._queue)}

    async def wait_down(self) -> None:
        """Returns when the thread has ended. *Raises* UnavailableError `store.bridge-down` if nobody asked it to."""
        await self._down.wait()
        if not self._closing:
            raise self._down_error()

    async def run(self, fn: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Runs the coroutine function `fn(*args)` on the asyncio loop; its result or exception is the caller's.

        Cancellation cancels the asyncio task and waits until it has ended, for `CANCEL_GRACE_S` at most; what the
        task did before stays done. *Raises* UnavailableError `store.bridge-down` when the thread has ended or ends
        meanwhile, `store.call-cancelled` when the task was cancelled by somebody else.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._enter()
        call = _Call(lambda: fn(*args), trio.lowlevel.current_task())
        self._calls.add(call)
        self._peak = max(self._peak, len(self._calls))
        if not self._schedule(self._start, call):
            self._calls.discard(call)
            raise self._down_error()
        try:
            result: T = await trio.lowlevel.wait_task_rescheduled(lambda _: self._abort(call))
        except trio.Cancelled:
            await self._await_end(call)
            raise
        return result

    # --- in the Trio thread

    async def _enter(self) -> None:
        if not self.alive:
            raise self._down_error()
        if self._places:
            self._places -= 1
            return
        me = trio.lowlevel.current_task()
        self._queue.append(me)

        def leave_queue(_: object) -> trio.lowlevel.Abort:
            self._queue.remove(me)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave_queue)

    def _abort(self, call: _Call) -> trio.lowlevel.Abort:
        call.waiter = None
        call.ended = trio.Event()
        self._schedule(self._cancel, call)
        return trio.lowlevel.Abort.SUCCEEDED

    async def _await_end(self, call: _Call) -> None:
        assert call.ended is not None
        with trio.move_on_after(CANCEL_GRACE_S, shield=True):
            await call.ended.wait()

    def _finish(self, call: _Call, result: outcome.Outcome[object]) -> None:
        if call not in self._calls:
            return
        self._calls.discard(call)
        if call.waiter is not None:
            trio.lowlevel.reschedule(call.waiter, result)
        if call.ended is not None:
            call.ended.set()
        if self._queue:
            trio.lowlevel.reschedule(self._queue.popleft())
        else:
            self._places += 1

    def _thread_ended(self) -> None:
        self._down.set()
        for call in list(self._calls):
            self._finish(call, outcome.Error(self._down_error()))
        while self._queue:
            trio.lowlevel.reschedule(self._queue.popleft(), outcome.Error(self._down_error()))

    def _down_error(self) -> UnavailableError:
        error = UnavailableError("store.bridge-down", closing=self._closing)
        error.__cause__ = self._death
        return error

    def _schedule(self, fn: Callable[[*Args], object], *args: *Args) -> bool:
        try:
            self._loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:  # the loop is closed
            return False
        return True

    # --- in the asyncio thread

    def _start(self, call: _Call) -> None:
        if self._ending:  # came between the loop's end and the news of it
            self._send(call, outcome.Error(self._down_error()))
            return
        call.task = self._loop.create_task(_drive(call.fn))
        call.task.add_done_callback(lambda task: self._report(call, task))

    def _cancel(self, call: _Call) -> None:
        if call.task is not None:
            call.task.cancel()

    def _report(self, call: _Call, task: asyncio.Task[object]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        result: outcome.Outcome[object]
        if error is None:
            result = outcome.Value(task.result())
        elif isinstance(error, Exception):
            result = outcome.Error(error)
        else:
            # asyncio's own cancellation and a SystemExit in there must not climb in Trio as what they are not.
            own = isinstance(error, asyncio.CancelledError) and not self._ending
            refusal = UnavailableError("store.call-cancelled" if own else "store.bridge-down")
            refusal.__cause__ = error
            result = outcome.Error(refusal)
        self._send(call, result)

    def _send(self, call: _Call, result: outcome.Outcome[object]) -> None:
        try:
            self._token.run_sync_soon(self._finish, call, result)
        except trio.RunFinishedError:  # nobody is left to tell
            self._loop.stop()

    def _serve(self) -> None:
        death: BaseException | None = None
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_forever()
        except BaseException as error:  # the crash boundary of the thread: told to every caller
            death = error
        self._death, self._ending = death, True
        try:
            self._wind_up()
        finally:
            self._loop.close()
            self._tell_end()

    def _tell_end(self) -> None:
        try:
            self._token.run_sync_soon(self._thread_ended)
        except trio.RunFinishedError:
            return

    def _wind_up(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=CANCEL_GRACE_S))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())


async def _drive(fn: Callable[[], Awaitable[object]]) -> object:
    return await fn()
