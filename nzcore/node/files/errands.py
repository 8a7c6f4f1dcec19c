"""Work on the disk in its order, done by a thread that stays while more of it comes.

Knows nothing of files. The thread is one of Trio's, lent by an `Offload`; where that does the work at once, as under a
virtual clock, nothing waits for more.

Why it stays: a hop to a thread costs as much as the work on 100 KiB, so whoever hops for each block makes blocks large.
The threads of both nodes then work at the same time, and rest at the same time while the two nodes' own tasks wait for
each other. Measured, 1 GiB between two nodes on two cores: with a hop for each 2 MiB, both cores together rested 0.8 s
of a transfer and it took 3.3 CPU seconds a GB; with blocks of 512 KiB and a thread that stays, 0.35 s and 3.1.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import trio

from nzcore.node.offload import Offload

LINGER_S = 0.01
"""How long the thread waits for more before it goes back: a transfer that is worth it brings a block every 2 ms."""

SPARE = 8
"""Threads that are free where one waits for more. Measured, 60 transfers with something to do every 8 ms, 40 threads:
where all of them wait, anybody else gets a thread after 30 ms and one in twenty after 100, with this after 3 and 13.
"""

TURN_S = 0.1
"""After which the thread goes back although there is more: the node has a bounded number, and others wait for one."""

T = TypeVar("T")


class Errands(Generic[T]):
    """Errands of one task, done one after the other while `run` runs; what they return is fetched with `take`."""

    def __init__(self, offload: Offload) -> None:
        """To be made in the Trio run, and the thread, that uses it."""
        self._offload = offload
        self._todo: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._done: deque[T] = deque()
        self._outstanding = 0
        self._home = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._threads = trio.to_thread.current_default_thread_limiter()
        self._more = trio.Event()
        self._news = trio.Event()
        self._is_awaited = False  # somebody waits for news
        self._is_lent = False  # a thread is there
        self._is_complete = False

    @property
    def outstanding(self) -> int:
        """Errands whose results were not taken."""
        return self._outstanding

    def put(self, errand: Callable[[], T]) -> None:
        """Something to be done when all that was put before is done."""
        self._outstanding += 1
        self._todo.put(errand)
        self._more.set()

    def complete(self) -> None:
        """Nothing more comes: `run` returns when all is done."""
        self._is_complete = True
        self._more.set()
        if self._is_lent:
            self._todo.put(None)  # it need not wait for more

    def take(self) -> list[T]:
        """What came back since this was asked last, in order."""
        taken = [self._done.popleft() for _ in range(len(self._done))]
        self._outstanding -= len(taken)
        return taken

    async def news(self) -> None:
        """Returns when there is something to take."""
        while not self._done:
            self._news = trio.Event()
            self._is_awaited = True
            if not self._done:  # in this order: the thread adds first, and then looks whether that is awaited
                await self._news.wait()

    async def run(self) -> None:
        """Does the errands until all came and all are done. *Raises* what they raise, and does none after that.

        Cancelled, it returns when the present one is done.
        """
        while not (self._is_complete and self._todo.empty()):
            if self._todo.empty():
                self._more = trio.Event()
                await self._more.wait()
                continue
            self._is_lent = True
            try:
                await self._offload(self._work)
            finally:
                self._is_lent = False

    def _work(self) -> None:
        is_away = threading.get_ident() != self._home
        until = time.monotonic() + TURN_S
        while True:
            if is_away:
                trio.from_thread.check_cancelled()
            try:
                errand = self._todo.get(is_away and self._may_wait, LINGER_S)
            except Empty:
                return
            if errand is None:
                return
            self._done.append(errand())
            if self._is_awaited:
                self._is_awaited = False
                if is_away:
                    self._token.run_sync_soon(self._tell)
                else:
                    self._tell()
            if is_away and time.monotonic() >= until:
                return

    @property
    def _may_wait(self) -> bool:
        return not self._is_complete and self._threads.available_tokens >= SPARE

    def _tell(self) -> None:
        self._news.set()
