"""Certificates: the identity's signed word on which keys a node uses now (NZ-IDENTITY-01 §5, §6).

Knows how to read, verify and compare them; making one needs a `Root`. The NodeId is computed, never believed.
"""

from dataclasses import dataclass, field
from enum import Enum, IntFlag
from typing import Self

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.base.instant import WallTime
from nzcore.codec.cbor import Value
from nzcore.crypto.hashing import sha256
from nzcore.crypto.keys import AgreementPublic, VerifyKey
from nzcore.proto.identity import armour
from nzcore.proto.identity.fields import MAX_ISSUED, U32, Fields
from nzcore.proto.identity.names import sanitise
from nzcore.proto.identity.signed import open_signed

LABEL = "NZ-IDENTITY-01 certificate"
RETIRE_LABEL = "NZ-IDENTITY-01 retire"
NODE_LABEL = b"NZ-IDENTITY-01 node"
NONCE_BYTES = 16
EPOCH_START = 1_577_836_800  # 2020-01-01T00:00Z in Unix seconds: epochs are minutes since then
MAX_EPOCH = U32
RETIREMENT_BYTES = 160
TEXT_PREFIX = "nzcert"
RETIREMENT_PREFIX = "nzretire"


class Flags(IntFlag):
    """VOICE: this node's revokes count as the identity's own. FINAL: the node is retired for ever."""

    NONE = 0
    VOICE = 1
    FINAL = 2


class Order(Enum):
    """How an offered certificate of a node stands to the one held."""

    NEWER = "newer"
    SAME = "same"
    OLDER = "older"
    FORKED = "forked"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A verified certificate; `parse` and `Root` are the only makers. Equal where the payloads are equal.

    `name` is the owner's suggestion, already sanitised for showing, perhaps empty. `issued` is for showing only.
    """

    root: IdentityId = field(compare=False)
    nonce: bytes = field(compare=False)
    epoch: int = field(compare=False)
    sign_key: VerifyKey = field(compare=False)
    dh_key: AgreementPublic = field(compare=False)
    flags: Flags = field(compare=False)
    name: str = field(compare=False)
    issued: WallTime = field(compare=False)
    node: NodeId = field(compare=False)
    payload: bytes = field(repr=False)
    encoded: bytes = field(compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The certificate in `data` (at most 512 B), after every check that needs no memory of earlier ones.

        *Raises* PeerError `codec.*`, `identity.bad-certificate` (fact `field`), `identity.unknown-version`,
        `crypto.bad-signature`.
        """
        opened = open_signed(data, LABEL, _root_key, max_bytes=limits.CERTIFICATE_BYTES)
        fields = _fields(opened.value)
        root = IdentityId(fields.binary(1, 32))
        nonce = fields.binary(2, NONCE_BYTES)
        return cls(
            root=root,
            nonce=nonce,
            epoch=fields.integer(3, 1, MAX_EPOCH),
            sign_key=VerifyKey(fields.binary(4, 32)),
            dh_key=AgreementPublic(fields.binary(5, 32)),
            flags=Flags(fields.integer(6, 0, Flags.VOICE | Flags.FINAL)),
            name=sanitise(fields.text(7, limits.NAME_BYTES)) if 7 in fields else "",
            issued=WallTime(fields.integer(8, 0, MAX_ISSUED)),
            node=compute_node_id(root, nonce),
            payload=opened.payload,
            encoded=bytes(data),
        )

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """The certificate in a `nzcert:` text. *Raises* PeerError as `parse`, and `identity.bad-text`."""
        return cls.parse(armour.decode(TEXT_PREFIX, text, max_bytes=limits.CERTIFICATE_BYTES))

    @property
    def text(self) -> str:
        """`nzcert:` text in lines of 64 characters, for a file or a mail."""
        return armour.encode_lines(TEXT_PREFIX, self.encoded)

    @property
    def final(self) -> bool:
        return Flags.FINAL in self.flags

    @property
    def voice(self) -> bool:
        return Flags.VOICE in self.flags


@dataclass(frozen=True, slots=True)
class Retirement:
    """A verified statement that an identity, with all its nodes, is retired for ever."""

    identity: IdentityId
    encoded: bytes = field(compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The statement in `data`, at most 160 B.

        *Raises* PeerError `codec.*`, `identity.bad-retirement`, `identity.unknown-version`, `crypto.bad-signature`.
        """
        opened = open_signed(data, RETIRE_LABEL, _retired_root_key, max_bytes=RETIREMENT_BYTES)
        return cls(IdentityId(_retirement_fields(opened.value).binary(1, 32)), bytes(data))

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """The statement in a `nzretire:` text. *Raises* PeerError as `parse`, and `identity.bad-text`."""
        return cls.parse(armour.decode(RETIREMENT_PREFIX, text, max_bytes=RETIREMENT_BYTES))

    @property
    def text(self) -> str:
        return armour.encode_lines(RETIREMENT_PREFIX, self.encoded)


def compute_node_id(root: bytes, nonce: bytes) -> NodeId:
    """SHA-256("NZ-IDENTITY-01 node" ‖0‖ root_pk (32) ‖ nonce (16))."""
    return NodeId(sha256(NODE_LABEL, b"\0", root, nonce))


def next_epoch(previous: int, now: WallTime) -> int:
    """The epoch after `previous` (0: none known) by a signer's clock: max(previous + 1, minutes since 2020).

    With a plausible clock a restored node outdoes its forgotten past; with a dead one it still only grows.
    *Raises* UsageError `identity.bad-argument` where no epoch is left.
    """
    epoch = max(previous + 1, (now - EPOCH_START) // 60)
    if previous < 0 or epoch > MAX_EPOCH:
        raise UsageError("identity.bad-argument", epoch=epoch)
    return epoch


def compare(held: Certificate, offered: Certificate) -> Order:
    """How `offered` stands to `held`, two certificates of one node; payloads are compared, signatures never.

    A final certificate is newer than every other that is not, whatever the epochs: so all nodes agree, in whatever
    order they hear of both. *Raises* PeerError `identity.other-node`.
    """
    if held.node != offered.node:
        raise PeerError("identity.other-node", expected=held.node, got=offered.node)
    if held.payload == offered.payload:
        return Order.SAME
    ours, theirs = (held.final, held.epoch), (offered.final, offered.epoch)
    if ours == theirs:
        return Order.FORKED
    return Order.NEWER if theirs > ours else Order.OLDER


def admit(held: Certificate | None, offered: Certificate) -> Certificate:
    """The certificate to remember for a node that offers `offered` in order to be believed: `offered` or its equal.

    *Raises* PeerError `identity.retired` where either is final (remember a final `offered` all the same: it stands in
    the fact `certificate`), `identity.older-epoch` and `identity.forked` with the held one in the fact `certificate`,
    `identity.other-node`.
    """
    order = compare(held, offered) if held else Order.NEWER
    if offered.final or (held and held.final):
        final = offered if offered.final else held
        raise PeerError("identity.retired", certificate=final)
    if order is Order.OLDER:
        raise PeerError("identity.older-epoch", certificate=held, offered=offered.epoch)
    if order is Order.FORKED:
        raise PeerError("identity.forked", certificate=held, other=offered)
    return offered


def _fields(value: Value) -> Fields:
    return Fields(value, "identity.bad-certificate", required={1, 2, 3, 4, 5, 6, 8}, optional=frozenset({7}))


def _root_key(value: Value) -> VerifyKey:
    """Everything that can be refused without cryptography is refused before it."""
    fields = _fields(value)
    root, sign_key, dh_key = (fields.binary(key, 32) for key in (1, 4, 5))
    if len({root, sign_key, dh_key}) < 3:
        raise PeerError("identity.bad-certificate", "the three keys of a certificate must differ", field=4)
    return VerifyKey(root)


def _retirement_fields(value: Value) -> Fields:
    return Fields(value, "identity.bad-retirement", required={1})


def _retired_root_key(value: Value) -> VerifyKey:
    return VerifyKey(_retirement_fields(value).binary(1, 32))
