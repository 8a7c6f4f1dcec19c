"""What a running node holds: its operational keys and their certificate, as one object (NZ-IDENTITY-01 §5).

The unified identity of a node: whoever signs, verifies or agrees in the node's name does it here. Purposes bring
their label; keys never leave, except once, to the vault.
"""

from typing import Self

from nzcore.base import limits
from nzcore.base.errors import UsageError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.codec.cbor import Encodable, Value
from nzcore.crypto.keys import AgreementPublic, AgreementSecret, Signature, SigningKey
from nzcore.crypto.secrets import Hidden, SecretBytes
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.signed import open_object, sign_object

SEEDS_BYTES = 64


class KeySeeds(Hidden):
    """The two secrets, 32 bytes each, as the vault keeps them. Whoever got it wipes it."""

    __slots__ = ("agreement", "signing")

    def __init__(self, signing: SecretBytes, agreement: SecretBytes) -> None:
        """Takes over both."""
        self.signing = signing
        self.agreement = agreement

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """From `signing ‖ agreement`, 64 bytes. *Raises* UsageError `identity.bad-argument` for another size."""
        if len(data) != SEEDS_BYTES:
            raise UsageError("identity.bad-argument", size=len(data))
        return cls(SecretBytes(data[: SEEDS_BYTES // 2]), SecretBytes(data[SEEDS_BYTES // 2 :]))

    def encode(self) -> bytes:
        """`signing ‖ agreement`, 64 bytes: to be sealed at once. *Raises* UsageError `crypto.wiped`."""
        return self.signing.reveal() + self.agreement.reveal()

    def wipe(self) -> None:
        self.signing.wipe()
        self.agreement.wipe()


class NodeKeys(Hidden):
    """A node's signing and agreement keys, proven to be those of its certificate."""

    __slots__ = ("agreement", "certificate", "signing")

    def __init__(self, signing: SigningKey, agreement: AgreementSecret, certificate: Certificate) -> None:
        """Takes over both keys. *Raises* UsageError `identity.keys-mismatch` unless `certificate` is about them."""
        if signing.public != certificate.sign_key or agreement.public != certificate.dh_key:
            raise UsageError("identity.keys-mismatch", node=certificate.node)
        self.signing = signing
        self.agreement = agreement
        self.certificate = certificate

    @classmethod
    def from_seeds(cls, seeds: KeySeeds, certificate: Certificate) -> Self:
        """The keys that the vault gave back; the caller wipes `seeds`. *Raises* UsageError `identity.keys-mismatch`."""
        signing, agreement = keys_from_seeds(seeds)
        return cls(signing, agreement, certificate)

    @property
    def node(self) -> NodeId:
        return self.certificate.node

    @property
    def identity(self) -> IdentityId:
        return self.certificate.root

    @property
    def epoch(self) -> int:
        return self.certificate.epoch

    def sign(self, label: str, value: Encodable) -> bytes:
        """`value` as a signed object for the purpose `label`. *Raises* UsageError `codec.unencodable`."""
        return sign_object(self.signing, label, value)

    def sign_message(self, label: str, *parts: bytes) -> Signature:
        """A bare signature (64 B) over `label ‖0‖ parts`, for formats that carry no CBOR."""
        return self.signing.sign(labelled(label, *parts))

    def verify(self, data: bytes, label: str, *, max_bytes: int = limits.SIGNED_OBJECT_BYTES) -> Value:
        """The value of an object that this node itself signed with these keys. *Raises* PeerError as `open_object`."""
        return open_object(data, label, self.certificate.sign_key, max_bytes=max_bytes)

    def agree(self, remote: AgreementPublic) -> bytes:
        """The 32-byte X25519 secret with `remote`. *Raises* PeerError `crypto.zero-agreement`."""
        return self.agreement.agree(remote)

    def seeds(self) -> KeySeeds:
        """Both secrets, for the vault alone; the caller wipes them. *Raises* UsageError `crypto.wiped`."""
        return KeySeeds(self.signing.seed(), self.agreement.seed())

    def wipe(self) -> None:
        """Forgets both secrets; the certificate stays readable."""
        self.signing.wipe()
        self.agreement.wipe()

    def __repr__(self) -> str:
        return f"<NodeKeys of {self.node.text}, epoch {self.epoch}, secrets hidden>"

    __str__ = __repr__


def labelled(label: str, *parts: bytes) -> bytes:
    """`label ‖0‖ parts`: what `sign_message` signs. Labels are ASCII without zero bytes: none begins another."""
    return b"\0".join((label.encode("ascii"), b"".join(parts)))


def verify_message(certificate: Certificate, signature: bytes, label: str, *parts: bytes) -> None:
    """Checks what the node of `certificate` made with `sign_message`. *Raises* PeerError `crypto.bad-signature`."""
    certificate.sign_key.verify(signature, labelled(label, *parts))


def keys_from_seeds(seeds: KeySeeds) -> tuple[SigningKey, AgreementSecret]:
    return SigningKey.from_seed(seeds.signing), AgreementSecret.from_bytes(seeds.agreement)
