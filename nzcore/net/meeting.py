"""A handshake over a wire: moves its bytes and bounds its time; the wire is then the channel's."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import trio

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.kernel import Deadlines
from nzcore.net.wire import Buffer, Wire
from nzcore.proto.handshake.machine import HANDSHAKE_S, MESSAGE1_S, Established


class Machine(Protocol):
    """One side of a handshake: `Initiator` or `Responder`."""

    @property
    def rest(self) -> bytes: ...

    def receive(self, data: memoryview) -> Established | None: ...

    def outgoing(self) -> bytes: ...


class Met(NamedTuple):
    """A finished handshake, its wire unread, and what is left: bytes behind the last message, bytes not yet sent."""

    established: Established
    rest: bytes
    leftover: list[Buffer]
    is_cut: Callable[[], bool] = lambda: False
    """Whether the connection has ended since: nobody was attached who could have been told."""


async def meet(
    wire: Wire, machine: Machine, deadlines: Deadlines, *, first_s: float = MESSAGE1_S, total_s: float = HANDSHAKE_S
) -> Met:
    """Runs a handshake over `wire`, which stays the caller's: it hears nothing after success, and is to be closed after
    an error.

    *Raises* PeerError as the machine does; `net.too-slow` when the first bytes that lead on take longer than `first_s`
    or all longer than `total_s`; UnavailableError `net.cut` when the connection ends.
    """
    begun = trio.current_time()
    meeting = _Meeting(wire, machine, deadlines, begun + total_s)
    deadlines.add(meeting, begun + min(first_s, total_s))
    try:
        meeting.begin()
        await wire.read_until(meeting.is_over)
    finally:
        deadlines.remove(meeting)
    if meeting.established is not None:
        return Met(meeting.established, machine.rest, meeting.leftover, lambda: meeting.cut)
    raise meeting.error or UnavailableError("net.cut")


class _Meeting:
    """The handshake as the user of its wire; the task that waits for it reads, so that it needs none of its own."""

    def __init__(self, wire: Wire, machine: Machine, deadlines: Deadlines, end: float) -> None:
        """Once the other side leads on, it may last until `end`."""
        self.established: Established | None = None
        self.error: Exception | None = None
        self.cut = False
        self.leftover: list[Buffer] = []
        self._wire = wire
        self._machine = machine
        self._deadlines = deadlines
        self._end_at = end

    def begin(self) -> None:
        self._wire.attach(self)
        self._send()

    def expire(self) -> None:
        """Closing the wire is what wakes the task that reads."""
        if not self.is_over():
            self.error = PeerError("net.too-slow")
            self._wire.close(abort=True)

    def is_over(self) -> bool:
        return self.established is not None or self.error is not None

    def on_bytes(self, data: memoryview) -> None:
        try:
            self.established = self._machine.receive(data)
        except Exception as error:  # whoever runs the handshake gets it; the wire's reader is not to die of it
            self.error = error
            return
        if self._send() and self.established is None:
            self._deadlines.add(self, self._end_at)

    def on_writable(self) -> None:
        if self.established is None:  # then it is whoever comes next that sends what is left
            self.leftover = self._wire.send(self.leftover)

    def on_end(self, error: OSError | None) -> None:
        self.cut = True
        if not self.is_over():
            self.error = UnavailableError("net.cut")

    def _send(self) -> bool:
        """Sends what the machine has to say; whether it had anything."""
        message = self._machine.outgoing()
        if message:
            self.leftover += self._wire.send([message])
        return bool(message)
