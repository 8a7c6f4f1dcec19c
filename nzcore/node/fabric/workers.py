"""Tasks that carry out what peers ask: kept for the next request, because a task and a scope for each cost more.

A job that is given up is cancelled with its worker's scope; the worker gets a new one.
"""

from abc import ABC, abstractmethod
from collections import deque

import trio

from nzcore.net.wire import Spawn

IDLE = 8
"""Workers that are kept while there is nothing to do."""


class Job(ABC):
    """Something to be carried out once; `give_up` cancels it, at any time."""

    __slots__ = ("_is_over", "_worker")

    def __init__(self) -> None:
        self._worker: _Worker | None = None
        self._is_over = False

    @abstractmethod
    async def work(self) -> None:
        """What is to be done. A crash boundary: raises nothing but cancellation."""

    @abstractmethod
    def expire(self) -> None:
        """It takes too long."""

    def give_up(self) -> None:
        """Harmless where it is done."""
        if self._worker is not None:
            self._worker.scope.cancel()
        self._is_over = True


class _Worker:
    __slots__ = ("scope",)

    def __init__(self) -> None:
        self.scope = trio.CancelScope()


class Workers:
    """As many tasks as there are jobs at once. How many may be is up to whoever gives them."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self._jobs: deque[Job] = deque()
        self._idle: list[trio.lowlevel.Task] = []

    def begin(self, job: Job) -> None:
        """Has `job` carried out in a task's turn."""
        self._jobs.append(job)
        if self._idle:
            trio.lowlevel.reschedule(self._idle.pop())
        else:
            self._spawn(self._live, _Worker())

    async def _live(self, worker: _Worker) -> None:
        while self._jobs or len(self._idle) < IDLE:
            with worker.scope:
                while self._jobs or len(self._idle) < IDLE:
                    if self._jobs:
                        await self._carry_out(worker, self._jobs.popleft())
                        if worker.scope.cancel_called:  # too late for this job, and not meant for the next
                            break
                    else:
                        await self._wait()
            worker.scope = trio.CancelScope()

    async def _carry_out(self, worker: _Worker, job: Job) -> None:
        if job._is_over:
            return
        job._worker = worker
        try:
            await job.work()
        finally:
            job._worker, job._is_over = None, True

    async def _wait(self) -> None:
        task = trio.lowlevel.current_task()
        self._idle.append(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
