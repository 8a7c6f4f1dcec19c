"""The bytes of an envelope around what is sealed: its head and its records (spec/envelope.md §3, §4).

Knows sizes and hints, no secrets.
"""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple, Self

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.crypto.hashing import sha256
from nzcore.crypto.keys import AgreementPublic
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.noise.kernel import ENVELOPE_BYTES, MESSAGE_BYTES, TAG_BYTES

MAGIC = b"nzenvel"
VERSION = 1
HINT_BYTES = 8
HEAD_BYTES = len(MAGIC) + 1 + 2 * HINT_BYTES + ENVELOPE_BYTES  # 72
CONTENT_BYTES = MESSAGE_BYTES - TAG_BYTES  # 65,519: the most that one record holds
SEAL_BYTES = 768  # a certificate, three ids, two numbers, a signature and what holds them together

CHUNK_BYTES = 65_408
"""What our sealer puts into a record: some ciphers are a third slower where length / 64 is odd, as in 65,519."""

NODE_LABEL = b"NZ-ENVELOPE-01 node"
KEYS_LABEL = b"NZ-ENVELOPE-01 keys"
PROLOGUE = b"NZ-ENVELOPE-01"
EXPORT_LABEL = "NZ-ENVELOPE-01 export"

_START = MAGIC + bytes([VERSION])
_EPHEMERAL_BYTES = AgreementPublic.SIZE


class Kind(IntEnum):
    """What a record holds. Exactly one seal ends an envelope."""

    CONTENT = 0
    SEAL = 1


class Head(NamedTuple):
    """The first 72 bytes: two hints at the recipient, for those who know it, and Noise's message."""

    node_hint: bytes
    keys_hint: bytes
    message: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """*Raises* PeerError `envelope.not-an-envelope`, `envelope.unknown-version`, `envelope.truncated`."""
        check_start(data)
        if len(data) != HEAD_BYTES:
            raise PeerError("envelope.truncated", size=len(data))
        at = len(_START)
        return cls(data[at : at + HINT_BYTES], data[at + HINT_BYTES : at + 2 * HINT_BYTES], data[at + 2 * HINT_BYTES :])

    @classmethod
    def make(cls, recipient: Certificate, message: bytes) -> Self:
        """The head that goes with Noise's `message` to `recipient`."""
        return cls(node_hint(message, recipient.node), keys_hint(message, recipient.dh_key), message)

    def encode(self) -> bytes:
        return b"".join((_START, *self))


class RecordHeader(NamedTuple):
    """Kind and size of a ciphertext: three bytes before it, authenticated with it."""

    kind: Kind
    size: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From three bytes. *Raises* PeerError `envelope.bad-record` for what no envelope holds."""
        kind, size = _HEADER.unpack(data)
        most = {Kind.CONTENT: MESSAGE_BYTES, Kind.SEAL: SEAL_BYTES + TAG_BYTES}.get(kind, 0)
        if not TAG_BYTES < size <= most:
            raise PeerError("envelope.bad-record", kind=kind, size=size)
        return cls(Kind(kind), size)

    def encode(self) -> bytes:
        return _HEADER.pack(self.kind, self.size)


_HEADER = Struct(">BH")
RECORD_HEADER_BYTES = _HEADER.size


def prologue(recipient: NodeId) -> bytes:
    """What both sides bind to the handshake: format, version and the recipient's id."""
    return b"\0".join((PROLOGUE, _START + recipient))


def check_start(data: bytes) -> None:
    """Refuses what can't be the beginning of an envelope, however short it is.

    *Raises* PeerError `envelope.not-an-envelope`, `envelope.unknown-version`.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise PeerError("envelope.not-an-envelope")
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise PeerError("envelope.unknown-version", version=data[len(MAGIC)])


def node_hint(message: bytes, node: NodeId) -> bytes:
    """8 bytes that differ from envelope to envelope, and that whoever knows `node` can compute."""
    return sha256(NODE_LABEL, b"\0", message[:_EPHEMERAL_BYTES], node)[:HINT_BYTES]


def keys_hint(message: bytes, dh_key: AgreementPublic) -> bytes:
    """The same for the keys: tells an envelope for rotated keys from a damaged one."""
    return sha256(KEYS_LABEL, b"\0", message[:_EPHEMERAL_BYTES], dh_key)[:HINT_BYTES]
