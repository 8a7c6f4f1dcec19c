"""Files as a service of the node: serves `/nz/files/1`, sends to peers, keeps the inbox in bounds."""

from collections.abc import AsyncIterable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.crypto.random import random_bytes
from nzcore.kernel import Bus, Service
from nzcore.net.manager import ChannelManager
from nzcore.net.stream import Stream, StreamLost
from nzcore.node.config import Files
from nzcore.node.files.inbox import Inbox
from nzcore.node.files.receiving import Incoming
from nzcore.node.files.records import Records
from nzcore.node.files.sending import Outgoing
from nzcore.node.files.source import Survey, survey
from nzcore.node.offload import Offload, in_thread
from nzcore.node.peers import PeerBook
from nzcore.proto.files.frames import TRANSFER_BYTES
from nzcore.store.kv import KV

PROTOCOL = "/nz/files/1"
EXPIRE_S = 3600.0


class FileSent(NamedTuple):
    """Value of `file.sent`."""

    peer: NodeId
    files: int
    bytes: int
    resumed_bytes: int


class FileRefused(NamedTuple):
    """Value of `file.refused`: a transfer of this peer was not taken."""

    peer: NodeId
    code: str


class FileExchange:
    """Transfers in both directions. Made with the node; its service opens and closes the door for incoming ones."""

    def __init__(
        self,
        channels: ChannelManager,
        peers: PeerBook,
        bus: Bus,
        settings: Files,
        folder: Path,
        kv: Callable[[], KV],
        clock: Callable[[], float],
        *,
        offload: Offload = in_thread,
    ) -> None:
        """`folder`: the inbox. `offload` runs disk work; under a virtual clock, set `inbox.offload` to `inline`."""
        self.inbox = Inbox(folder, settings, Records(kv), offload)
        self._channels = channels
        self._peers = peers
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._slots: dict[NodeId, trio.Semaphore] = {}
        self._incoming: set[trio.CancelScope] = set()

    def open(self) -> Callable[[], None]:
        """Takes transfers from peers until the result is called, which ends those under way; they can be resumed."""
        close = self._channels.serve(PROTOCOL, self._serve, Scope.FILES)

        def shut() -> None:
            close()
            for scope in self._incoming:
                scope.cancel()

        return shut

    async def survey(self, paths: list[str]) -> Survey:
        """What is to be sent of these absolute paths. *Raises* as `source.survey`."""
        return await self.inbox.offload(survey, paths)

    def outgoing(
        self, peer: NodeId, found: Survey, *, patience_s: float, content: AsyncIterable[bytes] | None = None
    ) -> Outgoing:
        """A transfer to be run by `send`."""
        open_stream = partial(self._channels.open_stream, peer, PROTOCOL)
        return Outgoing(
            found, random_bytes(TRANSFER_BYTES), open_stream, self.inbox.offload, patience_s=patience_s, content=content
        )

    async def send(self, peer: NodeId, outgoing: Outgoing) -> list[str]:
        """Runs a transfer when it is its turn; names of the roots at the receiver. *Raises* as `Outgoing.run`."""
        slot = self._slots.setdefault(peer, trio.Semaphore(self._settings.at_once))
        async with slot:
            sent = await outgoing.run()
        progress = outgoing.progress
        self._bus.emit("file.sent", FileSent(peer, progress.files, progress.done_bytes, progress.resumed_bytes))
        return sent.names

    def statistics(self) -> Mapping[str, object]:
        return {"inbox": str(self.inbox.folder), "receiving": self.inbox.active}

    async def _serve(self, stream: Stream) -> None:
        peer = stream.peer
        async with self.inbox.slot(peer):
            with trio.CancelScope() as scope:
                self._incoming.add(scope)
                try:
                    known = self._peers.get(peer)
                    petname = known.petname if known is not None else peer.short
                    arrived = await Incoming(self.inbox, stream, petname, self._clock).run()
                    self._bus.emit("file.received", arrived)
                except StreamLost as error:
                    self._bus.emit("file.interrupted", FileRefused(peer, error.code))
                except NzError as error:
                    self._bus.emit("file.refused", FileRefused(peer, error.code))
                finally:
                    self._incoming.discard(scope)
            if scope.cancelled_caught:
                stream.close("channel.cancelled")


class FilesService(Service):
    """Receives files from peers that may send them."""

    name = "files"
    summary = "receives files from peers"
    requires = ("net",)

    def __init__(self, exchange: FileExchange) -> None:
        self._exchange = exchange

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        inbox = self._exchange.inbox
        shut = self._exchange.open()
        try:
            task_status.started()
            while True:
                await inbox.offload(inbox.expire)
                await trio.sleep(EXPIRE_S)
        finally:
            shut()

    def status(self) -> Mapping[str, object]:
        return self._exchange.statistics()
