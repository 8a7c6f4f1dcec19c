"""Short texts between peers: sent by a call on `/nz/message/1`, kept sealed and bounded (spec/files.md §8)."""

import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import trio
from msgspec import Struct

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.reasons import catalogue
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.crypto.random import random_bytes
from nzcore.kernel import Bus
from nzcore.net.manager import ChannelManager
from nzcore.net.requests import read_all
from nzcore.net.stream import Stream
from nzcore.node.peers import PeerBook
from nzcore.node.services import DoorService
from nzcore.store.kv import KV, Delete, Put

PROTOCOL = "/nz/message/1"
ARRIVAL = "message"
NAMESPACE = "messages"
TEXT_BYTES = 16 << 10
"""Longest text in UTF-8: a letter, not a file."""

REQUEST_BYTES = TEXT_BYTES + 256
KEPT = 500
"""Messages kept of each peer; a peer that floods pushes out its own."""

BURST, RATE = 50, 5.0
"""Messages of a peer that are taken at once, and a second: each costs a commit."""

SEND_S = 20.0
IDLE_S = 20.0
REPLY_BYTES = 512
_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # bidi


class Said(Struct, frozen=True):
    """A message on the wire; `id` is 16 random bytes, by which a repeated one is known."""

    id: bytes
    text: str


class Heard(Struct, frozen=True):
    """The answer: empty, or the code of a refusal."""

    refused: str = ""


class Message(Struct, frozen=True):
    """A received message as it is kept, and told to those who show messages."""

    peer: NodeId
    id: bytes
    text: str
    at: float
    """Seconds since 1970 by this node's clock: the sender's word on time is not asked for."""


class Received(NamedTuple):
    """Value of `message.received`: without the text, because what goes over the node's bus stands in its log."""

    peer: NodeId
    id: bytes
    at: float
    size: int
    """Bytes of the text."""


class Messages:
    """Sends, receives and keeps messages."""

    def __init__(
        self,
        channels: ChannelManager,
        peers: PeerBook,
        bus: Bus,
        kv: Callable[[], KV],
        clock: Callable[[], float],
    ) -> None:
        self._channels = channels
        self._peers = peers
        self._bus = bus
        self._kv = kv
        self._clock = clock
        self._allowance: dict[NodeId, tuple[float, float]] = {}  # messages that may come now, and when that was true
        self._taking = trio.Lock()
        self.arrivals = Bus()
        """Each `Message` as it arrives, under the topic ARRIVAL."""

    def open(self) -> Callable[[], None]:
        """Takes messages until the result is called."""
        return self._channels.serve(PROTOCOL, self._serve, Scope.MESSAGE)

    async def send(self, peer: NodeId, text: str, *, timeout_s: float = SEND_S) -> None:
        """Returns when the peer has it. *Raises* UsageError `message.bad-text`; PeerError `message.*`; `net.*`."""
        check_text(text)
        request = pack(builtins(Said(random_bytes(16), text)))
        reply = await self._channels.call(peer, PROTOCOL, request, timeout_s=timeout_s, max_bytes=REPLY_BYTES)
        heard = convert(unpack(reply), Heard)
        if heard.refused:
            known = heard.refused.startswith("message.") and heard.refused in catalogue()
            raise PeerError(heard.refused if known else "message.refused")

    async def all(self) -> list[Message]:
        """Every message kept, the oldest first. *Raises* UnavailableError `store.*`."""
        found: list[Message] = []
        for name in await self._kv().list(NAMESPACE):
            entry = await self._kv().get(NAMESPACE, name)
            if entry is not None:
                found.append(convert(unpack(entry.value), Message))
        return sorted(found, key=lambda one: one.at)

    async def take(self, peer: NodeId, said: Said) -> Message | None:
        """Keeps a message, durably; None for one that came before. *Raises* PeerError `message.*`, `store.*`."""
        if len(said.id) != 16:
            raise PeerError("message.bad-request")
        check_text(said.text)
        self._allow(peer)
        async with self._taking:
            kv = self._kv()
            own = await kv.list(NAMESPACE, f"{peer.text}/")
            if any(name.endswith(said.id.hex()) for name in own):
                return None
            message = Message(peer, said.id, plain_text(said.text), round(self._clock(), 3))
            name = f"{peer.text}/{int(message.at * 1000):015d}-{said.id.hex()}"
            drop = [Delete(NAMESPACE, old) for old in own[: max(0, len(own) + 1 - KEPT)]]
            await kv.write([Put(NAMESPACE, name, pack(builtins(message))), *drop])
        self.arrivals.emit(ARRIVAL, message)
        self._bus.emit("message.received", Received(peer, message.id, message.at, len(message.text.encode())))
        return message

    async def _serve(self, stream: Stream) -> None:
        try:
            with trio.fail_after(IDLE_S):
                request = await read_all(stream, REQUEST_BYTES)
                try:
                    said = convert(unpack(request, max_bytes=REQUEST_BYTES), Said)
                except PeerError:
                    raise PeerError("message.bad-request") from None
            await self.take(stream.peer, said)
            heard = Heard()
        except (PeerError, UsageError) as error:
            heard = Heard(error.code)
        except UnavailableError as error:
            if not error.code.startswith("store."):
                raise
            heard = Heard("message.not-kept")
        except trio.TooSlowError:
            return
        await stream.send_all(pack(builtins(heard)))
        await stream.send_eof()

    def _allow(self, peer: NodeId) -> None:
        now = trio.current_time()
        left, since = self._allowance.get(peer, (float(BURST), now))
        left = min(BURST, left + (now - since) * RATE)
        if left < 1:
            raise PeerError("message.too-fast")
        self._allowance[peer] = (left - 1, now)


def check_text(text: str) -> None:
    """*Raises* UsageError `message.bad-text` unless `text` has 1 to 16 Ki bytes of UTF-8."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= TEXT_BYTES:
        raise UsageError("message.bad-text", size=size)


def plain_text(text: str) -> str:
    """`text` with nothing that a terminal would obey: no control characters but tab and line end, no bidi marks."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join("\N{REPLACEMENT CHARACTER}" if _obeyed(character) else character for character in unified)


def _obeyed(character: str) -> bool:
    return character in _MARKS or (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t")


class MessagesService(DoorService):
    """Receives messages from peers."""

    name = "messages"
    summary = "receives messages from peers"

    def __init__(self, messages: Messages) -> None:
        super().__init__(messages.open)
