"""Operations on peers: whom the node knows, and how they are reached (spec/control.md §5.5)."""

from typing import Annotated

from msgspec import Meta, Struct

from nzcore.base.scopes import Scope
from nzcore.control.node_ops import Check
from nzcore.control.operation import Args, Nothing, Operation

PeerName = Annotated[
    str, Meta(description="petname, or a unique beginning of a petname or NodeId", min_length=1, max_length=128)
]
MAX_CARD = 4096  # characters: a card of 1 KiB in base32, and white space


class PeerInfo(Struct, frozen=True, kw_only=True):
    """One peer."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    identity: Annotated[str, Meta(description="IdentityId, nzi1…")]
    name: Annotated[str, Meta(description="petname: what this node calls it")]
    connected: bool
    addresses: Annotated[list[str], Meta(description="where it was or may be reached, the best first")]
    rtt_ms: Annotated[float | None, Meta(description="last measured round trip; null while unknown")]
    scopes: Annotated[list[Scope], Meta(description="what it may do here")]


class PeerDetails(PeerInfo, frozen=True, kw_only=True):
    """One peer, in full."""

    suggested_name: Annotated[str, Meta(description="what it calls itself")]
    epoch: Annotated[int, Meta(description="of its newest known certificate", ge=0)]
    added_at: Annotated[int, Meta(description="seconds since 1970")]
    how: Annotated[str, Meta(description="how it was added: card, ticket or phrase")]
    direction: Annotated[str | None, Meta(description="in or out: who dialled the present channel")]
    version: Annotated[str | None, Meta(description="its software's version, while connected")]


class PeerArgs(Args, frozen=True, kw_only=True):
    peer: PeerName


class PeerAddArgs(Args, frozen=True, kw_only=True):
    card: Annotated[str, Meta(description="the card's text, nzc:…", min_length=1, max_length=MAX_CARD)]
    name: Annotated[str | None, Meta(description="petname; without it, one is made from the card's")] = None
    scopes: Annotated[list[Scope] | None, Meta(description="what it may do here; without it, what pairing grants")] = (
        None
    )


class PeerRenameArgs(Args, frozen=True, kw_only=True):
    peer: PeerName
    name: Annotated[str, Meta(description="the new petname", min_length=1, max_length=64)]


class PeerConnectArgs(Args, frozen=True, kw_only=True):
    peer: PeerName
    timeout_s: Annotated[float, Meta(description="seconds to wait for a channel", gt=0, le=600)] = 20.0


class PeerPingArgs(Args, frozen=True, kw_only=True):
    peer: PeerName
    timeout_s: Annotated[float, Meta(description="seconds to wait for the answer", gt=0, le=600)] = 5.0


class Pong(Struct, frozen=True, kw_only=True):
    """One round trip."""

    rtt_ms: float


class Ended(Struct, frozen=True, kw_only=True):
    """What became of a channel."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    name: Annotated[str, Meta(description="petname")]
    was_connected: bool


class PeerCertificate(Struct, frozen=True, kw_only=True):
    """The newest certificate known of a peer."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    name: Annotated[str, Meta(description="petname")]
    certificate: Annotated[str, Meta(description="nzcert:… text")]


LIST = Operation(name="peer.list", summary="List all known peers.", args=Nothing, result=list[PeerInfo])
SHOW = Operation(name="peer.show", summary="Show one peer.", args=PeerArgs, result=PeerDetails, names="peer")
ADD = Operation(
    name="peer.add",
    summary="Add a peer by its card, and trust it.",
    args=PeerAddArgs,
    result=PeerDetails,
    risk="change",
    local_only=True,
)
CONNECT = Operation(
    name="peer.connect",
    summary="Open a channel to a peer and keep it up.",
    args=PeerConnectArgs,
    result=PeerDetails,
    risk="change",
    names="peer",
)
DISCONNECT = Operation(
    name="peer.disconnect",
    summary="Close the channel to a peer and keep it closed.",
    args=PeerArgs,
    result=Ended,
    risk="change",
    names="peer",
)
RENAME = Operation(
    name="peer.rename",
    summary="Call a peer something else.",
    args=PeerRenameArgs,
    result=PeerDetails,
    risk="change",
    local_only=True,
    names="peer",
)
REMOVE = Operation(
    name="peer.remove",
    summary="Take all trust in a peer back and close its channel.",
    args=PeerArgs,
    result=Ended,
    risk="change",
    local_only=True,
    names="peer",
)
PING = Operation(
    name="peer.ping", summary="Measure one round trip to a peer.", args=PeerPingArgs, result=Pong, names="peer"
)
DOCTOR = Operation(
    name="peer.doctor",
    summary="Examine the way to a peer step by step.",
    args=PeerArgs,
    result=list[Check],
    names="peer",
)
CERTIFICATE = Operation(
    name="peer.certificate",
    summary="Give the newest certificate known of a peer.",
    args=PeerArgs,
    result=PeerCertificate,
    names="peer",
)

PEER_OPERATIONS = (LIST, SHOW, ADD, CONNECT, DISCONNECT, RENAME, REMOVE, PING, DOCTOR, CERTIFICATE)
