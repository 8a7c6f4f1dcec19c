"""Operations on the node as a whole: state, health, events, stop (spec/control.md §5.1)."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from nzcore.control.operation import Args, Nothing, Operation
from nzcore.control.service_ops import ServiceState

MAX_PATTERN = 256  # characters; topics are a few dotted words


class ServiceBrief(Struct, frozen=True, kw_only=True):
    """One service in a glance."""

    name: str
    state: ServiceState
    restarts: Annotated[int, Meta(description="restarts since the node started", ge=0)]
    since_s: Annotated[float, Meta(description="seconds in this state")]


class State(Struct, frozen=True, kw_only=True):
    """How the node is."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    identity: Annotated[str, Meta(description="IdentityId, nzi1…")]
    name: Annotated[str, Meta(description="the name this node suggests to others")]
    version: str
    uptime_s: Annotated[float, Meta(description="seconds since the node was ready")]
    listen: Annotated[list[str], Meta(description="addresses on which peers can reach it")]
    services: list[ServiceBrief]
    peers: Annotated[int, Meta(description="peers known", ge=0)]
    channels: Annotated[int, Meta(description="channels open now", ge=0)]
    healthy: Annotated[bool, Meta(description="true exactly when there are no problems")]
    problems: Annotated[list[str], Meta(description="what is wrong, one sentence each")]


class Check(Struct, frozen=True, kw_only=True):
    """One thing that the doctor looked at."""

    check: Annotated[str, Meta(description="what was looked at")]
    ok: bool
    detail: Annotated[str, Meta(description="what was found")]
    hint: Annotated[str, Meta(description="the next thing to try; empty where nothing is wrong")] = ""


class EventsArgs(Args, frozen=True, kw_only=True):
    pattern: Annotated[
        str,
        Meta(description="topics to show: * is one word, ** any number", min_length=1, max_length=MAX_PATTERN),
    ] = "**"


class EventItem(Struct, frozen=True, kw_only=True):
    """One event of the bus."""

    topic: Annotated[str, Meta(description="dotted words, as in service.net.running")]
    at: Annotated[float, Meta(description="seconds since 1970-01-01 UTC by this machine's clock")]
    value: Any


class Stopping(Struct, frozen=True, kw_only=True):
    """The node has begun to stop; its socket disappears when it has."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    uptime_s: Annotated[float, Meta(description="seconds it had been up")]


STATE = Operation(name="node.state", summary="Tell how the node is.", args=Nothing, result=State)
WATCH = Operation(
    name="node.watch",
    summary="Tell how the node is, now and whenever that changes.",
    args=Nothing,
    result=State,
    stream=True,
)
EVENTS = Operation(
    name="node.events", summary="Follow the node's events.", args=EventsArgs, result=EventItem, stream=True
)
DOCTOR = Operation(
    name="node.doctor", summary="Examine the node and say what is wrong.", args=Nothing, result=list[Check]
)
STOP = Operation(
    name="node.stop",
    summary="Stop all services in order and end the node.",
    args=Nothing,
    result=Stopping,
    risk="danger",
)

NODE_OPERATIONS = (STATE, WATCH, EVENTS, DOCTOR, STOP)
