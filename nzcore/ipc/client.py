"""The blocking client: one connection to a running node, for commands that only ask (spec/control.md §6.4).

Imported by every command, so it knows sockets and MessagePack only: no trio, no cryptography, no msgspec.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nzcore.base import limits
from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.ipc import wire
from nzcore.ipc.peer import peer_uid

READ_BYTES = 64 * 1024
TIMEOUT_S = 30.0  # for the whole of a call, unless the caller says otherwise
GRACE_S = 1.0  # after a deadline, for the node's own word that it has passed
FAREWELL_S = 0.5  # to take back a call that nobody waits for any more
WINDOW = 32  # calls on the way at once in `call_many`: as many as a node accepts on one connection

FOREVER = float("inf")

_EXIT_OF_KIND = {wire.FAILED: 1, wire.USAGE: 2, wire.REFUSED: 4, wire.TIMEOUT: 5}
_EXIT_OF_CODE = {"ipc.not-running": 3, "ipc.not-owner": 4, "control.refused": 4, "ipc.timeout": 5}


class NodeError(NzError):
    """What the node answered instead of a result; its code may be newer than our catalogue."""

    def __init__(self, failure: wire.Failure) -> None:
        super().__init__(failure.code, failure.message, hint=failure.hint)
        self.facts = dict(failure.facts)
        self.kind = failure.kind

    @property
    def message(self) -> str:
        return self._message or self.code

    @property
    def hint(self) -> str:
        return self._hint

    @property
    def exit_code(self) -> int:
        """1 failed, 2 usage, 4 refused, 5 timeout: as a command ends on it."""
        return _EXIT_OF_KIND[self.kind]


def exit_code(error: NzError) -> int:
    """On which code a command ends that met this error, from the node or on the way there; 3 is: not running."""
    if isinstance(error, NodeError):
        return error.exit_code
    return _EXIT_OF_CODE.get(error.code, 2 if isinstance(error, UsageError) else 1)


def connect_unix(path: Path, timeout_s: float = TIMEOUT_S) -> socket.socket:
    """A connected socket, whose other end belongs to this user.

    *Raises* UnavailableError `ipc.not-running`, `ipc.busy`, `ipc.no-socket-path`; PeerError `ipc.not-owner`.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_finite(timeout_s))
        sock.connect(os.fspath(path))
        if peer_uid(sock) not in (None, os.getuid()):
            raise PeerError("ipc.not-owner")
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise _no_connection(error, path) from None
        raise
    return sock


def _no_connection(error: OSError, path: Path) -> NzError:
    if isinstance(error, PermissionError):
        return PeerError("ipc.not-owner", path=str(path))
    if isinstance(error, (BlockingIOError, TimeoutError)):  # the queue of those who wait to be accepted is full
        return UnavailableError("ipc.busy", path=str(path))
    if error.errno is None:  # Python's own check against sun_path
        return UnavailableError("ipc.no-socket-path", path=str(path))
    return UnavailableError("ipc.not-running", path=str(path))


class Client:
    """One connection, one call or stream at a time; a context manager that closes it.

    `timeout_s` bounds connecting and each call. `connect` makes the socket where it is not a unix socket at `path`.
    *Raises* as `connect_unix`. After a lost connection, or a timed-out or
    interrupted call that the node did not confirm as cancelled, it is closed.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout_s: float = TIMEOUT_S,
        connect: Callable[[Path, float], socket.socket] = connect_unix,
    ) -> None:
        self._timeout_s = timeout_s
        self._wire = wire.ClientWire()
        self._events: deque[wire.ToClient] = deque()
        self._last_id = 0
        self._streaming = False
        self._sock = connect(path, timeout_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and, at the node, whatever was asked on it."""
        self._sock.close()

    def call(self, operation: str, args: object = None, *, timeout_s: float | None = None) -> object:
        """The result as plain values.

        *Raises* NodeError with the node's refusal; UnavailableError `ipc.timeout`, `ipc.connection-lost`; UsageError
        `ipc.busy-connection` within a stream, `ipc.too-large`, `ipc.not-text`; PeerError if the other end does not
        speak NZ-IPC-01.
        """
        (result,) = self.call_many([(operation, args)], timeout_s=timeout_s)
        return result

    def call_many(self, calls: Iterable[tuple[str, object]], *, timeout_s: float | None = None) -> list[object]:
        """The results of independent calls in their order, without waiting for one before asking the next.

        The timeout is for all of them. Meant for small calls: large ones may block both sides until it passes.
        *Raises* as `call`, at the first failure; the rest are then taken back.
        """
        budget = self._timeout_s if timeout_s is None else timeout_s
        give_up = time.monotonic() + budget + GRACE_S
        results: dict[int, object] = {}
        waiting: set[int] = set()
        with self._taking_back(waiting):
            first = self._last_id + 1
            for operation, args in calls:
                if len(waiting) >= WINDOW:  # one out, one in: both processes stay busy, which beats fewer turns
                    self._collect(waiting, results, give_up)
                self._ask(operation, args, budget, give_up, waiting)
            while waiting:
                self._collect(waiting, results, give_up)
        return [results[call_id] for call_id in range(first, self._last_id + 1)]

    def stream(
        self, operation: str, args: object = None, *, timeout_s: float | None = None
    ) -> Generator[object, None, None]:
        """The items as plain values, as they come; the operation begins with the first `next`.

        Without a timeout it goes on until the node ends it; closing the iterator cancels it at the node.
        *Raises* as `call`.
        """
        budget = FOREVER if timeout_s is None else timeout_s
        give_up = time.monotonic() + budget + GRACE_S
        waiting: set[int] = set()
        with self._taking_back(waiting):
            call_id = self._ask(operation, args, budget, give_up, waiting)
            self._streaming = True
            while True:
                event = self._next_event(give_up)
                if isinstance(event, wire.Item) and event.id == call_id:
                    yield event.value
                elif isinstance(event, wire.Reply) and event.id == call_id:
                    self._settle(event, waiting)
                    return

    def _ask(self, operation: str, args: object, budget: float, give_up: float, waiting: set[int]) -> int:
        deadline_s = None if budget == FOREVER else budget
        try:
            message = wire.encode_call(wire.Call(self._last_id + 1, operation, args, deadline_s))
        except UsageError as error:
            if isinstance(error.__cause__, UnicodeEncodeError):  # a command line's bytes that are no text
                raise UsageError("ipc.not-text") from None
            raise
        if len(message) > limits.MESSAGE_BYTES:  # the node would close the connection
            raise UsageError("ipc.too-large", size=len(message))
        self._last_id += 1
        waiting.add(self._last_id)  # before it is sent: what is cut off half way must be taken back too
        self._send(message, give_up)
        return self._last_id

    def _send(self, message: bytes, give_up: float) -> None:
        try:
            self._sock.settimeout(_finite(give_up - time.monotonic()))
            self._sock.sendall(message)
        except TimeoutError:
            raise UnavailableError("ipc.timeout") from None
        except (BrokenPipeError, ConnectionResetError):
            pass  # the node has closed; what it said before that is still there to be read
        except OSError:
            raise UnavailableError("ipc.connection-lost") from None

    def _collect(self, waiting: set[int], results: dict[int, object], give_up: float) -> None:
        """Reads until one more answer to what is waited for is there."""
        while True:
            event = self._next_event(give_up)
            if isinstance(event, wire.Reply) and event.id in waiting:
                results[event.id] = self._settle(event, waiting)
                return

    def _settle(self, reply: wire.Reply, waiting: set[int]) -> object:
        waiting.discard(reply.id)
        if reply.failure is not None:
            raise NodeError(reply.failure)
        return reply.result

    def _next_event(self, give_up: float) -> wire.Reply | wire.Item:
        while not self._events:
            try:
                self._sock.settimeout(_finite(give_up - time.monotonic()))
                data = self._sock.recv(READ_BYTES)
            except TimeoutError:
                raise UnavailableError("ipc.timeout") from None
            except OSError:
                data = b""
            if not data:
                raise UnavailableError("ipc.connection-lost")
            self._events.extend(self._wire.receive(data))
        event = self._events.popleft()
        if isinstance(event, wire.Close):
            raise NodeError(event.failure)
        return event

    @contextmanager
    def _taking_back(self, waiting: set[int]) -> Iterator[None]:
        """Whatever ends the work inside, Ctrl-C too, cancels at the node the calls that are still waited for."""
        if self._streaming:
            raise UsageError("ipc.busy-connection")
        try:
            yield
        finally:
            self._streaming = False
            if waiting and not self._took_back(waiting):
                self.close()

    def _took_back(self, waiting: set[int]) -> bool:
        """Whether the node has confirmed in short time that none of these calls runs any more."""
        give_up = time.monotonic() + FAREWELL_S
        try:
            self._send(b"".join(map(wire.encode_cancel, waiting)), give_up)
            while waiting:
                event = self._next_event(give_up)
                if isinstance(event, wire.Reply):
                    waiting.discard(event.id)
        except NzError:
            return False
        return True


def _finite(timeout_s: float) -> float | None:
    """For `settimeout`: None waits for ever, and 0 would not wait at all."""
    return None if timeout_s == FOREVER else max(timeout_s, 0.001)
