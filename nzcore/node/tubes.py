"""Input that flows into the node from a command, and pipes that carry it to a peer (spec/files.md §9).

A tube is how a command's standard input enters: the command calls `write` until `end`, and each call waits for room.
A pipe joins two commands through both nodes: one waits under a name, the other dials it.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import trio

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.crypto.random import random_bytes
from nzcore.net.manager import ChannelManager
from nzcore.net.stream import Stream
from nzcore.node.services import DoorService

PROTOCOL = "/nz/pipe/1"
MAX_TUBES = 64
MAX_NAME_BYTES = 64
JOINED, NOBODY = b"\1", b"\0"
GREETING_S = 20.0


class Tube:
    """One input. Iterating gives its pieces until its end."""

    def __init__(self) -> None:
        self.id = random_bytes(16).hex()
        self._send, self._receive = trio.open_memory_channel[bytes](1)

    async def write(self, data: bytes) -> None:
        """Waits for room. *Raises* UsageError `files.no-tube` where nobody reads any more."""
        try:
            await self._send.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise UsageError("files.no-tube") from None

    def end(self) -> None:
        """No more comes."""
        self._send.close()

    def close(self) -> None:
        """Nobody reads any more."""
        self._send.close()
        self._receive.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._receive:
            if data:
                yield data


class Tubes:
    """The inputs that are open, by their ids."""

    def __init__(self) -> None:
        self._open: dict[str, Tube] = {}

    @contextmanager
    def opened(self) -> Iterator[Tube]:
        """A new tube, for as long as the block runs. *Raises* UnavailableError `files.too-many-tubes`."""
        if len(self._open) >= MAX_TUBES:
            raise UnavailableError("files.too-many-tubes", limit=MAX_TUBES)
        tube = Tube()
        self._open[tube.id] = tube
        try:
            yield tube
        finally:
            del self._open[tube.id]
            tube.close()

    def get(self, tube_id: str) -> Tube:
        """*Raises* UsageError `files.no-tube`."""
        tube = self._open.get(tube_id)
        if tube is None:
            raise UsageError("files.no-tube")
        return tube


class Caller(NamedTuple):
    """A stream that a peer opened for a pipe, held open until `ended`."""

    stream: Stream
    ended: trio.Event


class Pipes:
    """Waits for pipes and dials them."""

    def __init__(self, channels: ChannelManager) -> None:
        self._channels = channels
        self._waiting: dict[tuple[NodeId, str], trio.MemorySendChannel[Caller]] = {}

    def open(self) -> Callable[[], None]:
        """Lets peers dial pipes that are waited for, until the result is called."""
        return self._channels.serve(PROTOCOL, self._serve, Scope.FILES)

    async def dial(self, peer: NodeId, name: str) -> Stream:
        """The stream to whoever waits there; the caller closes it. *Raises* PeerError `files.nobody-waits`, `net.*`."""
        stream = await self._channels.open_stream(peer, PROTOCOL)
        try:
            with trio.fail_after(GREETING_S):
                encoded = name.encode()
                await stream.send_all(bytes([len(encoded)]) + encoded)
                answer = await stream.receive_some(1)
        except trio.TooSlowError:
            stream.close()
            raise UnavailableError("net.too-slow") from None
        except BaseException:
            stream.close()
            raise
        if answer != JOINED:
            stream.close()
            raise PeerError("files.nobody-waits" if answer == NOBODY else "files.bad-pipe", name=name)
        return stream

    @asynccontextmanager
    async def waited(self, peer: NodeId, name: str) -> AsyncIterator[Stream]:
        """The stream of the peer that dials `name`, whenever it does. *Raises* UsageError `files.pipe-taken`."""
        if (peer, name) in self._waiting:
            raise UsageError("files.pipe-taken", name=name)
        send, receive = trio.open_memory_channel[Caller](1)
        self._waiting[peer, name] = send
        caller: Caller | None = None
        try:
            try:
                caller = await receive.receive()
            finally:
                self._waiting.pop((peer, name), None)
            await caller.stream.send_all(JOINED)
            yield caller.stream
        finally:
            with suppress(trio.WouldBlock):
                caller = caller or receive.receive_nowait()  # it came just as we were cancelled
            if caller is not None:
                caller.ended.set()

    async def _serve(self, stream: Stream) -> None:
        """Hands the stream to whoever waits for it, and holds it until that has ended."""
        name = ""
        with trio.move_on_after(GREETING_S), suppress(PeerError):
            name = await _read_name(stream)
        if not name:
            return
        place = self._waiting.pop((stream.peer, name), None)
        if place is None:
            await stream.send_all(NOBODY)
            await stream.send_eof()
            return
        ended = trio.Event()
        place.send_nowait(Caller(stream, ended))
        await ended.wait()


async def _read_name(stream: Stream) -> str:
    """The name that a dialling side asks for. *Raises* PeerError `files.bad-pipe`."""
    wanted, data = 1, b""
    while len(data) < wanted:
        piece = await stream.receive_some(wanted - len(data))
        if not piece:
            raise PeerError("files.bad-pipe")
        data += piece
        wanted = 1 + data[0]
    try:
        return check_name(data[1:].decode())
    except (UnicodeDecodeError, UsageError):
        raise PeerError("files.bad-pipe") from None


def check_name(name: str) -> str:
    """*Raises* UsageError `files.bad-pipe-name` unless it has 1 to 64 bytes of printable UTF-8."""
    if not name.isprintable() or not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
        raise UsageError("files.bad-pipe-name")
    return name


class PipesService(DoorService):
    """Joins pipes that peers dial with those that wait for them."""

    name = "pipes"
    summary = "joins commands on two nodes"

    def __init__(self, pipes: Pipes) -> None:
        super().__init__(pipes.open)
