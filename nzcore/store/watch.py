"""Watchers of the key-value store: a bounded queue each, and an overflow that the watcher names.

A writer never waits for a watcher.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, Self

import trio

from nzcore.base.errors import UnavailableError, UsageError


class Change(NamedTuple):
    """One committed change: the version that was put, or 0 with `deleted`."""

    name: str
    version: int
    deleted: bool


class Watch:
    """Changes of one namespace under a prefix; one task iterates."""

    def __init__(self, prefix: str, capacity: int, overflow: Literal["error", "drop_oldest"]) -> None:
        self.dropped = 0
        self._prefix = prefix
        self._capacity = capacity
        self._overflow = overflow
        self._changes: deque[Change] = deque()
        self._waiter: trio.lowlevel.Task | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        """The next change. *Raises* UnavailableError `store.watch-overflow` once changes were lost under `error`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._changes:
            if self._closed:
                raise StopAsyncIteration
            if self._lost():
                raise UnavailableError("store.watch-overflow", dropped=self.dropped)
            await self._park()
        return self._changes.popleft()

    def offer(self, change: Change) -> None:
        """Queues a change if it is under the prefix; never waits."""
        if not change.name.startswith(self._prefix):
            return
        if self._lost():
            self.dropped += 1
            return
        if len(self._changes) == self._capacity:
            self.dropped += 1
            if self._overflow == "error":
                return
            self._changes.popleft()
        self._changes.append(change)
        self._wake()

    def close(self) -> None:
        """Ends the iteration after what is queued."""
        self._closed = True
        self._wake()

    def _lost(self) -> bool:
        return self._overflow == "error" and self.dropped > 0

    async def _park(self) -> None:
        if self._waiter is not None:
            raise UsageError("store.watch-shared")
        self._waiter = trio.lowlevel.current_task()

        def forget(_: object) -> trio.lowlevel.Abort:
            self._waiter = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(forget)

    def _wake(self) -> None:
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            trio.lowlevel.reschedule(waiter)


class Watchers:
    """All watchers of a store, by namespace."""

    def __init__(self) -> None:
        self._by_namespace: dict[str, set[Watch]] = {}

    @property
    def idle(self) -> bool:
        """Whether nobody watches."""
        return not self._by_namespace

    @contextmanager
    def registered(self, ns: str, watch: Watch) -> Iterator[None]:
        """Hands changes of `ns` to `watch` meanwhile; closes it afterwards."""
        self._by_namespace.setdefault(ns, set()).add(watch)
        try:
            yield
        finally:
            watch.close()
            watchers = self._by_namespace[ns]
            watchers.discard(watch)
            if not watchers:
                del self._by_namespace[ns]

    def publish(self, ns: str, change: Change) -> None:
        """Offers a change to everyone who watches its namespace."""
        for watch in self._by_namespace.get(ns, ()):
            watch.offer(change)
