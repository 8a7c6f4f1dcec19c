"""What the sender signs of an envelope, and who that proves to be (spec/envelope.md §5).

The signature names recipient, handshake and content: taken out and put into another envelope, it does not hold.
"""

from collections.abc import Callable
from typing import NamedTuple

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.instant import WallTime
from nzcore.codec.cbor import Value
from nzcore.crypto.hashing import HASH_BYTES
from nzcore.crypto.keys import VerifyKey
from nzcore.proto.envelope.layout import SEAL_BYTES
from nzcore.proto.identity.certificate import Certificate, admit
from nzcore.proto.identity.fields import MAX_ISSUED, U63, VERSION, Fields
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.identity.signed import open_object

LABEL = "NZ-ENVELOPE-01 content"

Known = Callable[[NodeId], Certificate | None]
"""The highest certificate that the reader remembers of a node, if any."""


class Transcript(NamedTuple):
    """One envelope in four values: 32 bytes each but for `size`, the bytes of its content."""

    recipient: NodeId
    handshake: bytes
    digest: bytes
    size: int


class Sender(NamedTuple):
    """Who sealed an envelope, proven; `issued` is the sender's word, for showing only."""

    certificate: Certificate
    issued: WallTime

    @property
    def node(self) -> NodeId:
        return self.certificate.node


Sign = Callable[[Transcript], bytes]
"""Makes the seal: `make_seal` with keys, or whoever holds them asked to do it."""


def make_seal(keys: NodeKeys, transcript: Transcript, *, issued: WallTime) -> bytes:
    """Signs an envelope; at most 768 bytes.

    *Raises* UsageError `envelope.bad-argument` for a value out of range; PeerError `envelope.sender-retired` where the
    node's own certificate is final.
    """
    recipient, handshake, digest, size = transcript
    sizes = (len(handshake), len(digest))
    if sizes != (HASH_BYTES, HASH_BYTES) or not (0 <= size <= U63 and 0 <= issued <= MAX_ISSUED):
        raise UsageError("envelope.bad-argument", sizes=sizes, size=size, issued=issued)
    if keys.certificate.final:
        raise PeerError("envelope.sender-retired", node=keys.node)
    certificate = keys.certificate.encoded
    value: Value = {0: VERSION, 1: certificate, 2: bytes(recipient), 3: handshake, 4: digest, 5: size, 6: int(issued)}
    return keys.sign(LABEL, value)


def read_seal(data: bytes, transcript: Transcript) -> Sender:
    """Who signed exactly this envelope.

    *Raises* PeerError `envelope.bad-seal` for anything that is not a signed seal (its cause in the fact `cause`),
    `envelope.other-content` for the seal of another envelope.
    """
    try:
        fields = _fields(open_object(data, LABEL, _signer, max_bytes=SEAL_BYTES))
        certificate = _certificate(fields)
        signed = Transcript(
            NodeId(fields.binary(2, NodeId.SIZE)),
            fields.binary(3, HASH_BYTES),
            fields.binary(4, HASH_BYTES),
            fields.integer(5),
        )
        issued = WallTime(fields.integer(6, 0, MAX_ISSUED))
    except PeerError as error:
        raise PeerError("envelope.bad-seal", cause=error.code) from error
    if signed != transcript:
        raise PeerError("envelope.other-content", sender=certificate.node)
    return Sender(certificate, issued)


def check_sender(sender: Sender, known: Known | None = None) -> Sender:
    """Refuses a sender whose certificate is not, or no longer, to be believed.

    *Raises* PeerError `envelope.sender-retired`, `envelope.sender-rotated`, `envelope.sender-forked`.
    """
    held = known(sender.node) if known else None
    try:
        admit(held, sender.certificate)
    except PeerError as error:
        if error.code == "identity.older-epoch":
            raise PeerError("envelope.sender-rotated", node=sender.node, epoch=sender.certificate.epoch) from error
        if error.code == "identity.forked":
            raise PeerError("envelope.sender-forked", node=sender.node, epoch=sender.certificate.epoch) from error
        raise PeerError("envelope.sender-retired", node=sender.node) from error
    return sender


def _fields(value: Value) -> Fields:
    return Fields(value, "envelope.bad-seal", required={1, 2, 3, 4, 5, 6})


def _certificate(fields: Fields) -> Certificate:
    return Certificate.parse(fields.binary(1, 1, limits.CERTIFICATE_BYTES))


def _signer(value: Value) -> VerifyKey:
    return _certificate(_fields(value)).sign_key
