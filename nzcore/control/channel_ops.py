"""Operations on open channels (spec/control.md §5.6)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from nzcore.control.operation import Nothing, Operation
from nzcore.control.peer_ops import Ended, PeerArgs


class ChannelInfo(Struct, frozen=True, kw_only=True):
    """One open channel."""

    peer: Annotated[str, Meta(description="petname")]
    direction: Annotated[Literal["in", "out"], Meta(description="out: this node dialled")]
    address: Annotated[str, Meta(description="the other end")]
    age_s: float
    streams: Annotated[int, Meta(description="streams open now", ge=0)]
    rekeys: Annotated[int, Meta(description="how often its keys were renewed", ge=0)]
    bytes_in: int
    bytes_out: int


LIST = Operation(name="channel.list", summary="List all open channels.", args=Nothing, result=list[ChannelInfo])
REKEY = Operation(
    name="channel.rekey",
    summary="Renew the keys of a channel now.",
    args=PeerArgs,
    result=ChannelInfo,
    risk="change",
    names="peer",
)
CLOSE = Operation(
    name="channel.close",
    summary="Close a channel; a peer that is kept is dialled again.",
    args=PeerArgs,
    result=Ended,
    risk="change",
    names="peer",
)

CHANNEL_OPERATIONS = (LIST, REKEY, CLOSE)
