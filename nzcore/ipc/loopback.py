"""The door where there are no unix sockets: TCP on 127.0.0.1, opened by a token (spec/control.md §7).

Both ends prove that they can read HOME/run/token, the server first; the token itself is never sent. Whoever can
read another user's loopback traffic is an administrator of this machine, and could read the token as well.
"""

import os
import socket
from pathlib import Path
from typing import NamedTuple

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.crypto.hashing import hmac_sha256, same_bytes
from nzcore.crypto.random import random_bytes

FILE_NAME = "token"
TOKEN_BYTES = 32
NONCE_BYTES = 32
PROOF_BYTES = 32
MAGIC = b"nzl1"
HELLO_BYTES = len(MAGIC) + NONCE_BYTES
ANSWER_BYTES = NONCE_BYTES + PROOF_BYTES

SERVER_LABEL = b"NZ-IPC-01 loopback server"
CLIENT_LABEL = b"NZ-IPC-01 loopback client"

ADDRESS = "127.0.0.1"
_FIRST_WORD = "NZ-IPC-01"
_MAX_FILE = 256  # bytes of the token file that are read


class Token(NamedTuple):
    """What HOME/run/token holds: where the server listens, and the secret that opens it."""

    port: int
    secret: bytes

    def __repr__(self) -> str:
        return f"Token(port={self.port}, secret=hidden)"

    def encode(self) -> bytes:
        return f"{_FIRST_WORD} {self.port} {self.secret.hex()}\n".encode("ascii")


class ClientChallenge:
    """The client's half: send `hello`, read ANSWER_BYTES, send what `answer` returns. For one connection."""

    def __init__(self, token: Token, nonce: bytes | None = None) -> None:
        self._token = token
        self._nonce = random_bytes(NONCE_BYTES) if nonce is None else nonce

    @property
    def hello(self) -> bytes:
        return MAGIC + self._nonce

    def answer(self, answer: bytes) -> bytes:
        """Checks the server's proof and returns ours. *Raises* PeerError `ipc.bad-token`: send nothing more."""
        nonces = self._nonce + answer[:NONCE_BYTES]
        if not same_bytes(_proof(self._token, SERVER_LABEL, nonces), answer[NONCE_BYTES:]):
            raise PeerError("ipc.bad-token")
        return _proof(self._token, CLIENT_LABEL, nonces)


class ServerChallenge:
    """The server's half: read HELLO_BYTES, send what `greet` returns, read PROOF_BYTES, `verify` them."""

    def __init__(self, token: Token, nonce: bytes | None = None) -> None:
        self._token = token
        self._nonce = random_bytes(NONCE_BYTES) if nonce is None else nonce
        self._nonces = b""

    def greet(self, hello: bytes) -> bytes:
        """Nonce and proof. *Raises* PeerError `ipc.bad-message` for another protocol."""
        if len(hello) != HELLO_BYTES or not hello.startswith(MAGIC):
            raise PeerError("ipc.bad-message")
        self._nonces = hello[len(MAGIC) :] + self._nonce
        return self._nonce + _proof(self._token, SERVER_LABEL, self._nonces)

    def verify(self, proof: bytes) -> None:
        """*Raises* PeerError `ipc.bad-token`, always where nobody was greeted."""
        if not self._nonces or not same_bytes(_proof(self._token, CLIENT_LABEL, self._nonces), proof):
            raise PeerError("ipc.bad-token")


def _proof(token: Token, label: bytes, nonces: bytes) -> bytes:
    return hmac_sha256(token.secret, label, b"\0", token.port.to_bytes(2, "big"), nonces)


def parse_token(data: bytes) -> Token:
    """*Raises* PeerError `ipc.bad-token` for anything but one token line."""
    try:
        word, port_text, secret_text = data.decode("ascii").split(" ")
        token = Token(int(port_text), bytes.fromhex(secret_text))
    except ValueError as error:
        raise PeerError("ipc.bad-token") from error
    if word != _FIRST_WORD or token.encode() != data or not 0 < token.port < 1 << 16:
        raise PeerError("ipc.bad-token")
    if len(token.secret) != TOKEN_BYTES:
        raise PeerError("ipc.bad-token")
    return token


def write_token(path: Path, token: Token) -> None:
    """Puts the token there at once, readable by nobody else. *Raises* OSError."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)  # from a start that was cut short; its mode is not ours to trust
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(token.encode())
    os.replace(fresh, path)


def connect_loopback(path: Path, timeout_s: float) -> socket.socket:
    """A connected socket to the server whose token file this is: the `connect` of a `Client`.

    *Raises* UnavailableError `ipc.not-running`, `ipc.timeout`, `ipc.connection-lost`; PeerError `ipc.bad-token`,
    also when another process has taken the port of a dead node.
    """
    try:
        with path.open("rb") as file:
            token = parse_token(file.read(_MAX_FILE))
        sock = socket.create_connection((ADDRESS, token.port), None if timeout_s == float("inf") else timeout_s)
    except TimeoutError:
        raise UnavailableError("ipc.timeout") from None
    except OSError:
        raise UnavailableError("ipc.not-running", path=str(path)) from None
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        challenge = ClientChallenge(token)
        sock.sendall(challenge.hello)
        sock.sendall(challenge.answer(_read_exactly(sock, ANSWER_BYTES)))
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError):
            raise UnavailableError("ipc.timeout") from None
        if isinstance(error, OSError):
            raise UnavailableError("ipc.connection-lost") from None
        raise
    return sock


def _read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise UnavailableError("ipc.connection-lost")
        data += more
    return data
