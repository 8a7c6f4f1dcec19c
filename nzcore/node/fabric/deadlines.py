"""Deadlines of many requests, kept by one task: a cancel scope for each would cost more than the request."""

import math
from collections.abc import Callable

import trio

Expire = Callable[[], None]


class Deadlines:
    """What is to be called when a time has come, unless it is removed before."""

    def __init__(self) -> None:
        self._due: dict[Expire, float] = {}
        self._target = -math.inf  # when the task wakes anyway
        self._news = trio.Event()

    def add(self, expire: Expire, deadline: float) -> None:
        """Calls `expire` at `deadline`; `deadline` is in the time of the Trio run."""
        self._due[expire] = deadline
        if deadline < self._target:
            self._news.set()

    def remove(self, expire: Expire) -> None:
        """Harmless where it was called already."""
        self._due.pop(expire, None)

    async def run(self) -> None:
        """Keeps the deadlines until cancelled."""
        try:
            while True:
                self._target, self._news = min(self._due.values(), default=math.inf), trio.Event()
                with trio.CancelScope(deadline=self._target):
                    await self._news.wait()
                now = trio.current_time()
                for expire in [expire for expire, deadline in self._due.items() if deadline <= now]:
                    del self._due[expire]
                    expire()
        finally:
            self._target = -math.inf
