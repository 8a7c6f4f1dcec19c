"""Operations on what is seen on the local network (spec/control.md §5.5)."""

from typing import Annotated

from msgspec import Meta, Struct

from nzcore.control.operation import Args, Nothing, Operation


class Nearby(Struct, frozen=True, kw_only=True):
    """An instance that is announced on the local network: a hint, until a handshake proves who is there."""

    instance: Annotated[str, Meta(description="the name that is announced; a peer's changes all the time")]
    name: Annotated[str | None, Meta(description="petname, where it is a peer's")]
    node: Annotated[str | None, Meta(description="NodeId, where it is a peer's")]
    addresses: Annotated[list[str], Meta(description="where it says that it is, on this machine's own links")]
    known: Annotated[bool, Meta(description="whether the name is one that a peer of this node makes")]
    pairing: Annotated[bool, Meta(description="whether it is an open pairing window, which `join` can meet")]
    connected: Annotated[bool, Meta(description="whether there is a channel to that peer")]
    first_seen_s: Annotated[float, Meta(description="seconds since it was first seen")]


class Sighting(Nearby, frozen=True, kw_only=True):
    """What has changed: an instance as it is now, or, if gone, as it was."""

    gone: bool


class DiscoverArgs(Args, frozen=True, kw_only=True):
    listen_s: Annotated[
        float, Meta(description="seconds that the node must have listened before it answers", ge=0, le=60)
    ] = 2.0


DISCOVER = Operation(
    name="peer.discover",
    summary="List the nodes that are seen on the local network.",
    args=DiscoverArgs,
    result=list[Nearby],
)
SIGHTINGS = Operation(
    name="peer.sightings",
    summary="Follow who is seen on the local network, beginning with all.",
    args=Nothing,
    result=Sighting,
    stream=True,
)

DISCOVERY_OPERATIONS = (DISCOVER, SIGHTINGS)
