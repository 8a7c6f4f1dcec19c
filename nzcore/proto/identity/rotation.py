"""Rotation without handing the mnemonic to a suspect node (NZ-IDENTITY-01 §9).

There `PendingKeys` make a `RotationRequest`; elsewhere `approve` answers it with a certificate; there `apply` takes the
new keys up. The request is signed by the pending key, which proves that whoever asks holds it; nothing proves who
asks, so a person compares `RotationRequest.code` on both screens before approving.
"""

from base64 import b32encode
from dataclasses import dataclass, field
from typing import Self

from nzcore.base import limits
from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.base.instant import WallTime
from nzcore.codec.cbor import Encodable, Value
from nzcore.crypto.hashing import sha256
from nzcore.crypto.keys import AgreementPublic, AgreementSecret, SigningKey, VerifyKey
from nzcore.crypto.secrets import Hidden
from nzcore.proto.identity import armour
from nzcore.proto.identity.certificate import Certificate, Flags, admit, next_epoch
from nzcore.proto.identity.fields import VERSION, Fields
from nzcore.proto.identity.node_keys import KeySeeds, NodeKeys, keys_from_seeds
from nzcore.proto.identity.root import Root
from nzcore.proto.identity.signed import open_signed, sign_object

LABEL = "NZ-IDENTITY-01 request"
CODE_LABEL = b"NZ-IDENTITY-01 request code"
CODE_BYTES = 10  # 16 symbols: 80 bits, beyond whoever searches for another request with the same code
TEXT_PREFIX = "nzr"
REQUEST_BYTES = 768  # a certificate, two keys, a signature and what holds them together


@dataclass(frozen=True, slots=True)
class RotationRequest:
    """A verified request of a node to certify fresh keys; `current` is the certificate it still runs under."""

    current: Certificate
    sign_key: VerifyKey
    dh_key: AgreementPublic
    code: str = field(compare=False)
    encoded: bytes = field(compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """*Raises* PeerError `codec.*`, `identity.bad-request`, `identity.unknown-version`, `identity.keys-reused`,
        `crypto.bad-signature`, and as `Certificate.parse` for the certificate inside.
        """
        opened = open_signed(data, LABEL, _pending_key, max_bytes=REQUEST_BYTES)
        fields = _fields(opened.value)
        current = Certificate.parse(fields.binary(1, 1, limits.CERTIFICATE_BYTES))
        sign_key, dh_key = VerifyKey(fields.binary(2, 32)), AgreementPublic(fields.binary(3, 32))
        taken = {bytes(current.root), bytes(current.sign_key), bytes(current.dh_key)}
        if len(taken | {bytes(sign_key), bytes(dh_key)}) < 5:
            raise PeerError("identity.keys-reused", node=current.node)
        return cls(current, sign_key, dh_key, _code(opened.payload), bytes(data))

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """The request in a `nzr:` text. *Raises* PeerError as `parse`, and `identity.bad-text`."""
        return cls.parse(armour.decode(TEXT_PREFIX, text, max_bytes=REQUEST_BYTES))

    @property
    def text(self) -> str:
        """`nzr:` text in lines of 64 characters."""
        return armour.encode_lines(TEXT_PREFIX, self.encoded)

    @property
    def node(self) -> NodeId:
        return self.current.node

    @property
    def epoch(self) -> int:
        """The epoch that the node runs under; the answer's is higher."""
        return self.current.epoch


class PendingKeys(Hidden):
    """Fresh keys of a node that nobody has certified yet. The maker wipes them, or `apply` passes them on."""

    __slots__ = ("_agreement", "_signing")

    def __init__(self, signing: SigningKey, agreement: AgreementSecret) -> None:
        self._signing = signing
        self._agreement = agreement

    @classmethod
    def generate(cls) -> Self:
        return cls(SigningKey.generate(), AgreementSecret.generate())

    @classmethod
    def from_seeds(cls, seeds: KeySeeds) -> Self:
        """The keys as the vault gives them back; `seeds` stays the caller's to wipe."""
        return cls(*keys_from_seeds(seeds))

    @property
    def sign_key(self) -> VerifyKey:
        return self._signing.public

    @property
    def dh_key(self) -> AgreementPublic:
        return self._agreement.public

    def request(self, current: Certificate) -> RotationRequest:
        """Asks for these keys to follow those of `current`. *Raises* PeerError `identity.keys-reused`."""
        value: Encodable = {0: VERSION, 1: current.encoded, 2: self.sign_key, 3: self.dh_key}
        return RotationRequest.parse(sign_object(self._signing, LABEL, value))

    def take_up(self, certificate: Certificate) -> NodeKeys:
        """The keys of a new node under its first certificate. *Raises* PeerError `identity.request-mismatch`."""
        if certificate.sign_key != self.sign_key or certificate.dh_key != self.dh_key:
            raise PeerError("identity.request-mismatch", node=certificate.node)
        return NodeKeys(self._signing, self._agreement, certificate)

    def apply(self, current: Certificate, answer: Certificate) -> NodeKeys:
        """The node's keys from now on, under the certificate that answers the request.

        *Raises* PeerError `identity.other-node`, `identity.request-mismatch`, `identity.older-epoch`,
        `identity.forked`, `identity.retired`; these keys are then still pending.
        """
        if answer.node != current.node:
            raise PeerError("identity.other-node", expected=current.node, got=answer.node)
        keys = self.take_up(answer)
        admit(current, answer)
        return keys

    def seeds(self) -> KeySeeds:
        """Both secrets, for the vault alone; the caller wipes them. *Raises* UsageError `crypto.wiped`."""
        return KeySeeds(self._signing.seed(), self._agreement.seed())

    def wipe(self) -> None:
        self._signing.wipe()
        self._agreement.wipe()


def approve(
    root: Root,
    request: RotationRequest,
    now: WallTime,
    *,
    known: Certificate | None = None,
    name: str | None = None,
    flags: Flags | None = None,
) -> Certificate:
    """The certificate that answers `request`, of the next epoch by the approver's clock `now`.

    Name and flags stay as they are in the newest certificate at hand, unless given: show them before approving,
    because a suspect node may ask with an old certificate that had more flags. `known` is a certificate of the node
    that the approver has from elsewhere; a fork between both is healed by the answer.
    *Raises* PeerError `identity.other-identity`, `identity.other-node`, `identity.retired`; UsageError
    `crypto.wiped`.
    """
    current = request.current
    if known and known.node != current.node:
        raise PeerError("identity.other-node", expected=known.node, got=current.node)
    newest = known if known and known.epoch >= current.epoch else current
    if current.final or newest.final or (known and known.final):
        raise PeerError("identity.retired", certificate=newest)
    epoch = next_epoch(newest.epoch, now)
    return root.recertify(newest, request.sign_key, request.dh_key, epoch=epoch, issued=now, name=name, flags=flags)


def _fields(value: Value) -> Fields:
    return Fields(value, "identity.bad-request", required={1, 2, 3})


def _pending_key(value: Value) -> VerifyKey:
    return VerifyKey(_fields(value).binary(2, 32))


def _code(payload: bytes) -> str:
    """Four groups of four symbols."""
    symbols = b32encode(sha256(CODE_LABEL, b"\0", payload)[:CODE_BYTES]).decode()
    return "-".join(symbols[i : i + 4] for i in range(0, len(symbols), 4))
