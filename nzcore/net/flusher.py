"""Flushes hot links once a tick: one task for all links of a node."""

from typing import Protocol

import trio


class Hot(Protocol):
    """A link, or whatever else gathers for the rest of a tick."""

    def cool(self) -> None:
        """Sends what was gathered."""


class Flusher:
    """Flushes hot links once a tick. One task for all links of a node: run `run` in the node's nursery."""

    def __init__(self) -> None:
        self._hot: list[Hot] = []
        self._task: trio.lowlevel.Task | None = None

    def heat(self, link: Hot) -> None:
        """Has `link` flushed in the next tick."""
        self._hot.append(link)
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def run(self) -> None:
        """Flushes until cancelled."""
        while True:
            if self._hot:
                await trio.lowlevel.checkpoint()
            else:
                self._task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
            hot, self._hot = self._hot, []
            for link in hot:
                link.cool()

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
