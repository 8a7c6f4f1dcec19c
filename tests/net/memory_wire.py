"""A wire in memory for tests: a bounded medium in each direction, carried when the test says so or at once."""

import socket
from collections.abc import Sequence
from typing import Any

import trio

from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.net.link import Flusher, Link
from nzcore.net.stream import Stream
from nzcore.net.tcp import TcpWire
from nzcore.net.wire import Buffer, WireUser
from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.channel.hello import Hello
from tests.proto.channel.channel_pair import make

ROOM = 128 * 1024
"""Bytes that the medium holds in one direction: what a small socket buffer would."""


class MemoryWire:
    """One end. What is sent lands in the other end's inbox as far as there is room, and is handed over by a pump."""

    def __init__(self, remote: str, room: int) -> None:
        self.remote = remote
        self.reader = None
        self.other: MemoryWire = self
        self.inbox = bytearray()
        self.room = room
        self.closed: str = ""
        self.is_stuck = False  # hands nothing over
        self.sent = bytearray()  # all that was ever sent, as an eavesdropper sees it
        self._user: WireUser | None = None
        self._crowded = False
        self._woken = trio.Event()

    def attach(self, user: WireUser) -> None:
        self._user = user
        self._woken.set()

    def send(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        left = list(buffers)
        if self.closed:
            return []
        while left and (free := self.room - len(self.other.inbox)) > 0:
            taken = left[0][:free]
            self.other.inbox += taken
            self.sent += taken
            if len(taken) == len(left[0]):
                left.pop(0)
            else:
                left[0] = memoryview(left[0])[len(taken) :]
        self._crowded = bool(left)
        self.other._woken.set()
        return left

    def pause(self) -> None:
        self.is_stuck = True

    def resume(self) -> None:
        self.is_stuck = False
        self._woken.set()

    def close(self, *, abort: bool = False, rest: Sequence[Buffer] = ()) -> None:
        if not self.closed:
            if not abort:
                room, self.room = self.room, 1 << 30  # patient
                self.send(rest)
                self.room = room
            else:
                self.other.inbox.clear()
            self.closed = "aborted" if abort else "closed"
            self._woken.set()
            self.other._woken.set()

    async def pump(self) -> None:
        """Hands over what arrives, until either end is closed."""
        while not self.closed:
            if self.is_stuck or self._user is None or not (self.inbox or self.other.closed):
                self._woken = trio.Event()
                await self._woken.wait()
                continue
            await trio.lowlevel.checkpoint()
            if self.inbox:
                data, self.inbox = bytes(self.inbox), bytearray()
                self._user.on_bytes(memoryview(data))
                if self.other._crowded and self.other._user is not None and not self.other.closed:
                    self.other._user.on_writable()
            elif not self.closed:
                self.closed = "ended"
                self._user.on_end(None)


class User:
    """Keeps what a link tells."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.streams: list[Stream] = []
        self.opened = trio.Event()
        self.serve: Any = None

    def on_hello(self, link: Link, hello: Hello) -> None:
        self.told.append(("hello", hello))

    def on_stream(self, link: Link, stream: Stream) -> None:
        self.streams.append(stream)
        self.opened.set()
        if self.serve is not None:
            self.serve(stream)

    def on_rekeyed(self, link: Link, count: int) -> None:
        self.told.append(("rekeyed", count))

    def on_fault(self, link: Link, error: Exception) -> None:
        self.told.append(("fault", error))

    def on_closed(self, link: Link, code: str, *, by_remote: bool) -> None:
        self.told.append(("closed", code, by_remote))

    async def next_stream(self) -> Stream:
        while not self.streams:
            self.opened = trio.Event()
            await self.opened.wait()
        return self.streams.pop(0)


class Links:
    """Two links over a pair of memory wires, in one nursery."""

    wires: tuple[Any, Any]

    def __init__(self, nursery: trio.Nursery, *, room: int = ROOM, config: ChannelConfig | None = None) -> None:
        self._join(nursery, room)
        self.users = User(), User()
        self.flusher = Flusher()
        nursery.start_soon(self.flusher.run)
        self.alice, self.bob = (
            Link(NodeId(bytes([i + 1]) * 32), self._machine(i, config), self.wires[i], self.users[i], self.flusher)
            for i in (0, 1)
        )
        self.alice.start()
        self.bob.start()

    def _join(self, nursery: trio.Nursery, room: int) -> None:
        self.wires = MemoryWire("bob", room), MemoryWire("alice", room)
        self.wires[0].other, self.wires[1].other = self.wires[1], self.wires[0]
        for wire in self.wires:
            nursery.start_soon(wire.pump)

    @staticmethod
    def _machine(index: int, config: ChannelConfig | None) -> Any:
        machine = make(initiator=index == 0, config=config)
        now = Instant(trio.current_time())
        machine._life.heard_at = machine._rekey._keyed_at = now
        machine._rekey._ours._at = machine._rekey._theirs._at = now
        return machine

    async def streams(self, protocol: str = "/nz/test/1") -> tuple[Stream, Stream]:
        """Both ends of one stream."""
        near = await self.alice.open_stream(protocol)
        return near, await self.users[1].next_stream()


class SocketLinks(Links):
    """The same over a pair of real sockets, which somebody has to read."""

    def _join(self, nursery: trio.Nursery, room: int) -> None:
        one, other = socket.socketpair()
        self.wires = TcpWire(one, "bob", nursery.start_soon), TcpWire(other, "alice", nursery.start_soon)
        nursery.start_soon(self._close_wires)

    async def _close_wires(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            for wire in self.wires:
                wire.close(abort=True)
