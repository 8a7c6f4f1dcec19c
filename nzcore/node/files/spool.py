"""What came from a peer and is not on the disk yet: blocks that are filled, written by a thread and filled again.

Measured: pieces copied into blocks cost 0.1 CPU seconds a GB less than lists of pieces that are joined, since no fresh
memory has to be mapped. A step of the hash or a buffer of `writev` for each piece lets go of the interpreter's lock and
has to get it back each time: hashed as they come, while they are hot, pieces cost up to 0.1 more, and kept for one
`writev` a MiB 1 more, for memory that is mapped again and again. Writing past the page cache (O_DIRECT) costs the
system 0.3 less and the hash as much more, which then finds nothing in the processor's cache.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import trio

from nzcore.node.files.errands import Errands
from nzcore.node.offload import Offload

BLOCK_BYTES = 512 << 10
"""Written and hashed in one step. Measured: 1 MiB 0.1 CPU seconds a GB more, 2 MiB 0.15; 256 KiB as good, or worse."""

QUEUE_BYTES = 4 << 20
"""Bytes received and not yet written, beyond which the spool is full. 8 MiB changed nothing."""

QUEUE_STEPS = 1024
"""Steps not yet done, beyond which it is full, too: small files come in hundreds."""


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
        self._errands: Errands[list[_Step]] = Errands(offload)
        self._write = write
        self._written = written
        self._steps: list[_Step] = []  # not yet handed to the thread
        self._some = trio.Event()  # there are such
        self._waiting = 0  # steps not yet done, handed over or not
        self._queued = 0  # bytes of those
        self._free: list[bytearray] = []
        self._block = bytearray()
        self._view = memoryview(self._block)
        self._begun = 0  # where in the block what no step writes yet begins
        self._end = 0  # and ends
        self._is_complete = False

    @property
    def is_full(self) -> bool:
        """Whether to wait for room; what is added nevertheless takes memory beyond the bound."""
        return self._holds(QUEUE_BYTES, QUEUE_STEPS)

    async def room(self) -> None:
        """Returns when the spool is half empty: whoever comes back for each block pays for coming back."""
        while self._holds(QUEUE_BYTES // 2, QUEUE_STEPS // 2):
            await self._errands.news()

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
        self._some.set()

    async def run(self) -> None:
        """Does the steps until all came and all is done. *Raises* what they raise, in a group.

        However it ends, `written` has then learnt of all that was written: a quota counts what an interruption leaves.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._errands.run)
                while not self._is_complete:
                    await self._some.wait()
                    self._some = trio.Event()
                    self._hand_over()
                self._hand_over()  # all may have come before this began
                self._errands.complete()
        finally:
            self._collect()

    def _holds(self, size: int, steps: int) -> bool:
        """Whether as much is not yet done; looks at what was done only where it makes a difference."""
        if self._queued >= size or self._waiting > steps:
            self._collect()
        return self._queued >= size or self._waiting > steps

    def _collect(self) -> None:
        size = 0
        for steps in self._errands.take():
            size += sum(step.size for step in steps)
            self._waiting -= len(steps)
            self._free += (step.block for step in steps if step.block is not None)
        if size:
            self._queued -= size
            self._written(size)

    def _next_block(self) -> None:
        self._collect()
        self._block = self._free.pop() if self._free else bytearray(BLOCK_BYTES)
        self._view = memoryview(self._block)
        self._begun = self._end = 0

    def _flush(self) -> None:
        """Has what was added written. A block that is full is done with; what is left of another is filled later."""
        size = self._end - self._begun
        if size:
            last = self._block if self._end == BLOCK_BYTES else None
            self._queued += size
            self._put(_Step(self._write, (self._view[self._begun : self._end],), size, last))
            self._begun = self._end

    def _put(self, step: _Step) -> None:
        """A full block is handed over at once; what is small is gathered until it is the turn of `run`.

        Measured: one by one, the steps of small files cost two thirds more, since the thread then wants the
        interpreter's lock for each of them while others come.
        """
        self._steps.append(step)
        self._waiting += 1
        if step.block is not None:
            self._hand_over()
        else:
            self._some.set()

    def _hand_over(self) -> None:
        if self._steps:
            self._errands.put(partial(_do, self._steps))
            self._steps = []


def _do(steps: list[_Step]) -> list[_Step]:
    for step in steps:
        step.work(*step.args)
    return steps
