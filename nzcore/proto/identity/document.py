"""Detached signatures of files, verified offline against a NodeId (NZ-IDENTITY-01 §10).

Knows digests, not files: whoever reads the file hands in its SHA-256 and its size, so any size streams.
"""

from dataclasses import dataclass, field
from typing import Self

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.instant import WallTime
from nzcore.codec.cbor import Value
from nzcore.crypto.hashing import same_bytes
from nzcore.crypto.keys import VerifyKey
from nzcore.proto.identity import armour
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.fields import MAX_ISSUED, U63, VERSION, Fields
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.identity.signed import open_signed

LABEL = "NZ-IDENTITY-01 document"
TEXT_PREFIX = "nzsig"
SIGNATURE_BYTES = 768  # a certificate, a digest, two numbers, a signature and what holds them together
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class DocumentSignature:
    """A signature that verifies under the certificate it carries; that this is the expected node is `verify_document`.

    `issued` is the signer's word, for showing only. `certificate.epoch` says with which keys: a key that was stolen
    and rotated away still signs, so whoever knows a higher epoch of the node should say so beside the result.
    """

    certificate: Certificate
    digest: bytes
    size: int
    issued: WallTime
    encoded: bytes = field(compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """*Raises* PeerError `codec.*`, `identity.bad-document`, `identity.unknown-version`, `identity.retired`
        for keys of a final certificate, `crypto.bad-signature`, and as `Certificate.parse` for the one inside.
        """
        opened = open_signed(data, LABEL, _signer, max_bytes=SIGNATURE_BYTES)
        fields = _fields(opened.value)
        return cls(
            certificate=_certificate(fields),
            digest=fields.binary(2, DIGEST_BYTES),
            size=fields.integer(3),
            issued=WallTime(fields.integer(4, 0, MAX_ISSUED)),
            encoded=bytes(data),
        )

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """The signature in a `nzsig:` text. *Raises* PeerError as `parse`, and `identity.bad-text`."""
        return cls.parse(armour.decode(TEXT_PREFIX, text, max_bytes=SIGNATURE_BYTES))

    @property
    def text(self) -> str:
        """`nzsig:` text in lines of 64 characters: the signature file."""
        return armour.encode_lines(TEXT_PREFIX, self.encoded)

    @property
    def node(self) -> NodeId:
        return self.certificate.node


def sign_document(keys: NodeKeys, digest: bytes, size: int, *, issued: WallTime) -> DocumentSignature:
    """Signs a file of `size` bytes by its SHA-256 `digest` (32 B).

    *Raises* UsageError `identity.bad-argument` for a digest or a number out of range; PeerError `identity.retired`
    where the node's certificate is final.
    """
    if len(digest) != DIGEST_BYTES or not (0 <= size <= U63 and 0 <= issued <= MAX_ISSUED):
        raise UsageError("identity.bad-argument", digest_size=len(digest), size=size, issued=issued)
    value: Value = {0: VERSION, 1: keys.certificate.encoded, 2: digest, 3: size, 4: int(issued)}
    return DocumentSignature.parse(keys.sign(LABEL, value))


def verify_document(signature: str, digest: bytes, size: int, node: NodeId) -> DocumentSignature:
    """The verified content of a `nzsig:` text about a file of this digest and size, signed by `node`.

    *Raises* PeerError `identity.other-node` for another signer, `identity.document-changed` for another file, and as
    `DocumentSignature.parse_text`.
    """
    parsed = DocumentSignature.parse_text(signature)
    if parsed.node != node:
        raise PeerError("identity.other-node", expected=node, got=parsed.node)
    if not same_bytes(parsed.digest, digest) or parsed.size != size:
        raise PeerError("identity.document-changed", signed_size=parsed.size, size=size)
    return parsed


def _fields(value: Value) -> Fields:
    return Fields(value, "identity.bad-document", required={1, 2, 3, 4})


def _certificate(fields: Fields) -> Certificate:
    certificate = Certificate.parse(fields.binary(1, 1, limits.CERTIFICATE_BYTES))
    if certificate.final:
        raise PeerError("identity.retired", certificate=certificate)
    return certificate


def _signer(value: Value) -> VerifyKey:
    return _certificate(_fields(value)).sign_key
