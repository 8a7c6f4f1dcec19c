"""What came from a peer and is not on the disk yet: blocks that are filled, written by a thread and filled again.

Measured: pieces copied into blocks cost 0.1 CPU seconds a GB less than lists of pieces that are joined, since no fresh
memory has to be mapped. A step of the hash or a buffer of `writev` for each piece lets go of the interpreter's lock and
has to get it back each time: hashed as they come, while they are hot, pieces cost up to 0.1 more, and kept for one
`writev` a MiB 1 more, for memory that is mapped again and again. Shorter steps, for the cache's sake, changed nothing
that could be measured, nor did blocks of 4 MiB; blocks of 1 MiB, with twice as many hops to the thread, cost 0.1 more.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import trio

from nzcore.node.offload import Offload

BLOCK_BYTES = 2 << 20
"""Written and hashed in one step."""

QUEUE_BYTES = 4 << 20
"""Bytes received and not yet written, beyond which the spool is full."""

BATCH = 512
"""Steps on the disk in one hop to the thread: small files come in hundreds."""


class _Step(NamedTuple):
    """Something to do on the disk; `block` is free afterwards."""

    work: Callable[..., None]
    args: tuple[object, ...]
    size: int = 0
    block: bytearray | None = None


class Spool:
    """Steps of one transfer in their order. Whoever adds asks `is_full` and waits for `room`; `run` does them."""

    def __init__(self, offload: Offload, write: Callable[[memoryview], None], written: Callable[[int], None]) -> None:
        """`write` is called in the thread; `written` learns outside of it how many bytes that was."""
        self._offload = offload
        self._write = write
        self._written = written
        self._steps: deque[_Step] = deque()
        self._queued = 0
        self._free: list[bytearray] = []
        self._block = bytearray()
        self._view = memoryview(self._block)
        self._begun = 0  # where in the block what no step writes yet begins
        self._end = 0  # and ends
        self._more = trio.Event()
        self._room = trio.Event()
        self._is_complete = False

    @property
    def is_full(self) -> bool:
        """Whether to wait for room; what is added nevertheless takes memory beyond the bound."""
        return self._queued >= QUEUE_BYTES or len(self._steps) > 2 * BATCH

    async def room(self) -> None:
        """Returns when the spool is not full."""
        while self.is_full:
            self._room = trio.Event()
            await self._room.wait()

    def add(self, piece: bytes) -> None:
        """Content that is to be written."""
        at, size = 0, len(piece)
        while at < size:
            if self._end == len(self._block):
                self._next_block()
            step = min(size - at, len(self._block) - self._end)
            self._view[self._end : self._end + step] = piece if step == size else memoryview(piece)[at : at + step]
            self._end += step
            at += step
            if self._end == BLOCK_BYTES:
                self._flush()

    def do(self, work: Callable[..., None], *args: object) -> None:
        """Something to be done when all content that came before is written."""
        self._flush()
        self._put(_Step(work, args))

    def complete(self) -> None:
        """Nothing more comes."""
        self._flush()
        self._is_complete = True
        self._more.set()

    async def run(self) -> None:
        """Does the steps, all that wait in one hop, until all came and all is done. *Raises* what they do."""
        while True:
            while self._steps:
                batch = [self._steps.popleft() for _ in range(min(len(self._steps), BATCH))]
                await self._offload(_do, batch)
                size = sum(step.size for step in batch)
                self._free += (step.block for step in batch if step.block is not None)
                self._queued -= size
                self._written(size)
                self._room.set()
            if self._is_complete:
                return
            self._more = trio.Event()
            await self._more.wait()

    def _next_block(self) -> None:
        self._block = self._free.pop() if self._free else bytearray(BLOCK_BYTES)
        self._view = memoryview(self._block)
        self._begun = self._end = 0

    def _flush(self) -> None:
        """Has what was added written. A block that is full is done with; what is left of another is filled later."""
        if self._begun < self._end:
            last = self._block if self._end == BLOCK_BYTES else None
            self._put(_Step(self._write, (self._view[self._begun : self._end],), self._end - self._begun, last))
            self._begun = self._end

    def _put(self, step: _Step) -> None:
        self._steps.append(step)
        self._queued += step.size
        self._more.set()


def _do(steps: list[_Step]) -> None:
    for step in steps:
        step.work(*step.args)
