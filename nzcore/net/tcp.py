"""TCP as a wire: raw non-blocking sockets, one receive buffer for the whole process.

Trio's SocketStream with a lock reached half of this: an await, a lock and a task switch for each piece. Here the
reader task calls back synchronously, and a writer task exists only while the socket is full.
"""

import errno
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from nzcore.base.errors import UnavailableError
from nzcore.net.reader import SocketReader
from nzcore.net.transport import OnWire
from nzcore.net.wire import Buffer, Spawn, WireUser
from nzcore.proto.identity.address import Address

RECEIVE_BYTES = 256 * 1024
"""Read at once: some eight full records; every wire of the process reads into the same buffer."""

MAX_BUFFERS = 512
"""Handed to one `sendmsg`: below every system's limit (IOV_MAX is 1,024 on Linux)."""

LINGER_S = 5.0
"""Seconds that a closing wire waits for its last bytes to be taken and for the other side's end."""

MAX_DISCARDED = 32
"""Full buffers that a closing wire drops before it waits again for its own last bytes to be taken."""

MAX_LINGERING = 128
"""Wires of the process that linger at once: who is refused goes on holding a descriptor, and no place at the door."""

BACKLOG = 128
ACCEPTED = 16
"""Connections taken in one turn, if so many have come."""

PAUSE_S = 0.1
"""Seconds before accepting again when the process has no descriptor left."""

_OUT_OF_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_UNDER_WAY = frozenset((errno.EINPROGRESS, errno.EALREADY))
_LITERAL = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_receive_buffer = memoryview(bytearray(RECEIVE_BYTES))


class TcpWire:
    """A connected TCP socket as a wire. `close` closes the socket; so does its end."""

    lingering = 0
    """How many of all wires linger."""

    def __init__(self, sock: socket.socket, remote: str, spawn: Spawn) -> None:
        """Takes over a connected socket. `spawn` starts the reader, and a writer whenever the socket is full."""
        sock.setblocking(False)
        with suppress(OSError):  # some systems refuse it where the other side is gone already: reading tells
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.remote = remote
        self._sock = sock
        self._spawn = spawn
        self._user: WireUser | None = None
        self._over = False
        self._reading = False  # the reader's task is there
        self._written: trio.Event | None = None  # while a writer's task waits: set when it ends
        self._last: list[Buffer] | None = None  # what the reader's task is to send after a close in good order
        self.reader = SocketReader(sock, self._receive)

    def attach(self, user: WireUser) -> None:
        self._user = user

    async def read_until(self, is_done: Callable[[], bool]) -> None:
        await self.reader.read_until(is_done)

    def send(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        if self._over:
            return []
        left = list(buffers)
        try:
            if self._push(left):
                self._wait_writable()
        except OSError as error:
            self._end(error)
            return []
        return left

    def pause(self) -> None:
        self.reader.pause()

    def resume(self) -> None:
        if not (self._reading or self._over):
            self._spawn(self._read)
            self._reading = True
        self.reader.resume()

    def close(self, *, abort: bool = False, rest: Sequence[Buffer] = ()) -> None:
        if self._over:
            return
        self._over = True
        self.reader.stop()
        if abort:
            # RST instead of FIN: nothing lingers in TIME_WAIT, and the other side learns at once.
            with suppress(OSError):  # some systems refuse it where the other side is gone already
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self._shut()
            return
        left = list(rest)
        try:
            if not self._push(left):
                self._sock.shutdown(socket.SHUT_WR)
            if self._reading:  # one task at a time may wait for a socket: the one that does goes on with it
                self._last = left
            else:
                self._spawn(self._linger, left)
        except (OSError, RuntimeError, UnavailableError):  # it is gone already; or nobody owns tasks any more
            self._shut()

    def _push(self, left: list[Buffer]) -> bool:
        """Sends of `left` what the socket takes, and removes it there; whether the socket is full. *Raises* OSError."""
        sock = self._sock
        while left:
            try:  # one small record, most often: `send` costs less
                sent = sock.sendmsg(left[:MAX_BUFFERS]) if len(left) > 1 else sock.send(left[0])
            except (BlockingIOError, InterruptedError):
                return True
            if len(left) == 1 and sent == len(left[0]):
                left.clear()
            elif _drop(left, sent):
                return True
        return False

    async def _linger(self, left: list[Buffer]) -> None:
        """`_await_end`, unless too many do: then what the system has taken is all that is sent."""
        if TcpWire.lingering < MAX_LINGERING:
            TcpWire.lingering += 1
            try:
                await self._await_end(left)
            finally:
                TcpWire.lingering -= 1
                self._shut()
        else:
            self._shut()

    async def _await_end(self, left: list[Buffer]) -> None:
        """Sends what is left and waits for the other side's end: closing with bytes unread would send RST, and that
        destroys what is still on its way, the reason in CLOSE first of all."""
        sock = self._sock
        try:
            with trio.move_on_after(LINGER_S):
                while left:
                    self._discard()  # or two that close while both sockets are full would wait for each other
                    if self._written is not None:
                        await self._written.wait()
                    else:
                        await trio.lowlevel.wait_writable(sock)
                    if not self._push(left):
                        sock.shutdown(socket.SHUT_WR)
                while True:
                    await trio.lowlevel.wait_readable(sock)
                    with suppress(BlockingIOError, InterruptedError):
                        if not sock.recv_into(_receive_buffer):
                            break
        except OSError:
            pass

    def _discard(self) -> None:
        """Drops what has come; a bounded part of it, since more may come all the time. *Raises* OSError."""
        with suppress(BlockingIOError, InterruptedError):
            for _ in range(MAX_DISCARDED):
                if not self._sock.recv_into(_receive_buffer):
                    return

    def _shut(self) -> None:
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    async def _read(self) -> None:
        """Reads until the end, then lingers. The only task of a wire that is not full."""
        try:
            await self.reader.run()
            if self._last is not None:
                await self._linger(self._last)
        finally:
            self._reading = False
            if self._over:
                self._shut()

    def _receive(self) -> None:
        """Receives once and hands it on."""
        try:
            size = self._sock.recv_into(_receive_buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if not size:
            self._end(None)
            return
        assert self._user is not None, "attach comes before reading"
        self._user.on_bytes(_receive_buffer[:size])

    def _wait_writable(self) -> None:
        if self._written is None:
            self._written = trio.Event()
            self._spawn(self._tell_writable, self._written)

    async def _tell_writable(self, written: trio.Event) -> None:
        try:
            while not self._over and not await self._writable():
                pass  # woken with a reader that is to look again
        finally:
            self._written = None
            written.set()
        if not self._over and self._user is not None:
            self._user.on_writable()

    async def _writable(self) -> bool:
        try:
            await trio.lowlevel.wait_writable(self._sock)
        except trio.ClosedResourceError:
            return False
        return True

    def _end(self, error: OSError | None) -> None:
        if not self._over:
            self._over = True
            self.reader.stop()
            self._shut()  # nothing lingers: the other side's end has been read, or nothing can be
            if self._user is not None:
                self._user.on_end(error)


def _drop(buffers: list[Buffer], sent: int) -> bool:
    """Removes the first `sent` bytes; whether some of what was offered is left."""
    offered = buffers[:MAX_BUFFERS]
    for index, buffer in enumerate(offered):
        if sent < len(buffer):
            buffers[: index + 1] = [memoryview(buffer)[sent:]]
            return True
        sent -= len(buffer)
    del buffers[: len(offered)]
    return False


class TcpListener:
    """A listening TCP socket; `close` closes it."""

    def __init__(self, sock: socket.socket, address: Address, spawn: Spawn) -> None:
        self.address = address
        self._sock = sock
        self._spawn = spawn

    async def accept(self, on_wire: OnWire) -> None:
        while self._sock.fileno() >= 0:  # it may be closed before its task first runs
            try:
                await trio.lowlevel.wait_readable(self._sock)
            except trio.ClosedResourceError:
                return
            try:
                for _ in range(ACCEPTED):
                    accepted, place = self._sock.accept()
                    remote = Address(place[0], place[1])
                    on_wire(TcpWire(accepted, remote.text, self._spawn), remote.host)
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    await trio.sleep(PAUSE_S)
                elif self._sock.fileno() < 0:
                    return

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


class TcpTransport:
    """Wires over TCP."""

    async def dial(self, address: Address, spawn: Spawn) -> TcpWire:
        try:
            sock = await _connect(address)
        except (OSError, ExceptionGroup) as error:
            raise UnavailableError("net.unreachable", f"cannot reach {address.text}: {_why(error)}") from error
        return TcpWire(sock, address.text, spawn)

    def listen(self, address: Address, spawn: Spawn) -> TcpListener:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(socket.getaddrinfo(address.host, address.port, family, socket.SOCK_STREAM)[0][4])
            sock.listen(BACKLOG)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            raise UnavailableError("net.cannot-listen", f"cannot listen on {address.text}: {_why(error)}") from error
        return TcpListener(sock, Address(address.host, sock.getsockname()[1]), spawn)


async def _connect(address: Address) -> socket.socket:
    """A connected socket. A literal address needs neither a resolver nor a race: measured, a third of Trio's time."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=_LITERAL)[0]
    except socket.gaierror:
        stream = await trio.open_tcp_stream(address.host, address.port)
        return socket.socket(fileno=stream.socket.detach())  # the plain socket; Trio's wrapper lets go of it
    await trio.lowlevel.checkpoint_if_cancelled()
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        error = sock.connect_ex(place)
        if error == errno.EINPROGRESS and (error := sock.connect_ex(place)) == errno.EISCONN:
            error = 0  # on this machine it takes no longer than that
        if error in _UNDER_WAY:
            await trio.lowlevel.wait_writable(sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


def _why(error: BaseException) -> str:
    """What the system said, in its words: `open_tcp_stream` hides it behind an error and a group of its own."""
    while not (isinstance(error, OSError) and error.strerror):
        behind = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if behind is None:
            return str(error)
        error = behind
    return error.strerror
