"""One connection of a memory network: two ends, and between them what is on its way.

Each end is a `nzcore.net.wire.Wire`. Order is kept, room is limited, and an end behaves as a TCP socket does: bytes
arrive before the end that follows them, and who writes to an end that is gone is told by a reset, if by anything.
"""

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from nzcore.net.wire import Buffer, WireUser

if TYPE_CHECKING:
    from nzcore.testing.network import MemoryNetwork

_FIN = 1
_RST = 2
Piece = bytes | int
"""Bytes, or how the sender ended: in good order or by a reset."""


class Connection:
    """Two ends and the two ways between them. Made by the network."""

    def __init__(self, network: "MemoryNetwork", one: str, other: str, one_text: str, other_text: str) -> None:
        self.hosts = (one, other)
        there, back = _Way(network, one, other), _Way(network, other, one)
        self.ends = (MemoryWire(self, other_text, there, back), MemoryWire(self, one_text, back, there))
        there.sender, there.receiver = self.ends
        back.receiver, back.sender = self.ends
        self._network = network

    def unblock(self) -> None:
        for end in self.ends:
            end.way_out.unblock()

    def break_both(self) -> None:
        """Both ends learn at once that the connection broke."""
        for end in self.ends:
            end.break_off()

    def vanish(self, host: str) -> None:
        for own, end in zip(self.hosts, self.ends, strict=True):
            if own == host:
                end.vanish()

    def call_soon(self, call: Callable[[], None]) -> None:
        self._network.after(0.0, call)

    def ended(self) -> None:
        """Called by each end when it is over; the last one has the connection forgotten."""
        if all(end.is_over for end in self.ends):
            self._network.forget(self)


class _Way:
    """One direction: what was sent and has not been taken."""

    sender: "MemoryWire"
    receiver: "MemoryWire"

    def __init__(self, network: "MemoryNetwork", one: str, other: str) -> None:
        self.room = network.between(one, other).buffer_bytes
        self._network = network
        self._one = one
        self._other = other
        self._free_at = 0.0  # when the medium has sent what it was given
        self._arrived_at = 0.0  # when the last piece arrives: none overtakes it
        self._blocked: deque[Piece] = deque()

    def carry(self, piece: Piece) -> None:
        """Has `piece` arrive in its time, behind all that was sent before."""
        conditions, rng, now = self._network.between(self._one, self._other), self._network.rng, trio.current_time()
        if conditions.cut and rng.random() < conditions.cut:
            self._network.after(conditions.latency_s, self._break)
            return
        self._free_at = max(self._free_at, now)
        if conditions.bandwidth and isinstance(piece, bytes):
            self._free_at += len(piece) / conditions.bandwidth
        at = self._free_at + conditions.latency_s
        if conditions.jitter_s:
            at += rng.random() * conditions.jitter_s
        while conditions.loss and rng.random() < conditions.loss:
            at += conditions.retransmit_s
        self._arrived_at = max(self._arrived_at, at)
        self._network.at(self._arrived_at, lambda: self._arrive(piece))

    def unblock(self) -> None:
        """The way is free again: what waited arrives after a latency, in order."""
        blocked, self._blocked = self._blocked, deque()
        for piece in blocked:
            self.carry(piece)

    def taken(self, size: int) -> None:
        """The receiver has taken `size` bytes: the sender hears of the room a latency later, if it waits for it."""
        self.room += size
        if self.sender.wants_room:
            self.sender.wants_room = False
            self._network.after(self._network.between(self._other, self._one).latency_s, self.sender.tell_writable)

    def _arrive(self, piece: Piece) -> None:
        if self._blocked or not self._network.passes(self._one, self._other):
            if self._network.is_up(self._other):
                self._blocked.append(piece)
            return
        if not self.receiver.is_over:
            self.receiver.arrived(piece)
        elif self.receiver.drains:
            self.taken(len(piece) if isinstance(piece, bytes) else 0)
        elif piece is not _RST:  # nobody is there any more: the other side is told so
            self._network.after(self._network.between(self._other, self._one).latency_s, self.sender.break_off)

    def _break(self) -> None:
        self.sender.break_off()
        self.receiver.break_off()


class MemoryWire:
    """One end of a connection."""

    def __init__(self, connection: Connection, remote: str, way_out: _Way, way_in: _Way) -> None:
        self.remote = remote
        self.reader = None
        self.way_out = way_out
        self.wants_room = False
        self.drains = False
        """Closed in good order: what still comes is read and dropped, as a socket that lingers does."""
        self._connection = connection
        self._way_in = way_in
        self._user: WireUser | None = None
        self._inbox: deque[Piece] = deque()
        self._paused = True
        self._is_done: Callable[[], bool] = _never  # whether what `read_until` waits for has come
        self._done = trio.Event()
        self._delivering = False
        self._over = False

    def attach(self, user: WireUser) -> None:
        self._user = user

    async def read_until(self, is_done: Callable[[], bool]) -> None:
        self._is_done, self._done = is_done, trio.Event()
        self.resume()
        try:
            if not (is_done() or self._over):
                await self._done.wait()
        finally:
            self._is_done = _never
            self.pause()

    def send(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        left: list[Buffer] = [buffer for buffer in buffers if len(buffer)]
        if self._over:
            return []
        taken: list[Buffer] = []
        room = self.way_out.room
        while left and room:
            buffer = left[0]
            if len(buffer) <= room:
                taken.append(left.pop(0))
            else:
                taken.append(memoryview(buffer)[:room])
                left[0] = memoryview(buffer)[room:]
            room -= len(taken[-1])
        if taken:
            self.way_out.room = room
            self.way_out.carry(b"".join(taken))
        self.wants_room = bool(left)
        return left

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._inbox and self._user is not None:
            self._deliver_soon()

    def close(self, *, abort: bool = False, rest: Sequence[Buffer] = ()) -> None:
        self._done.set()
        if self._over:
            return
        self._end()
        if abort:
            self.way_out.carry(_RST)
            return
        self.drains = True
        if last := b"".join(rest):
            self.way_out.carry(last)
        self.way_out.carry(_FIN)

    # For the network.

    @property
    def is_over(self) -> bool:
        return self._over

    def arrived(self, piece: Piece) -> None:
        self._inbox.append(piece)
        if not self._delivering:
            self._deliver()

    def tell_writable(self) -> None:
        if not self._over and self._user is not None:
            self._user.on_writable()

    def break_off(self) -> None:
        """The connection broke; bytes that had arrived and were not taken are lost."""
        if not self._over:
            self._end()
            self._done.set()
            if self._user is not None:
                self._user.on_end(ConnectionResetError(errno.ECONNRESET, "connection reset"))

    def vanish(self) -> None:
        """The host is gone: nothing is sent, nobody here is told."""
        self._end()

    def _deliver_soon(self) -> None:
        """Not inside the call that allows it: callbacks come from the network, never from within a caller."""
        if not self._delivering:
            self._delivering = True
            self._connection.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        while self._inbox and not self._paused and not self._over and self._user is not None:
            piece = self._inbox.popleft()
            if isinstance(piece, bytes):
                self._user.on_bytes(memoryview(piece))
                self._way_in.taken(len(piece))
                if self._is_done():
                    self.pause()
                    self._done.set()
            elif piece is _RST:
                self.break_off()
            else:
                self._end()
                self._done.set()
                self._user.on_end(None)

    def _end(self) -> None:
        self._over = True
        self.wants_room = False
        self._inbox.clear()
        self._connection.ended()


def _never() -> bool:
    return False
