"""Opens envelopes, as a machine: any split of the bytes in, content out, in constant memory (spec/envelope.md §7).

Content is what the recipient's keys opened; whose it is shows at `finish`. Until then it is nobody's word, and the
caller keeps it from everyone.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.envelope.layout import (
    EXPORT_LABEL,
    HEAD_BYTES,
    RECORD_HEADER_BYTES,
    Head,
    Kind,
    RecordHeader,
    check_start,
    keys_hint,
    node_hint,
    prologue,
)
from nzcore.proto.envelope.seal import Known, Sender, Transcript, check_sender, read_seal
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.noise.kernel import envelope_recipient


class EnvelopeKey(NamedTuple):
    """What opens one envelope and nothing else: the recipient, the handshake's hash, and the key of the records."""

    recipient: NodeId
    handshake: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"<EnvelopeKey for {self.recipient.text}, hidden>"


OpenHead = Callable[[bytes], EnvelopeKey]
"""Finds the key by the head: `open_head` with keys, or whoever holds them asked to do it."""


def open_head(keys: NodeKeys, head: bytes) -> EnvelopeKey:
    """The key of the envelope that begins with `head` (72 bytes), sealed for the node of `keys`.

    *Raises* PeerError `envelope.not-an-envelope`, `envelope.unknown-version`, `envelope.truncated`,
    `envelope.other-recipient`, `envelope.other-keys`, `envelope.damaged`.
    """
    parsed = Head.parse(head)
    if parsed.node_hint != node_hint(parsed.message, keys.node):
        raise PeerError("envelope.other-recipient", node=keys.node)
    if parsed.keys_hint != keys_hint(parsed.message, keys.certificate.dh_key):
        raise PeerError("envelope.other-keys", epoch=keys.epoch)
    handshake = envelope_recipient(keys.agreement, prologue=prologue(keys.node))
    try:
        handshake.read_message(parsed.message)
    except PeerError as error:
        raise PeerError("envelope.damaged") from error
    transport = handshake.split_one_way(EXPORT_LABEL)
    return EnvelopeKey(keys.node, transport.handshake_hash, transport.exporter)


class Opener:
    """Opens one envelope: any number of `feed`, then `finish`. After an error it is done with.

    Holds at most one record (65,538 bytes) beside what it was fed.
    """

    __slots__ = ("_buffer", "_cipher", "_dead", "_digest", "_key", "_open_head", "_seal", "_size")

    def __init__(self, open_head: OpenHead) -> None:
        """`open_head` is called once, when 72 bytes are there."""
        self._open_head = open_head
        self._key: EnvelopeKey | None = None
        self._cipher: CountingCipher | None = None
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._size = 0
        self._seal: bytes | None = None
        self._dead = False

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Content that `data` completes, in order: authentic to the recipient's keys, not yet to a sender.

        *Raises* PeerError `envelope.*`, and what `open_head` raises; UsageError `envelope.out-of-turn` after an error
        or `finish`.
        """
        if self._dead:
            raise UsageError("envelope.out-of-turn")
        self._dead = True
        self._buffer += data
        content = self._read()
        self._dead = False
        return content

    def finish(self, known: Known | None = None) -> Sender:
        """Says that the bytes have ended; who sealed them. Only now is the content good.

        `known` gives what the caller remembers of a node: an older certificate is then refused.
        *Raises* PeerError `envelope.truncated`, `envelope.bad-seal`, `envelope.other-content`, `envelope.sender-…`;
        UsageError `envelope.out-of-turn`.
        """
        if self._dead:
            raise UsageError("envelope.out-of-turn")
        self._dead = True
        if self._key is None:
            check_start(bytes(self._buffer))
        if self._key is None or self._seal is None:
            raise PeerError("envelope.truncated")
        if self._cipher is not None:
            self._cipher.wipe()
        transcript = Transcript(self._key.recipient, self._key.handshake, self._digest.digest(), self._size)
        return check_sender(read_seal(self._seal, transcript), known)

    def _read(self) -> list[bytes]:
        buffer = self._buffer
        if self._cipher is None:
            check_start(bytes(buffer[:HEAD_BYTES]))
            if len(buffer) < HEAD_BYTES:
                return []
            self._key = self._open_head(bytes(buffer[:HEAD_BYTES]))
            self._cipher = CountingCipher(self._key.key)
            del buffer[:HEAD_BYTES]
        content: list[bytes] = []
        at = 0
        while len(buffer) - at >= RECORD_HEADER_BYTES and self._seal is None:
            body = at + RECORD_HEADER_BYTES
            header = bytes(buffer[at:body])
            kind, size = RecordHeader.parse(header)
            if len(buffer) < body + size:
                break
            self._take(kind, self._open(self._cipher, header, bytes(buffer[body : body + size])), content)
            at = body + size
        del buffer[:at]
        if self._seal is not None and buffer:
            raise PeerError("envelope.trailing")
        return content

    def _open(self, cipher: CountingCipher, header: bytes, ciphertext: bytes) -> bytes:
        try:
            return cipher.decrypt(header, ciphertext)
        except PeerError as error:
            raise PeerError("envelope.damaged", at=self._size) from error

    def _take(self, kind: Kind, plaintext: bytes, content: list[bytes]) -> None:
        if kind is Kind.SEAL:
            self._seal = plaintext
            return
        self._digest.update(plaintext)
        self._size += len(plaintext)
        content.append(plaintext)
