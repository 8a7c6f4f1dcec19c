"""Deadlines of many short things, kept by one task: a cancel scope for each request would cost more than the request,
and for each handshake a fortieth of it."""

import math
from typing import Protocol

import trio


class Due(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """The time has come."""


class Deadlines:
    """What expires when its time has come, unless it is removed before."""

    def __init__(self) -> None:
        self._due: dict[Due, float] = {}
        self._target = -math.inf  # when the task wakes anyway
        self._news = trio.Event()
        self.are_kept = False
        """Whether `run` runs: without it, nothing expires."""

    def add(self, due: Due, deadline: float) -> None:
        """Calls `due.expire` at `deadline`, which is in the time of the Trio run."""
        self._due[due] = deadline
        if deadline < self._target:
            self._news.set()

    def remove(self, due: Due) -> None:
        """Harmless where it was called already."""
        self._due.pop(due, None)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the deadlines until cancelled."""
        try:
            self.are_kept = True
            task_status.started()
            while True:
                self._target, self._news = min(self._due.values(), default=math.inf), trio.Event()
                with trio.CancelScope(deadline=self._target):
                    await self._news.wait()
                now = trio.current_time()
                for due in [due for due, deadline in self._due.items() if deadline <= now]:
                    self._due.pop(due, None)
                    due.expire()
        finally:
            self.are_kept = False
            self._target = -math.inf
