"""One transfer coming in: the stream on one side, the disk's thread on the other, the machine between.

Received pieces queue up to a bound while the thread writes and hashes what came before: both go on at once, and however
many small files come, they share a hop to the thread.
"""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, PeerError
from nzcore.base.ids import NodeId
from nzcore.net.stream import Stream, StreamLost
from nzcore.node.files.inbox import Inbox
from nzcore.node.files.records import Page
from nzcore.node.files.spool import Spool
from nzcore.node.files.staging import Staging
from nzcore.node.files.together import together
from nzcore.proto.files.machine import MAX_HAVE, Event, Receiver
from nzcore.proto.files.manifest import MAX_SIZE

IDLE_S = 60.0
"""Seconds without a byte after which a sender is taken for gone: its place goes to the next."""

RECEIPT_NAMES = 100
"""Names of roots that a receipt tells: as many as anybody reads."""

REFUSE_S = 5.0
"""Seconds to tell the sender why."""


class Arrived(NamedTuple):
    """Value of `file.received`."""

    peer: NodeId
    files: int
    bytes: int
    destination: str
    names: tuple[str, ...]


class Incoming:
    """Receives one transfer. `run` returns what arrived, and raises why not; what is unfinished then stays or goes."""

    def __init__(self, inbox: Inbox, stream: Stream, petname: str, now: Callable[[], float]) -> None:
        """`now`: seconds since 1970."""
        self._inbox = inbox
        self._stream = stream
        self._petname = petname
        self._now = now
        self._machine = Receiver()
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
        missing = total - sum(size for _, size in there)
        room = await self._inbox.admit(staging, peer, missing, exactly=machine.manifest.has_stream)
        machine.stream_limit = min(room, MAX_SIZE)
        for start in range(0, len(there), MAX_HAVE):
            have = [await offload(staging.known, index, size) for index, size in there[start : start + MAX_HAVE]]
            await self._stream.send_all(machine.have(have))
        await self._stream.send_all(machine.go())
        came = sum(size for _, size in there)
        spool = Spool(offload, staging.write, partial(self._inbox.arrived, staging))
        async with together() as nursery:
            nursery.start_soon(spool.run)
            came += await self._read(staging, spool)
        return came

    async def _read(self, staging: Staging, spool: Spool) -> int:
        """Turns what comes into steps, until all files came; how many bytes did.

        In the wire's callback, and content by a short cut: together 0.1 CPU seconds a GB less than by `receive_some`.
        Where the disk is the slower one, the feed is left until there is room; the window then bounds what comes.
        """
        machine, came, is_over = self._machine, 0, False

        def take(data: bytes) -> None:
            nonlocal came, is_over
            self._be_patient()
            if machine.takes(data):
                came += len(data)
                spool.add(data)
            elif not is_over:
                for event in machine.receive(data):
                    kind = event[0]
                    if kind is Event.DATA:
                        came += len(event[1])
                        spool.add(event[1])
                    elif kind is Event.START:
                        spool.do(staging.start, *event[1:])
                    elif kind is Event.END:
                        spool.do(staging.end, *event[1:])
                    elif kind is Event.FINISH:
                        is_over = True
            if spool.is_full or is_over:
                feeding.cancel()

        while not is_over:
            self._be_patient()
            with trio.CancelScope() as feeding:
                await self._stream.feed(take)
                if not is_over:
                    raise StreamLost("channel.stream-lost", stream=self._stream.id)
            self._wait_for_disk()
            await spool.room()
        spool.complete()
        return came

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
        """The next bytes. *Raises* StreamLost, also at an END before the end."""
        self._be_patient()
        data = await self._stream.receive_some()
        if not data:
            raise StreamLost("channel.stream-lost", stream=self._stream.id)
        return data

    def _be_patient(self) -> None:
        """What we wait for is the sender.

        One deadline for all waits, moved once a second: a scope for each piece would cost a quarter of the transfer.
        """
        now = trio.current_time()
        if now >= self._patient_until:
            self._patience.deadline = now + IDLE_S + 1
            self._patient_until = now + 1

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


def _all_there(pages: list[Page]) -> bool:
    """Whether a recorded transfer is in its place."""
    return bool(pages) and all(os.path.lexists(path) for page in pages for path, _, _ in page.files)
