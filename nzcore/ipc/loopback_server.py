"""Serves the loopback door on Trio (spec/control.md §7); the challenge itself is `ipc.loopback`."""

import os
import socket
from contextlib import suppress
from pathlib import Path

import trio

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.control.verdict import Principal
from nzcore.crypto.random import random_bytes
from nzcore.ipc.connection import Dispatch, Report
from nzcore.ipc.loopback import (
    ADDRESS,
    HELLO_BYTES,
    PROOF_BYTES,
    TOKEN_BYTES,
    ServerChallenge,
    Token,
    write_token,
)
from nzcore.ipc.server import BACKLOG, accept_from

CHALLENGE_S = 5.0  # for both proofs; a local process needs a millisecond


async def serve_loopback(
    token_path: Path,
    dispatch: Dispatch,
    *,
    report: Report,
    task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves whoever can read `token_path`, on a free port of 127.0.0.1, until cancelled; then the file is gone.

    The folder is the caller's to keep private. A token lives as long as one run of the server. Reports readiness
    with the path. *Raises* UnavailableError `ipc.unsafe-folder` where the file can't be written.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((ADDRESS, 0))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        token = Token(listener.getsockname()[1], random_bytes(TOKEN_BYTES))
        try:
            write_token(token_path, token)
        except OSError as error:
            raise UnavailableError("ipc.unsafe-folder", f"cannot write {token_path}: {error.strerror}") from error
        task_status.started(token_path)

        async def authenticate(sock: socket.socket) -> Principal:
            return await challenge(sock, token)

        await accept_from(listener, dispatch, report=report, authenticate=authenticate)
    finally:
        listener.close()
        with suppress(OSError):
            os.unlink(token_path)


async def challenge(sock: socket.socket, token: Token) -> Principal:
    """Runs the server's half on a new non-blocking connection.

    *Raises* PeerError `ipc.bad-token`, `ipc.bad-message`, or `ipc.idle` after CHALLENGE_S.
    """
    with suppress(OSError):  # a client that has gone shows when it is read from
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ours = ServerChallenge(token)
    with trio.move_on_after(CHALLENGE_S):
        try:
            sock.send(ours.greet(await _read_exactly(sock, HELLO_BYTES)))
            ours.verify(await _read_exactly(sock, PROOF_BYTES))
        except OSError as error:
            raise PeerError("ipc.bad-token") from error
        return Principal("owner", "loopback")
    raise PeerError("ipc.idle")


async def _read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        await trio.lowlevel.wait_readable(sock)
        try:
            more = sock.recv(size - len(data))
        except (BlockingIOError, InterruptedError):
            continue
        if not more:
            raise PeerError("ipc.bad-token")
        data += more
    return data
