"""Whether the node at the other end is who it claims, and welcome (NZ-HANDSHAKE-01 §7).

Two questions in this order. Who is it: `identify` raises, because nothing that was said can be believed. Is it welcome:
`judge` answers with a code, because a node that has proven who it is deserves to hear why not.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

from nzcore.base.errors import PeerError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.crypto.keys import AgreementPublic
from nzcore.proto.handshake.preface import Mode
from nzcore.proto.identity.certificate import Certificate, Order, admit, compare

REMEMBERED = 1024
"""Certificates whose signature this process has verified: peers that reconnect are spared a sixth of a handshake.
At most 1.5 MiB; whoever fills it with others only makes us verify again."""

NOT_ADMITTED = "handshake.not-admitted"
"""What a policy answers about a node that may not connect."""

Policy = Callable[[Certificate, Mode, bytes], str]
"""Given the certificate, the mode and the tid: "" to welcome the node, or the code of the refusal. Consumes nothing:
a ticket is spent afterwards, in a transaction of the shell's."""


class Directory(Protocol):
    """What a node knows that a handshake must ask: looked up at once, never awaited."""

    @property
    def network_secret(self) -> bytes | None:
        """32 bytes that all nodes of a closed network share; with it, nobody without it gets an answer."""

    @property
    def window(self) -> bytes | None:
        """The mDNS instance that this node announces while its pairing window is open."""

    def ticket_secret(self, tid: bytes) -> bytes | None:
        """The 16 secret bytes of a ticket that this node gave and would still take."""

    def highest(self, node: NodeId) -> Certificate | None:
        """The newest certificate that is known of a node."""

    def retired(self, node: NodeId, identity: IdentityId) -> bool:
        """Whether a root has retired this node, or its whole identity."""


class Verdict(NamedTuple):
    """`refusal` is "" for a welcome node."""

    refusal: str
    evidence: Certificate | None = None
    """The certificate held here that explains the refusal: for a node that is behind, the one it lacks."""


@lru_cache(maxsize=REMEMBERED)
def verified(encoded: bytes) -> Certificate:
    """As `Certificate.parse`, which depends on the bytes alone; refused ones are not kept."""
    return Certificate.parse(encoded)


def identify(encoded: bytes, static: AgreementPublic | None) -> Certificate:
    """The certificate in `encoded`, which must be about the key that the other side has just used.

    *Raises* PeerError `handshake.other-key`, or as `Certificate.parse`.
    """
    certificate = verified(encoded)
    if certificate.dh_key != static:
        raise PeerError("handshake.other-key", node=certificate.node)
    return certificate


def judge(
    certificate: Certificate, own: Certificate, directory: Directory, policy: Policy, mode: Mode, tid: bytes
) -> Verdict:
    """Whether a node that has proven `certificate` is welcome; the first reason against it decides."""
    if certificate.node == own.node or certificate.dh_key == own.dh_key:
        return Verdict("handshake.own-node")
    if directory.retired(certificate.node, certificate.root):
        return Verdict("handshake.retired", _final(directory.highest(certificate.node)))
    held = directory.highest(certificate.node)
    try:
        admit(held, certificate)
    except PeerError as error:
        return Verdict(_REFUSALS[error.code], held)
    return Verdict(policy(certificate, mode, tid))


_REFUSALS = {
    "identity.retired": "handshake.retired",
    "identity.older-epoch": "handshake.older-epoch",
    "identity.forked": "handshake.forked",
}


def _final(held: Certificate | None) -> Certificate | None:
    return held if held is not None and held.final else None


def read_evidence(own: Certificate, detail: bytes) -> Certificate:
    """What a refusal shows to the node that it is about: another certificate of this node, newer or forked.

    Believed only as far as its signature goes: it proves that the root certified other keys.
    *Raises* PeerError `handshake.bad-evidence`, or as `Certificate.parse`.
    """
    shown = Certificate.parse(detail)
    if shown.node != own.node or compare(own, shown) not in (Order.NEWER, Order.FORKED):
        raise PeerError("handshake.bad-evidence", node=shown.node)
    return shown
