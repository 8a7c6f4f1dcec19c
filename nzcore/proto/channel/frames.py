"""Frames: what stands in the plaintext of a record (spec/channel.md §3).

Knows layouts only. Each frame is `kind u8 ‖ stream u32 ‖ length u16 ‖ payload`; frames of the channel itself
have stream 0.
"""

import re
from struct import Struct

from nzcore.base.errors import PeerError
from nzcore.proto.channel.config import DETAIL_BYTES, PROTOCOL_CHARACTERS

HEADER = Struct(">BIH")
HEADER_BYTES = HEADER.size  # 7

# Plain integers, not an Enum: they are compared once or twice for each frame.
PAD, HELLO, OPEN, DATA, CREDIT, END, RESET, PING, PONG, REKEY, CLOSE = range(11)
NAMES = ("PAD", "HELLO", "OPEN", "DATA", "CREDIT", "END", "RESET", "PING", "PONG", "REKEY", "CLOSE")

PING_BYTES = 8
MAX_CREDIT = (1 << 31) - 1  # keeps every sum of credits within 64 bits by far

_U16 = Struct(">H")
_U32 = Struct(">I")
_PROTOCOL = re.compile(r"/[a-z0-9._/-]+", re.ASCII)


def frame(kind: int, stream: int, payload: bytes = b"") -> bytes:
    """One whole frame; the caller keeps `payload` within a record."""
    return HEADER.pack(kind, stream, len(payload)) + payload


def protocol_payload(protocol: str) -> bytes:
    """Payload of OPEN. *Raises* PeerError `channel.bad-protocol` for what no stream can be opened for."""
    data = protocol.encode("utf-8", "surrogatepass")
    read_protocol(data)
    return data


def read_protocol(payload: bytes) -> str:
    """The protocol name of an OPEN frame: `/` and 1 to 63 of `a-z 0-9 . _ - /`. *Raises* PeerError."""
    text = payload.decode("ascii", "replace")
    if len(payload) > PROTOCOL_CHARACTERS or not _PROTOCOL.fullmatch(text):
        raise PeerError("channel.bad-protocol")
    return text


def code_payload(wire: int) -> bytes:
    """Payload of RESET, and of CLOSE before its detail: the reason's number."""
    return _U16.pack(wire)


def read_code(payload: bytes) -> int:
    """*Raises* PeerError `channel.bad-frame`."""
    if len(payload) != _U16.size:
        raise PeerError("channel.bad-frame")
    return int(_U16.unpack(payload)[0])


def read_close(payload: bytes) -> tuple[int, bytes]:
    """The reason's number and the detail of a CLOSE. *Raises* PeerError `channel.bad-frame`."""
    detail = payload[_U16.size :]
    if len(detail) > DETAIL_BYTES:
        raise PeerError("channel.bad-frame")
    return read_code(payload[: _U16.size]), detail


def nonce_payload(nonce: int) -> bytes:
    """Payload of PING and PONG."""
    return nonce.to_bytes(PING_BYTES, "big")


def read_nonce(stream: int, payload: bytes) -> int:
    """*Raises* PeerError `channel.bad-frame`."""
    if stream or len(payload) != PING_BYTES:
        raise PeerError("channel.bad-frame")
    return int.from_bytes(payload, "big")


def credit_payload(amount: int) -> bytes:
    return _U32.pack(amount)


def read_credit(payload: bytes) -> int:
    """*Raises* PeerError `channel.bad-frame` unless 1 ≤ credit < 2³¹."""
    if len(payload) != _U32.size:
        raise PeerError("channel.bad-frame")
    amount = int(_U32.unpack(payload)[0])
    if not 1 <= amount <= MAX_CREDIT:
        raise PeerError("channel.bad-frame")
    return amount
