"""One client of the IPC server: reads calls, answers each with its own outcome (spec/control.md §6.3).

A call that the dispatcher answers at once costs no task. What a client does not read stays with it: beyond
`HIGH_WATER` bytes unsent, streams wait, and nothing more is read from that client.
"""

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

import trio

from nzcore.base import limits
from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.codec.types import builtins
from nzcore.control.verdict import Principal
from nzcore.ipc import wire

CALLS_IN_FLIGHT = 32  # per connection; each may hold one message of 1 MiB
FIRST_MESSAGE_S = 10.0  # a connection that asks nothing gives its place back
HIGH_WATER = 256 * 1024  # bytes unsent per connection before its handlers wait
READ_BYTES = 16 * 1024  # per read: some 500 small calls answered between two turns of the scheduler
LINGER_S = 1.0  # to tell a client why its connection closes


SendItem = Callable[[object], Awaitable[None]]
"""Sends one item of a streaming call; waits while the client does not read."""


class Dispatch(Protocol):
    """Carries out a call: returns its result, or an awaitable of it, which then gets a task of its own.

    `args` are plain values. Results and items may be anything that `codec.types.builtins` takes. Whatever it
    raises ends that call only.
    """

    def __call__(self, principal: Principal, operation: str, args: object, send_item: SendItem) -> object: ...


class Trouble(NamedTuple):
    """Something for the log: what happened, in which operation if in one, and the exception if there is one."""

    what: str
    operation: str
    error: Exception | None


Report = Callable[[Trouble], None]


class _RunningCall:
    """A call with a task: its scope carries the deadline and the cancel, and this says which of the two it was."""

    __slots__ = ("by_client", "scope")

    def __init__(self, deadline_s: float | None) -> None:
        self.by_client = False
        self.scope = trio.CancelScope()
        if deadline_s is not None:
            self.scope.deadline = trio.current_time() + deadline_s

    def cancel(self) -> None:
        self.by_client = True
        self.scope.cancel()


class Connection:
    """Serves one accepted socket, non-blocking and authenticated; `run` ends when it closes, the caller closes it."""

    def __init__(self, sock: socket.socket, principal: Principal, dispatch: Dispatch, report: Report) -> None:
        self._sock = sock
        self._principal = principal
        self._dispatch = dispatch
        self._report = report
        self._wire = wire.ServerWire()
        self._calls: dict[int, _RunningCall] = {}
        self._unsent = bytearray()
        self._corked = False  # while a batch of calls is answered: one send for all that are answered at once
        self._writer = trio.lowlevel.ParkingLot()
        self._drained = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Serves until the client leaves, breaks the protocol, or the caller cancels; cancels what is in flight.

        A cancelled connection tells its client so, as far as the socket takes it without waiting.
        """
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_leftovers)
                try:
                    await self._read(nursery)
                except PeerError as error:
                    await self._say_goodbye(wire.failure_of(error))
                except trio.Cancelled:
                    self._corked = False
                    self._post(wire.encode_close(wire.failure_of(UnavailableError("ipc.stopping"))))
                    raise
                nursery.cancel_scope.cancel()

    async def _read(self, nursery: trio.Nursery) -> None:
        events: list[wire.ToServer] | None = []
        with trio.move_on_after(FIRST_MESSAGE_S) as patience:
            while events is not None and not events:
                events = await self._receive()
        if patience.cancelled_caught:
            raise PeerError("ipc.idle")
        while events is not None:
            self._corked = True
            for event in events:
                self._take(event, nursery)
                if len(self._unsent) > HIGH_WATER:
                    self._flush()
                    await self._wait_for_room()
            self._corked = False
            self._flush()
            events = await self._receive()

    async def _receive(self) -> list[wire.ToServer] | None:
        """What arrives next; None when the client has closed its side, which takes back all its calls."""
        await trio.lowlevel.wait_readable(self._sock)
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        return self._wire.receive(data) if data else None

    def _take(self, event: wire.ToServer, nursery: trio.Nursery) -> None:
        if isinstance(event, wire.Cancel):
            running = self._calls.get(event.id)
            if running is not None:  # else its answer is already on the way
                running.cancel()
            return
        if event.id in self._calls:
            raise PeerError("ipc.duplicate-id")
        if len(self._calls) >= CALLS_IN_FLIGHT:
            self._post(self._failure_message(event, PeerError("ipc.too-many-calls")))
            return
        send_item = partial(self._send_item, event.id)
        try:
            outcome = self._dispatch(self._principal, event.operation, event.args, send_item)
        except Exception as error:  # a crash boundary: answered and reported, harms its call only
            self._post(self._failure_message(event, error))
            return
        if isinstance(outcome, Awaitable):
            self._calls[event.id] = running = _RunningCall(event.deadline_s)
            nursery.start_soon(self._finish, event, running, outcome)
        else:
            self._post(self._result_message(event, outcome))

    async def _finish(self, call: wire.Call, running: _RunningCall, outcome: Awaitable[object]) -> None:
        try:
            with running.scope:
                result = await outcome
        except Exception as error:  # a crash boundary, as above
            message = self._failure_message(call, error)
        else:
            if not running.scope.cancelled_caught:
                message = self._result_message(call, result)
            elif running.by_client:
                message = self._failure_message(call, PeerError("ipc.cancelled"))
            else:
                message = self._failure_message(call, UnavailableError("ipc.deadline"))
        await self._wait_for_room()
        del self._calls[call.id]
        self._post(message)

    async def _send_item(self, call_id: int, value: object) -> None:
        """*Raises* UnavailableError `ipc.too-large`. A cancelled wait has sent nothing."""
        message = _bounded(wire.encode_item(call_id, builtins(value)))
        await self._wait_for_room()
        self._post(message)

    def _result_message(self, call: wire.Call, result: object) -> bytes:
        try:
            return _bounded(wire.encode_result(call.id, builtins(result)))
        except Exception as error:  # a result that can't be sent is the handler's fault
            return self._failure_message(call, error)

    def _failure_message(self, call: wire.Call, error: Exception) -> bytes:
        """What the caller hears of an error: refusals in full, anything else only that it happened."""
        if isinstance(error, NzError):
            try:
                failure = wire.failure_of(error)
                return _bounded(wire.encode_failure(call.id, failure._replace(facts=_plain(failure.facts))))
            except Exception as unsendable:  # a code that no room declares, facts that are no values
                self._report(Trouble("an error that could not be sent", call.operation, unsendable))
        self._report(Trouble("an operation failed", call.operation, error))
        return wire.encode_failure(call.id, wire.failure_of(UnavailableError("ipc.internal")))

    def _post(self, message: bytes) -> None:
        self._unsent += message
        if not self._corked:
            self._flush()

    def _flush(self) -> None:
        """Sends what the socket takes now; the writer sends the rest."""
        if not self._unsent:
            return
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:  # the client is gone, and with it whoever would read an answer
            self._scope.cancel()
            return
        del self._unsent[:sent]
        if self._unsent:
            self._writer.unpark()

    async def _write_leftovers(self) -> None:
        while True:
            if not self._unsent:
                await self._writer.park()
            await trio.lowlevel.wait_writable(self._sock)
            self._flush()
            if len(self._unsent) <= HIGH_WATER:
                self._drained.unpark_all()

    async def _wait_for_room(self) -> None:
        await trio.lowlevel.checkpoint()
        while len(self._unsent) > HIGH_WATER:
            await self._drained.park()

    async def _say_goodbye(self, failure: wire.Failure) -> None:
        self._corked = False
        self._post(wire.encode_close(failure))
        with trio.move_on_after(LINGER_S):
            while self._unsent:
                await self._drained.park()


def _bounded(message: bytes) -> bytes:
    if len(message) > limits.MESSAGE_BYTES:
        raise UnavailableError("ipc.too-large", size=len(message))
    return message


def _plain(facts: object) -> dict[str, object]:
    plain = builtins(facts)
    assert isinstance(plain, dict)
    return plain
