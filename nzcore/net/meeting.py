"""A handshake over a wire: moves its bytes and bounds its time; the wire is then the channel's."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import trio

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.net.wire import Buffer, Wire
from nzcore.proto.handshake.machine import HANDSHAKE_S, MESSAGE1_S, Established


class Machine(Protocol):
    """One side of a handshake: `Initiator` or `Responder`."""

    @property
    def rest(self) -> bytes: ...

    def receive(self, data: memoryview) -> Established | None: ...

    def outgoing(self) -> bytes: ...


class Met(NamedTuple):
    """A finished handshake, its wire paused, and what is left: bytes behind the last message, bytes not yet sent."""

    established: Established
    rest: bytes
    leftover: list[Buffer]
    is_cut: Callable[[], bool] = lambda: False
    """Whether the connection has ended since: nobody was attached who could have been told."""


async def meet(wire: Wire, machine: Machine, *, first_s: float = MESSAGE1_S, total_s: float = HANDSHAKE_S) -> Met:
    """Runs a handshake over `wire`, which stays the caller's: paused after success, to be closed after an error.

    *Raises* PeerError as the machine does; `net.too-slow` when the first bytes that lead on take longer than `first_s`
    or all longer than `total_s`; UnavailableError `net.cut` when the connection ends.
    """
    begun = trio.current_time()
    patience = trio.CancelScope(deadline=begun + min(first_s, total_s))
    meeting = _Meeting(wire, machine, patience, begun + total_s)
    with patience:
        await meeting.over.wait()
    if meeting.established is not None:
        return Met(meeting.established, machine.rest, meeting.leftover, lambda: meeting.cut)
    raise meeting.error or PeerError("net.too-slow")


class _Meeting:
    """The handshake as the user of its wire."""

    def __init__(self, wire: Wire, machine: Machine, patience: trio.CancelScope, end: float) -> None:
        """`patience` lasts until `end` once the other side leads on: said here, the waiting task need not be woken."""
        self.over = trio.Event()
        self.established: Established | None = None
        self.error: Exception | None = None
        self.cut = False
        self._wire = wire
        self._machine = machine
        self._patience = patience
        self._end_at = end
        self.leftover: list[Buffer] = []
        wire.attach(self)
        self._send()

    def on_bytes(self, data: memoryview) -> None:
        try:
            self.established = self._machine.receive(data)
        except Exception as error:  # whoever runs the handshake gets it; the wire's reader is not to die of it
            self._end(error)
            return
        if self._send() and self._patience.deadline < self._end_at:
            self._patience.deadline = self._end_at
        if self.established is not None:
            self._wire.pause()
            self._end(None)

    def on_writable(self) -> None:
        self.leftover = self._wire.send(self.leftover)

    def on_end(self, error: OSError | None) -> None:
        self.cut = True
        self._end(UnavailableError("net.cut"))

    def _send(self) -> bool:
        """Sends what the machine has to say; whether it had anything."""
        message = self._machine.outgoing()
        if message:
            self.leftover += self._wire.send([message])
        return bool(message)

    def _end(self, error: Exception | None) -> None:
        if not self.over.is_set():
            self.error = error
            self.over.set()
