"""One transfer going out: read ahead and hashed in a thread while what was read before is on its way.

A broken connection is no end: the transfer waits for the peer and goes on with what the peer still has.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Literal, NamedTuple

import trio
from msgspec import Struct

from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.base.reasons import catalogue
from nzcore.kernel import Backoff
from nzcore.net.stream import Stream, StreamLost
from nzcore.node.files.errands import Errands
from nzcore.node.files.source import Reading, Survey
from nzcore.node.files.together import together
from nzcore.node.offload import Offload
from nzcore.proto.files.frames import DATA_BYTES
from nzcore.proto.files.machine import Event, Sender
from nzcore.proto.files.manifest import Kind

Phase = Literal["queued", "connecting", "waiting", "sending", "finishing", "interrupted", "finished"]

BUSY_S = 15.0
"""Seconds without anything to send, as while a large file is compared, after which a sign of life goes out."""

READ_AHEAD = 2
"""Pieces of a large file read and not yet in a part: with the part that waits and the one being sent, 6 MiB a transfer.

Measured: 3 and 4 gained nothing. Pieces of 256 and 512 KiB cost 0.1 CPU seconds a GB more than those of 1 MiB, for the
frames; hashed outside of the thread, 64 KiB at a time just before they are sealed, they cost 0.15 more.
"""

SMALL_BYTES = 256 << 10
"""Files up to this size are read whole, many in one hop to the thread, as far as they fit a part."""

BATCH_FILES = 256
SKIP_BYTES = 16 << 20  # compared in one hop: so long an interrupt waits
RETRY = Backoff(initial_s=0.25, factor=2.0, max_s=5.0, jitter=0.2)

_FINAL = ("channel.no-protocol", "channel.out-of-scope", "channel.handler-failed", "net.revoked", "net.no-address")


class Progress(Struct):
    """How far a transfer is; the same object throughout."""

    files: int = 0
    total_files: int = 0
    done_bytes: int = 0
    total_bytes: int | None = None
    resumed_bytes: int = 0
    phase: Phase = "queued"


class Sent(NamedTuple):
    """All of it has arrived; the names of the roots at the receiver."""

    names: list[str]


class _Part(NamedTuple):
    """Bytes for the stream, and what is done once they are on their way."""

    pieces: list[bytes]
    content: int
    digests: list[tuple[int, bytes]]


class _Read(NamedTuple):
    """What the thread did with a large file: opened it, or read on."""

    reading: Reading
    data: bytes = b""
    digest: bytes = b""
    """Of the whole file, with its last piece."""


class Outgoing:
    """Sends what `survey` found; `run` returns when it has arrived, and may be cancelled at any moment."""

    def __init__(
        self,
        survey: Survey,
        transfer: bytes,
        open_stream: Callable[[], Awaitable[Stream]],
        offload: Offload,
        *,
        patience_s: float,
        content: AsyncIterable[bytes] | None = None,
    ) -> None:
        """`transfer`: 16 random bytes. `patience_s`: how long an interruption may last.

        `open_stream` opens a stream to the peer; `content` gives what a STREAM consists of, in pieces of up to 1 MiB.
        """
        manifest = survey.manifest
        self.progress = Progress(
            total_files=manifest.files, total_bytes=None if manifest.has_stream else manifest.total
        )
        self.digests: dict[int, bytes] = {}
        """SHA-256 of each file by its index, as far as it is sent."""
        self._survey = survey
        self._transfer = transfer
        self._open_stream = open_stream
        self._offload = offload
        self._patience_s = patience_s
        self._content = content
        self._was_read = False  # content that can't be read twice
        self._reading: Reading | None = None  # of a large file, until it was read or failed
        self._contacted = False
        self._moved_at = trio.current_time()

    async def run(self) -> Sent:
        """*Raises* PeerError with the receiver's refusal; UnavailableError `files.*`, `net.*`, StreamLost."""
        failures = 0
        while True:
            self.progress.phase = "interrupted" if failures else "connecting"
            try:
                stream = await self._open_stream()
                self._contacted = True
                async with stream:
                    return await self._attempt(stream)
            except UnavailableError as error:
                failures = self._judge(error, failures)
            await trio.sleep(RETRY.delay(failures, lambda: 0.5))

    def _judge(self, error: UnavailableError, failures: int) -> int:
        """Failures in a row, where it is worth while to try again. *Raises* `error`, or why not."""
        if error.code.startswith("files.") or error.code in _FINAL or not self._contacted:
            raise error
        if self._was_read:
            raise UnavailableError("files.not-resumable", f"{error.message}; what was read is gone") from error
        if trio.current_time() - self._moved_at > self._patience_s:
            raise UnavailableError("files.gave-up", f"{error.message}, and did not come back") from error
        return failures + 1

    async def _attempt(self, stream: Stream) -> Sent:
        machine = Sender(self._survey.manifest, self._transfer)
        self.progress.phase = "waiting"
        self.progress.files = self.progress.done_bytes = self.progress.resumed_bytes = 0
        receipt: list[Sent] = []
        may_go = trio.Event()

        async def listen() -> None:
            while not receipt:
                data = await stream.receive_some()
                if not data:
                    raise StreamLost("channel.stream-lost", stream=stream.id)
                for event in machine.receive(data):
                    if event[0] is Event.GO:
                        may_go.set()
                    elif event[0] is Event.RECEIPT:
                        receipt.append(Sent(event[1]))
                    else:
                        raise _refusal(event[1], event[2])
            nursery.cancel_scope.cancel()

        async def pump() -> None:
            try:
                for page in machine.offer():
                    await stream.send_all(page)
                await may_go.wait()
                self.progress.phase = "sending"
                await self._send_files(stream, machine)
                self.progress.phase = "finishing"
            except StreamLost:
                await trio.sleep_forever()  # the listener hears why, if a reason was given

        async with together() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(pump)
        if not may_go.is_set():  # an earlier attempt had brought everything, and only its receipt was lost
            await self._hash_rest()
            self.progress.done_bytes = self.progress.resumed_bytes = self._survey.manifest.total
        self._finish()
        return receipt[0]

    async def _send_files(self, stream: Stream, machine: Sender) -> None:
        send, receive = trio.open_memory_channel[_Part](0)
        reads: Errands[_Read] = Errands(self._offload)

        async def read() -> None:
            async with send, aclosing(self._parts(machine, reads)) as parts:
                async for part in parts:
                    await send.send(part)
            reads.complete()

        try:
            with receive:  # until nobody sends there: who finds it closed would take a lost stream for a fault of ours
                async with together() as nursery:
                    nursery.start_soon(reads.run)
                    nursery.start_soon(read)
                    while (part := await self._next_part(stream, machine, receive)) is not None:
                        await self._send_part(stream, part)
        finally:  # no thread reads any more
            for reading in (self._reading, *(read.reading for read in reads.take())):
                if reading is not None:
                    reading.close()
        await stream.send_all(machine.finish())

    async def _send_part(self, stream: Stream, part: _Part) -> None:
        for piece in part.pieces:
            await stream.send_all(piece)
        self._moved_at = trio.current_time()
        self.progress.done_bytes += part.content
        for index, digest in part.digests:
            self.digests[index] = digest
            self.progress.files += 1

    async def _next_part(
        self, stream: Stream, machine: Sender, receive: trio.MemoryReceiveChannel[_Part]
    ) -> _Part | None:
        while True:
            with trio.move_on_after(BUSY_S):
                try:
                    return await receive.receive()
                except trio.EndOfChannel:
                    return None
            await stream.send_all(machine.busy())

    async def _parts(self, machine: Sender, reads: Errands[_Read]) -> AsyncGenerator[_Part, None]:
        """Everything that goes on the stream, in order; reads in the thread as it is asked for more."""
        small: list[tuple[int, str, int]] = []
        held = 0
        for index, entry in enumerate(self._survey.manifest.entries):
            if entry.kind is Kind.FOLDER:
                continue
            is_small = entry.kind is Kind.FILE and entry.size <= SMALL_BYTES and index not in machine.have
            if small and (not is_small or held + entry.size > DATA_BYTES or len(small) == BATCH_FILES):
                yield await self._offload(_whole, machine, small)
                small, held = [], 0
            if is_small:
                small.append((index, self._survey.paths[index], entry.size))
                held += entry.size
            elif entry.kind is Kind.STREAM:
                async with aclosing(self._stream_parts(machine, index)) as parts:
                    async for part in parts:
                        yield part
            else:
                async with aclosing(self._file_parts(machine, reads, index, entry.size)) as parts:
                    async for part in parts:
                        yield part
        if small:
            yield await self._offload(_whole, machine, small)

    async def _file_parts(
        self, machine: Sender, reads: Errands[_Read], index: int, size: int
    ) -> AsyncGenerator[_Part, None]:
        reads.put(partial(_open, self._survey.paths[index], size))
        await reads.news()
        reading = self._reading = reads.take()[0].reading
        offset = 0
        have = machine.have.get(index)
        if have is not None:
            for left in range(have.size, 0, -SKIP_BYTES):
                await self._offload(reading.skip, min(left, SKIP_BYTES))
            if reading.is_at(have.sha256):
                offset = have.size
            else:
                reading.rewind()
        self.progress.resumed_bytes += offset
        pieces, content, asked, digest = [machine.start(index, offset)], offset, offset, b""
        while not digest:
            while reads.outstanding < READ_AHEAD and (asked < size or not reads.outstanding):
                reads.put(partial(_read, reading))
                asked += DATA_BYTES
            await reads.news()
            for read in reads.take():
                if read.data:
                    pieces += (machine.data_header(len(read.data)), read.data)
                    content += len(read.data)
                digest = read.digest
            if digest:
                yield _Part([*pieces, machine.end(digest)], content, [(index, digest)])
            else:
                yield _Part(pieces, content, [])
                pieces, content = [], 0

    async def _stream_parts(self, machine: Sender, index: int) -> AsyncGenerator[_Part, None]:
        assert self._content is not None
        digest = hashlib.sha256()
        yield _Part([machine.start(index, 0)], 0, [])
        self._was_read = True
        async for data in self._content:
            digest.update(data)
            yield _Part([machine.data_header(len(data)), data], len(data), [])
        yield _Part([machine.end(digest.digest())], 0, [(index, digest.digest())])

    async def _hash_rest(self) -> None:
        for index, entry in enumerate(self._survey.manifest.entries):
            if entry.kind is Kind.FILE and index not in self.digests:
                reading = await self._offload(Reading, self._survey.paths[index], entry.size)
                try:
                    while not reading.is_done:
                        await self._offload(reading.skip, SKIP_BYTES)
                    self.digests[index] = await self._offload(reading.finish)
                finally:
                    reading.close()

    def _finish(self) -> None:
        self.progress.files = self._survey.manifest.files
        self.progress.phase = "finished"


def _open(path: str, size: int) -> _Read:
    return _Read(Reading(path, size))


def _read(reading: Reading) -> _Read:
    data = reading.read()
    return _Read(reading, data, reading.finish() if reading.is_done else b"")


def _whole(machine: Sender, files: list[tuple[int, str, int]]) -> _Part:
    """Several small files as one part. In the thread: the machine is not used elsewhere while a part is made."""
    joined: list[bytes] = []
    digests: list[tuple[int, bytes]] = []
    content = 0
    for index, path, size in files:
        reading = Reading(path, size)
        try:
            joined.append(machine.start(index, 0))
            while not reading.is_done:
                data = reading.read()
                joined += (machine.data_header(len(data)), data)
                content += len(data)
            digests.append((index, reading.finish()))
            joined.append(machine.end(digests[-1][1]))
        finally:
            reading.close()
    return _Part([b"".join(joined)], content, digests)


def _refusal(code: str, detail: str) -> NzError:
    """The receiver's word as an error here; a code that this version does not know is quoted."""
    if code.startswith("files.") and code in catalogue():
        return PeerError(code, detail)
    return PeerError("files.refused", f"the other node refused the transfer: {detail or code}")
