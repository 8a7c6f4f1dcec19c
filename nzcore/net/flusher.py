"""Flushes hot links once a tick: one task for all links of a node."""

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from nzcore.net.link import Link


class Flusher:
    """Flushes hot links once a tick. One task for all links of a node: run `run` in the node's nursery."""

    def __init__(self) -> None:
        self._hot: list[Link] = []
        self._task: trio.lowlevel.Task | None = None

    def heat(self, link: "Link") -> None:
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
