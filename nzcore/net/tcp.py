"""TCP as a wire: raw non-blocking sockets, one receive buffer for the whole process (PERFORMANCE by measurement).

Trio's SocketStream with a lock reached half of this: an await, a lock and a task switch for each piece. Here the
reader task calls back synchronously, and a writer task exists only while the socket is full.
"""

import socket
from collections.abc import Sequence

import trio

from nzcore.base.errors import UnavailableError
from nzcore.net.wire import Buffer, Spawn, WireUser

RECEIVE_BYTES = 256 * 1024
"""Read at once: some eight full records; every wire of the process reads into the same buffer."""

MAX_BUFFERS = 512
"""Handed to one `sendmsg`: below every system's limit (IOV_MAX is 1,024 on Linux)."""

LINGER_S = 5.0
"""How long a closing wire may take to send what it took."""

_receive_buffer = memoryview(bytearray(RECEIVE_BYTES))


class TcpWire:
    """A connected TCP socket as a wire. `close` closes the socket; so does its end."""

    def __init__(self, sock: socket.socket, remote: str, spawn: Spawn) -> None:
        """Takes over a connected socket. `spawn` starts the reader, and a writer whenever the socket is full."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.remote = remote
        self._sock = sock
        self._spawn = spawn
        self._user: WireUser | None = None
        self._reader = trio.CancelScope()
        self._over = False
        self._writing = False

    def attach(self, user: WireUser) -> None:
        first = self._user is None
        self._user = user
        if first:
            self._spawn(self._read)

    def send(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        left: list[Buffer] = list(buffers)
        while left and not self._over:
            batch = left[:MAX_BUFFERS]
            try:
                sent = self._sock.sendmsg(batch)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._end(error)
                return []
            if _drop(left, sent):
                self._wait_writable()
                break
        return left

    def close(self, *, abort: bool = False) -> None:
        if self._over:
            return
        self._over = True
        if abort:
            # RST instead of FIN: nothing lingers in TIME_WAIT, and the other side learns at once.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._reader.cancel()
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    async def _read(self) -> None:
        """Reads until the end. The only task of a wire that is not full."""
        sock = self._sock
        with self._reader:
            while not self._over:
                await trio.lowlevel.wait_readable(sock)
                try:
                    size = sock.recv_into(_receive_buffer)
                except (BlockingIOError, InterruptedError):
                    continue
                except OSError as error:
                    self._end(error)
                    return
                if not size:
                    self._end(None)
                    return
                assert self._user is not None, "attach starts the reader"
                self._user.on_bytes(_receive_buffer[:size])

    def _wait_writable(self) -> None:
        if not self._writing:
            self._writing = True
            self._spawn(self._tell_writable)

    async def _tell_writable(self) -> None:
        try:
            await trio.lowlevel.wait_writable(self._sock)
        except trio.ClosedResourceError:
            return
        finally:
            self._writing = False
        if not self._over and self._user is not None:
            self._user.on_writable()

    def _end(self, error: OSError | None) -> None:
        if not self._over:
            self.close()
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


async def dial(host: str, port: int, spawn: Spawn) -> TcpWire:
    """Connects to one numeric address or name, trying all that the name has. The caller bounds the time.

    *Raises* UnavailableError `net.unreachable`.
    """
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnavailableError("net.unreachable", f"cannot reach {host} port {port}: {reason}") from error
    return TcpWire(_detach(stream.socket), f"{host}:{port}", spawn)


def _detach(sock: trio.socket.SocketType) -> socket.socket:
    """The plain socket inside Trio's; Trio lets go of it."""
    return socket.socket(fileno=sock.detach())
