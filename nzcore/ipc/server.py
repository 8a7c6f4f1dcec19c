"""The door of a node for processes of its owner: a unix socket (spec/control.md §6.2).

Decides who may connect and how many; `Connection` serves each. Asks the operating system for the uid at the other
end, and keeps the folder to its owner besides, because some systems ignore the mode of a socket.
"""

import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import trio

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.control.verdict import Principal
from nzcore.ipc import wire
from nzcore.ipc.connection import Connection, Dispatch, Report, Trouble
from nzcore.ipc.peer import peer_uid

CONNECTIONS = 256  # at once; each may hold HIGH_WATER unsent and one message half read
BACKLOG = 128
OUT_OF_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
Authenticate = Callable[[socket.socket], Awaitable[Principal]]
PAUSE_S = 0.1  # before accepting again when the process has no descriptor left


async def serve(
    path: Path,
    dispatch: Dispatch,
    *,
    report: Report,
    task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves the owner's processes at `path` until cancelled; then the socket file is gone.

    Reports readiness with the path. The caller holds the home's lock: a socket file found there belongs to a dead
    node and is replaced. *Raises* UnavailableError `ipc.unsafe-folder`, `ipc.path-taken`.
    """

    async def authenticate(sock: socket.socket) -> Principal:
        return owner_of(sock)

    listener = _listen(path)
    made = os.lstat(path)
    try:
        task_status.started(path)
        await accept_from(listener, dispatch, report=report, authenticate=authenticate)
    finally:
        listener.close()
        _remove(path, made)


def owner_of(sock: socket.socket) -> Principal:
    """The principal at the other end. *Raises* PeerError `ipc.not-owner` for any other user, root included."""
    uid, owner = peer_uid(sock), os.getuid()
    if uid != owner:
        who = "the system does not tell who you are" if uid is None else f"you are uid {uid}"
        raise PeerError("ipc.not-owner", f"the node belongs to the user with uid {owner}, and {who}")
    return Principal("owner", str(owner))


async def accept_from(
    listener: socket.socket, dispatch: Dispatch, *, report: Report, authenticate: Authenticate
) -> None:
    """Accepts for ever from a listening, non-blocking socket; closes what it accepts, not the listener."""
    door = _Door(dispatch, report, authenticate)
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                sock, _ = listener.accept()
            except OSError as error:  # mostly a client that left before we looked
                if error.errno in OUT_OF_DESCRIPTORS:
                    report(Trouble("no descriptor left for a connection", "", error))
                    await trio.sleep(PAUSE_S)
                continue
            sock.setblocking(False)
            nursery.start_soon(door.serve, sock)


class _Door:
    """Lets in whom `authenticate` knows, as many as there is room for."""

    def __init__(self, dispatch: Dispatch, report: Report, authenticate: Authenticate) -> None:
        self._dispatch = dispatch
        self._report = report
        self._authenticate = authenticate
        self._open = 0

    async def serve(self, sock: socket.socket) -> None:
        """Serves one client to its end; whatever goes wrong with it goes no further."""
        self._open += 1
        try:
            if self._open > CONNECTIONS:
                raise UnavailableError("ipc.busy")
            principal = await self._authenticate(sock)
            await Connection(sock, principal, self._dispatch, self._report).run()
        except (PeerError, UnavailableError) as refusal:
            _turn_away(sock, wire.failure_of(refusal))
        except Exception as error:  # a crash boundary: a fault of ours in one connection is no other's
            self._report(Trouble("a connection failed", "", error))
        finally:
            self._open -= 1
            sock.close()


def _turn_away(sock: socket.socket, failure: wire.Failure) -> None:
    """Says why, if the client can still hear it; the first bytes on a new socket never wait."""
    with suppress(OSError):
        sock.send(wire.encode_close(failure))


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600; the folder above is made or found to be ours alone."""
    _own_folder(path.parent)
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            message = f"{path} is not a socket, but stands where the node's belongs"
            raise UnavailableError("ipc.path-taken", message, path=str(path))
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        os.chmod(path, 0o600)  # before listen: until then nobody can connect
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise UnavailableError("ipc.no-socket-path", f"cannot listen at {path}: {error.strerror or error}") from error
    return listener


def _own_folder(folder: Path) -> None:
    """Makes the folder, or checks that it is a folder of ours that no one else can enter.

    Nothing is repaired: under a temporary folder, whoever made it first could be anyone.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(folder)
    except OSError as error:
        raise UnavailableError("ipc.unsafe-folder", f"cannot make {folder}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        message = f"{folder}, the folder of the node's socket, is not this user's alone"
        raise UnavailableError("ipc.unsafe-folder", message, folder=str(folder))


def _remove(path: Path, made: os.stat_result) -> None:
    """Removes our socket file, and not one that somebody put in its place."""
    with suppress(OSError):
        if os.path.samestat(os.lstat(path), made):
            os.unlink(path)
