"""Operations by which strangers become peers: tickets, cards, phrases (spec/control.md §5.9)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from nzcore.base.scopes import Scope
from nzcore.control.operation import Args, Nothing, Operation

MAX_TEXT = 4096  # characters: the longest card in base32, and white space
MAX_TTL_S = 30 * 86_400

Tid = Annotated[str, Meta(description="a ticket's id, 16 hexadecimal digits", pattern="^[0-9a-f]{16}$")]
Scopes = Annotated[list[Scope] | None, Meta(description="what it may do here; without it, what pairing grants")]
Petname = Annotated[str | None, Meta(description="petname; without it, one is made from what it calls itself")]
Reach = Literal["machine", "network", "internet"]


class InviteArgs(Args, frozen=True, kw_only=True):
    ttl_s: Annotated[int, Meta(description="seconds that the ticket lives", ge=1, le=MAX_TTL_S)] = 600
    uses: Annotated[int, Meta(description="nodes that may redeem it", ge=1, le=1000)] = 1
    scopes: Scopes = None
    addresses: Annotated[tuple[str, ...], Meta(description="to be named beside the node's own", max_length=8)] = ()


class Invitation(Struct, frozen=True, kw_only=True):
    """A ticket: whoever has its text can redeem it."""

    ticket: Annotated[str, Meta(description="the secret text, nz:…")]
    tid: Annotated[str, Meta(description="its id, which is no secret")]
    expires_s: Annotated[int, Meta(description="seconds until it expires")]
    addresses: Annotated[list[str], Meta(description="where the node is reached, as the ticket says")]
    reach: Annotated[Reach, Meta(description="from where the furthest of them works")]


class TicketArgs(Args, frozen=True, kw_only=True):
    tid: Tid


class TicketInfo(Struct, frozen=True, kw_only=True):
    """A ticket without its secret."""

    tid: Annotated[str, Meta(description="its id")]
    state: Literal["open", "used", "expired", "cancelled", "void"]
    expires_s: Annotated[int, Meta(description="seconds until it expires; 0: it has")]
    uses: int
    nodes: Annotated[list[str], Meta(description="NodeIds that redeemed it")]
    scopes: list[Scope]


class Newcomer(Struct, frozen=True, kw_only=True):
    """A node that has redeemed a ticket."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    name: Annotated[str, Meta(description="petname: what this node calls it")]
    seconds: Annotated[float, Meta(description="since the ticket was made, or since the wait began if later")]


class JoinArgs(Args, frozen=True, kw_only=True):
    text: Annotated[str, Meta(description="a ticket, nz:…, or a card, nzc:…", min_length=1, max_length=MAX_TEXT)]
    name: Petname = None
    scopes: Scopes = None
    timeout_s: Annotated[float, Meta(description="seconds to wait for the other node", gt=0, le=600)] = 30.0


class NewPeer(Struct, frozen=True, kw_only=True):
    """A peer that was just made."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    name: Annotated[str, Meta(description="petname: what this node calls it")]
    how: Annotated[str, Meta(description="card, ticket or phrase")]
    connected: bool


class PhraseArgs(Args, frozen=True, kw_only=True):
    name: Annotated[str, Meta(description="the other node's open window; empty: wait for it", max_length=63)] = ""
    addresses: Annotated[tuple[str, ...], Meta(description="where to dial it; without: looked for", max_length=8)] = ()
    window_s: Annotated[float, Meta(description="seconds that the window stays open", gt=0, le=600)] = 120.0
    petname: Petname = None
    scopes: Scopes = None


class PhraseStep(Struct, frozen=True, kw_only=True):
    """How far a pairing by phrase has come: the window is open, the words are there, both have written."""

    event: Literal["window", "words", "paired"]
    instance: Annotated[str, Meta(description="the name of this node's open window")] = ""
    addresses: Annotated[list[str], Meta(description="where this node is reached")] = []
    words: Annotated[list[str], Meta(description="to be compared by both people")] = []
    node: Annotated[str, Meta(description="the other NodeId, nzn1…")] = ""
    name: Annotated[str, Meta(description="what the other node calls itself; once paired, its petname")] = ""


class ConfirmArgs(Args, frozen=True, kw_only=True):
    accept: Annotated[bool, Meta(description="whether both people see the same words")]


class Confirmed(Struct, frozen=True, kw_only=True):
    """The answer that was given."""

    accept: bool


INVITE = Operation(
    name="pair.invite",
    summary="Make a ticket that lets another node become a peer.",
    args=InviteArgs,
    result=Invitation,
    risk="change",
    local_only=True,
)
WAIT = Operation(
    name="pair.wait",
    summary="Follow who redeems a ticket, until nobody can any more.",
    args=TicketArgs,
    result=Newcomer,
    stream=True,
    local_only=True,
    names="tid",
)
LIST = Operation(
    name="pair.list",
    summary="List the tickets that are remembered.",
    args=Nothing,
    result=list[TicketInfo],
    local_only=True,
)
CANCEL = Operation(
    name="pair.cancel",
    summary="Take a ticket back.",
    args=TicketArgs,
    result=TicketInfo,
    risk="change",
    local_only=True,
    names="tid",
)
JOIN = Operation(
    name="pair.join",
    summary="Become a peer of whoever gave a ticket, or add the node of a card.",
    args=JoinArgs,
    result=NewPeer,
    risk="change",
    local_only=True,
)
PHRASE = Operation(
    name="pair.phrase",
    summary="Open the pairing window and pair by three words.",
    args=PhraseArgs,
    result=PhraseStep,
    stream=True,
    risk="change",
    local_only=True,
)
CONFIRM = Operation(
    name="pair.confirm",
    summary="Say whether both people see the same words.",
    args=ConfirmArgs,
    result=Confirmed,
    risk="change",
    local_only=True,
)

PAIR_OPERATIONS = (INVITE, WAIT, LIST, CANCEL, JOIN, PHRASE, CONFIRM)
