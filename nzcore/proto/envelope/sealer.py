"""Seals content for one node, as a machine: content in, envelope out, in constant memory (spec/envelope.md §6).

Needs no secret of its own: the ephemeral key is made here and forgotten, and signing is a call, so that a process
without the node's keys can seal too.
"""

import hashlib

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.envelope.layout import CHUNK_BYTES, EXPORT_LABEL, Head, Kind, RecordHeader, prologue
from nzcore.proto.envelope.seal import Sign, Transcript
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.noise.kernel import TAG_BYTES, Handshake, envelope_sender


class Sealer:
    """Makes one envelope: `start`, any number of `chunk`, `finish`. What they return, joined, is the envelope.

    Nothing is to be closed; a sealer that is dropped leaves bytes that nobody accepts.
    """

    __slots__ = ("_cipher", "_digest", "_handshake", "_pending", "_recipient", "_sign", "_size")

    def __init__(self, recipient: Certificate, sign: Sign) -> None:
        """`sign` is called once, by `finish`. *Raises* PeerError `envelope.recipient-retired`."""
        if recipient.final:
            raise PeerError("envelope.recipient-retired", node=recipient.node)
        self._recipient = recipient
        self._sign = sign
        self._cipher: CountingCipher | None = None
        self._handshake = b""
        self._digest = hashlib.sha256()
        self._size = 0
        self._pending = bytearray()

    def start(self) -> bytes:
        """The head, 72 bytes. *Raises* UsageError `envelope.out-of-turn`; PeerError `envelope.weak-recipient` where
        the recipient's key has small order."""
        if self._handshake:
            raise UsageError("envelope.out-of-turn")
        handshake = self._new_handshake()
        try:
            message = handshake.write_message()
        except PeerError as error:
            raise PeerError("envelope.weak-recipient", node=self._recipient.node) from error
        transport = handshake.split_one_way(EXPORT_LABEL)
        self._cipher = CountingCipher(transport.exporter)
        self._handshake = transport.handshake_hash
        return Head.make(self._recipient, message).encode()

    def chunk(self, data: bytes | bytearray | memoryview) -> bytes:
        """Full records, perhaps none; less than a record's worth of content is held back.

        *Raises* UsageError `envelope.out-of-turn`.
        """
        if self._cipher is None:
            raise UsageError("envelope.out-of-turn")
        self._digest.update(data)
        records: list[bytes] = []
        with memoryview(data).cast("B") as view:
            self._size += len(view)
            at = 0
            if self._pending:
                at = min(CHUNK_BYTES - len(self._pending), len(view))
                self._pending += view[:at]
                if len(self._pending) == CHUNK_BYTES:
                    self._add(records, Kind.CONTENT, bytes(self._pending))
                    self._pending.clear()
            while len(view) - at >= CHUNK_BYTES:
                self._add(records, Kind.CONTENT, bytes(view[at : at + CHUNK_BYTES]))
                at += CHUNK_BYTES
            self._pending += view[at:]
        return b"".join(records)

    def finish(self) -> bytes:
        """The last content and the seal. *Raises* UsageError `envelope.out-of-turn`, and what `sign` raises: then the
        envelope has no end, and nothing more can be done with it."""
        if self._cipher is None:
            raise UsageError("envelope.out-of-turn")
        records: list[bytes] = []
        if self._pending:
            self._add(records, Kind.CONTENT, bytes(self._pending))
        cipher = self._cipher
        try:
            seal = self._sign(Transcript(self._recipient.node, self._handshake, self._digest.digest(), self._size))
            self._add(records, Kind.SEAL, seal)
            return b"".join(records)
        finally:
            cipher.wipe()
            self._cipher = None

    def _new_handshake(self) -> Handshake:
        """The one random choice; vector tools and tests override it."""
        return envelope_sender(self._recipient.dh_key, prologue=prologue(self._recipient.node))

    def _add(self, records: list[bytes], kind: Kind, plaintext: bytes) -> None:
        assert self._cipher is not None
        header = RecordHeader(kind, len(plaintext) + TAG_BYTES).encode()
        records += (header, self._cipher.encrypt(header, plaintext))
