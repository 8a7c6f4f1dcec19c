"""The cast of vectors/handshake.json and of the tests around it: nodes, what they know, machines without randomness."""

from nzcore.base.ids import IdentityId, NodeId
from nzcore.crypto.hashing import sha256
from nzcore.crypto.keys import AgreementSecret, KemSecret
from nzcore.proto.handshake.machine import Established, Initiator, Responder
from nzcore.proto.handshake.payload import Introduction, encode_payload
from nzcore.proto.handshake.preface import Mode, Preface, derive_psk, prologue, ticket_id
from nzcore.proto.handshake.verdict import NOT_ADMITTED
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.patterns import parse
from tools.vectors import noise
from tools.vectors.identity_cast import make_node, make_root

CHANNEL = parse("XXhfs+psk0")
INTRODUCTION = Introduction("0.1.0", ("first", "second"))
TICKET = sha256(b"NZ-VECTORS-01 handshake ticket")[:16]
NETWORK = sha256(b"NZ-VECTORS-01 handshake network")
INSTANCE = b"mfrggzdfmztwq2lknnwg23tp"
BOOTS = {"alice": bytes(range(16)), "bob": bytes(range(16, 32)), "mallory": bytes(range(32, 48))}


def node(who: str = "alice") -> NodeKeys:
    """`alice` dials, `bob` answers, `mallory` is an identity of her own."""
    return make_node(make_root(sorted(BOOTS).index(who)), who)


class Facts:
    """A Directory out of plain values, and a policy."""

    def __init__(
        self,
        *,
        network_secret: bytes | None = None,
        window: bytes | None = None,
        tickets: tuple[bytes, ...] = (),
        held: Certificate | None = None,
        retired: bool = False,
        admits: bool = True,
    ) -> None:
        """`held` is the highest certificate known of its node; `retired` is true of every node."""
        self.network_secret = network_secret
        self.window = window
        self.tickets = tickets
        self.held = held
        self.is_retired = retired
        self.admits = admits

    def ticket_secret(self, tid: bytes) -> bytes | None:
        return next((secret for secret in self.tickets if ticket_id(secret) == tid), None)

    def highest(self, node: NodeId) -> Certificate | None:
        return self.held if self.held is not None and self.held.node == node else None

    def retired(self, node: NodeId, identity: IdentityId) -> bool:
        return self.is_retired

    def policy(self, certificate: Certificate, mode: Mode, tid: bytes) -> str:
        return "" if self.admits else NOT_ADMITTED


class Choices:
    """The random choices of one side: an ephemeral key, and the KEM's that vectors/noise.json uses too."""

    def __init__(self, name: str) -> None:
        self.name = f"{name} ephemeral"
        self.ephemeral = noise.secret(self.name)
        self.kem = KemSecret.from_seed(noise.seed("kem", 64))
        self.static: AgreementSecret | None = None  # instead of the node's own

    def handshake(self, keys: NodeKeys, preface: Preface, psk: bytes, *, initiator: bool) -> Handshake:
        made = noise.FixedHandshake(
            CHANNEL,
            initiator=initiator,
            prologue=prologue(preface.encode()),
            static=self.static or keys.agreement,
            psks=[psk],
        )
        made.fix(self.ephemeral, self.kem, noise.encapsulation())
        return made


class FixedInitiator(Initiator):
    """An Initiator that says and chooses what it is told; `psk` is the last that it derived."""

    def __init__(
        self,
        keys: NodeKeys,
        facts: Facts,
        *,
        target: NodeId | None,
        mode: Mode = Mode.KNOWN,
        choices: Choices | None = None,
        payload: bytes | None = None,
        boot: bytes = BOOTS["alice"],
    ) -> None:
        self.choices = choices or Choices("initiator")
        self.psk = b""
        super().__init__(
            keys,
            boot,
            INTRODUCTION,
            facts,
            target=target,
            mode=mode,
            ticket_secret=facts.tickets[0] if mode is Mode.TICKET else None,
            instance=facts.window if mode is Mode.WINDOW else None,
            policy=facts.policy,
        )
        self._payload = self._payload if payload is None else payload

    def _new_noise(self, preface: Preface, psk: bytes, *, initiator: bool) -> Handshake:
        self.psk = psk
        return self.choices.handshake(self._keys, preface, psk, initiator=initiator)


class FixedResponder(Responder):
    """A Responder that says and chooses what it is told, and may answer in another node's name (`poses_as`)."""

    def __init__(
        self,
        keys: NodeKeys,
        facts: Facts,
        *,
        choices: Choices | None = None,
        payload: bytes | None = None,
        boot: bytes = BOOTS["bob"],
        poses_as: NodeId | None = None,
    ) -> None:
        self.choices = choices or Choices("responder")
        self.psk = b""
        self._name = poses_as
        super().__init__(keys, boot, INTRODUCTION, facts, policy=facts.policy)
        self._payload = self._payload if payload is None else payload

    def _find_psk(self, preface: Preface) -> bytes:
        if self._name is None:
            return super()._find_psk(preface)
        return derive_psk(preface, responder=self._name, network_secret=self._directory.network_secret)

    def _new_noise(self, preface: Preface, psk: bytes, *, initiator: bool) -> Handshake:
        self.psk = psk
        return self.choices.handshake(self._keys, preface, psk, initiator=initiator)


def said(certificate: bytes, who: str = "mallory") -> bytes:
    """A payload with another certificate than the speaker's."""
    return encode_payload(certificate, BOOTS[who], INTRODUCTION)


def run(initiator: Initiator, responder: Responder) -> tuple[Established, Established]:
    """Both ends of a handshake that both sides finish, refused or not."""
    assert responder.receive(initiator.outgoing()) is None
    ours = initiator.receive(responder.outgoing())
    theirs = responder.receive(initiator.outgoing())
    assert ours is not None
    assert theirs is not None
    return ours, theirs
