"""Cancellation at every place where it can strike, one run for each (spec/testing.md §6).

A scenario is run again and again: cancelled at the first point where any of its tasks waits, then at the second, and so
on, until a run ends by itself. What it leaves behind is for the caller's check to find, after each run.
"""

from collections.abc import Awaitable, Callable
from itertools import count

import trio

MAX_RUNS = 20_000
"""A scenario with more steps than this does not end."""


async def cancel_at_every_step(
    scenario: Callable[[], Awaitable[object]],
    check: Callable[[], Awaitable[object]],
    *,
    stride: int = 1,
    first: int = 1,
) -> int:
    """Runs `scenario` cancelled at its step `first`, `first + stride`, …; `check` after each run; how many runs.

    A step is one turn of the scenario's own task or of one that it started, directly or not. The last run is whole.
    *Raises* what `scenario` raises besides its cancellation, and what `check` raises.
    """
    for runs, step in enumerate(count(first, stride), 1):
        if runs > MAX_RUNS:
            break
        with trio.CancelScope() as scope:
            striker = _Striker(trio.lowlevel.current_task(), scope, step)
            trio.lowlevel.add_instrument(striker)
            try:
                await scenario()
            finally:
                trio.lowlevel.remove_instrument(striker)
        await check()
        if not striker.has_struck:
            return runs
    raise AssertionError("the scenario does not end")


class _Striker(trio.abc.Instrument):
    """Cancels a scope when its tasks have taken so many turns."""

    def __init__(self, root: trio.lowlevel.Task, scope: trio.CancelScope, step: int) -> None:
        self.has_struck = False
        self._root = root
        self._scope = scope
        self._left = step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.has_struck or not self._is_ours(task):
            return
        self._left -= 1
        if not self._left:
            self.has_struck = True
            self._scope.cancel()

    def _is_ours(self, task: trio.lowlevel.Task | None) -> bool:
        while task is not None:
            if task is self._root:
                return True
            nursery = task.parent_nursery
            task = nursery.parent_task if nursery is not None else None
        return False
