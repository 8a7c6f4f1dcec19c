"""One transfer coming in: the stream on one side, the disk's thread on the other, the machine between.

Received pieces queue up to a bound while the thread writes and hashes what came before: both go on at once, and however
many small files come, they share a hop to the thread.
"""

import math
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, PeerError
from nzcore.base.ids import NodeId
from nzcore.net.stream import Stream, StreamLost
from nzcore.node.files.inbox import Inbox
from nzcore.node.files.records import Page
from nzcore.node.files.staging import Staging
from nzcore.node.files.together import together
from nzcore.proto.files.machine import MAX_HAVE, Event, Receiver
from nzcore.proto.files.manifest import MAX_SIZE

IDLE_S = 60.0
"""Seconds without a byte after which a sender is taken for gone: its place goes to the next."""

QUEUE_BYTES = 4 << 20
"""Bytes received and not yet written, beyond which the stream waits: with its window, all that a transfer holds."""

WRITE_BYTES = 1 << 20
"""Bytes put together for one write and one step of the hash."""

RECEIPT_NAMES = 100
"""Names of roots that a receipt tells: as many as anybody reads."""

BATCH = 512
"""Steps on the disk in one hop to the thread: small files come in hundreds."""

REFUSE_S = 5.0
"""Seconds to tell the sender why."""


class Arrived(NamedTuple):
    """Value of `file.received`."""

    peer: NodeId
    files: int
    bytes: int
    destination: str
    names: tuple[str, ...]


class Step(NamedTuple):
    """Something to do on the disk."""

    work: Callable[..., None]
    args: tuple[object, ...]
    size: int = 0


class Incoming:
    """Receives one transfer. `run` returns what arrived, and raises why not; what is unfinished then stays or goes."""

    def __init__(self, inbox: Inbox, stream: Stream, petname: str, now: Callable[[], float]) -> None:
        """`now`: seconds since 1970."""
        self._inbox = inbox
        self._stream = stream
        self._petname = petname
        self._now = now
        self._machine = Receiver()
        self._steps: deque[Step] = deque()
        self._queued = 0
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._more = trio.Event()
        self._room = trio.Event()
        self._all_came = False
        self._patience = trio.CancelScope()
        self._patient_until = 0.0

    async def run(self) -> Arrived:
        """*Raises* PeerError, UnavailableError `files.*` (told to the sender), StreamLost, `store.*`."""
        try:
            with self._patience:
                return await self._receive()
            raise PeerError("files.stalled")
        except StreamLost:
            raise
        except NzError as error:
            await self._refuse(error)
            raise

    async def _receive(self) -> Arrived:
        await self._hear_offer()
        self._wait_for_disk()
        earlier = await self._inbox.records.find(self._stream.peer, self._machine.transfer)
        done = await self._inbox.offload(_all_there, earlier)
        await self._inbox.offload(self._inbox.make_folder)
        with self._inbox.staging(self._stream.peer, self._machine.manifest) as staging:
            if done:  # the receipt of an earlier attempt was lost
                return await self._confirm(earlier[0].destination, sum(len(page.files) for page in earlier), 0)
            try:
                size = await self._fill(staging)
                return await self._settle(staging, size)
            except NzError as error:
                if not isinstance(error, StreamLost) and error.code not in ("files.stalled", "files.stopping"):
                    await self._inbox.offload(staging.discard)
                raise

    async def _hear_offer(self) -> None:
        while not any(event[0] is Event.OFFERED for event in self._machine.receive(await self._next())):
            pass

    async def _fill(self, staging: Staging) -> int:
        """Says what is there, and receives what is not; bytes of all files."""
        machine, offload = self._machine, self._inbox.offload
        there = await offload(staging.match, machine.manifest)
        peer, total = self._stream.peer, machine.manifest.total
        machine.stream_limit = await self._inbox.admit(staging, peer, total - sum(size for _, size in there))
        machine.stream_limit = min(machine.stream_limit, MAX_SIZE)
        for start in range(0, len(there), MAX_HAVE):
            have = [await offload(staging.known, index, size) for index, size in there[start : start + MAX_HAVE]]
            await self._stream.send_all(machine.have(have))
        await self._stream.send_all(machine.go())
        came = sum(size for _, size in there)
        async with together() as nursery:
            nursery.start_soon(self._write, staging)
            came += await self._read(staging)
        return came

    async def _read(self, staging: Staging) -> int:
        """Turns what comes into steps, until all files came; how many bytes did."""
        came, is_over = 0, False
        while not is_over:
            for event in self._machine.receive(await self._next()):
                kind = event[0]
                if kind is Event.DATA:
                    came += len(event[1])
                    self._gather(event[1], staging)
                elif kind is Event.START:
                    self._step(Step(staging.start, event[1:]))
                elif kind is Event.END:
                    self._flush(staging)
                    self._step(Step(staging.end, event[1:]))
                elif kind is Event.FINISH:
                    is_over = True
            while self._queued > QUEUE_BYTES or len(self._steps) > 2 * BATCH:
                self._wait_for_disk()
                self._room = trio.Event()
                await self._room.wait()
        self._wait_for_disk()
        self._all_came = True
        self._more.set()
        return came

    def _gather(self, piece: bytes, staging: Staging) -> None:
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= WRITE_BYTES:
            self._flush(staging)

    def _flush(self, staging: Staging) -> None:
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces, self._gathered = [], 0
            self._step(Step(staging.write, (data,), len(data)))

    def _step(self, step: Step) -> None:
        self._steps.append(step)
        self._queued += step.size
        self._more.set()

    async def _write(self, staging: Staging) -> None:
        """Does the steps in the thread, all that wait in one go, until all came and all is done."""
        while True:
            while self._steps:
                batch = [self._steps.popleft() for _ in range(min(len(self._steps), BATCH))]
                await self._inbox.offload(_do, batch)
                size = sum(step.size for step in batch)
                self._queued -= size
                self._inbox.arrived(staging, size)
                self._room.set()
            if self._all_came:
                return
            self._more = trio.Event()
            await self._more.wait()

    async def _settle(self, staging: Staging, size: int) -> Arrived:
        """Puts everything in place. The record comes first: should we be killed in between, nothing is sent twice."""
        destination = self._inbox.destination(self._petname)
        offload, machine = self._inbox.offload, self._machine
        while True:
            names = await offload(staging.wishes, destination)
            files = staging.received(destination, names)
            page = Page(self._stream.peer, self._petname, machine.transfer, self._now(), names, [])
            with trio.CancelScope(shield=True):
                await self._inbox.records.add(page, files)
                try:
                    await offload(staging.commit, destination, names)
                    break
                except FileExistsError:  # somebody took the name in between: choose again
                    continue
        await offload(staging.discard)
        return await self._confirm(names, machine.manifest.files, size)

    async def _confirm(self, names: list[str], files: int, size: int) -> Arrived:
        with suppress(StreamLost):  # all is in its place: a sender that misses the receipt asks for it again
            await self._stream.send_all(self._machine.receipt(names[:RECEIPT_NAMES]))
            await self._stream.send_eof()
        destination = str(self._inbox.destination(self._petname))
        return Arrived(self._stream.peer, files, size, destination, tuple(names[:RECEIPT_NAMES]))

    async def _next(self) -> bytes:
        """The next bytes. *Raises* StreamLost, also at an END before the end.

        One deadline for all waits, moved once a second: a scope for each piece would cost a quarter of the transfer.
        """
        now = trio.current_time()
        if now >= self._patient_until:
            self._patience.deadline = now + IDLE_S + 1
            self._patient_until = now + 1
        data = await self._stream.receive_some()
        if not data:
            raise StreamLost("channel.stream-lost", stream=self._stream.id)
        return data

    def _wait_for_disk(self) -> None:
        """What we wait for now is our own disk: the sender's time does not run."""
        self._patience.deadline = math.inf
        self._patient_until = 0.0

    async def _refuse(self, error: NzError) -> None:
        """Tells the sender, as far as it listens. Only what it did wrong is said in words: ours may name our paths."""
        code = error.code if error.code.startswith("files.") else "files.cannot-write"
        detail = error.message if isinstance(error, PeerError) else ""
        with trio.move_on_after(REFUSE_S, shield=True):
            try:
                await self._stream.send_all(self._machine.refuse(code, detail))
                await self._stream.send_eof()
                while await self._stream.receive_some():  # until the sender has heard it and closes
                    pass
            except (StreamLost, trio.ClosedResourceError):
                return


def _do(steps: list[Step]) -> None:
    for step in steps:
        step.work(*step.args)


def _all_there(pages: list[Page]) -> bool:
    """Whether a recorded transfer is in its place."""
    return bool(pages) and all(os.path.lexists(path) for page in pages for path, _, _ in page.files)
