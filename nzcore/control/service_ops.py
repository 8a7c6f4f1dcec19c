"""Operations on supervised services (spec/control.md §5.2)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from nzcore.control.operation import Args, Nothing, Operation

ServiceState = Literal["waiting", "starting", "running", "backoff", "stopping", "stopped", "failed"]
ServiceName = Annotated[
    str, Meta(description="name of a service, as service.list shows it", min_length=1, max_length=64)
]
Force = Annotated[bool, Meta(description="also where the service is essential to the node")]


class ServiceInfo(Struct, frozen=True, kw_only=True):
    """One service with its policy and its history."""

    name: str
    state: ServiceState
    restarts: Annotated[int, Meta(description="restarts since the node started", ge=0)]
    since_s: Annotated[float, Meta(description="seconds in this state")]
    summary: str
    essential: Annotated[bool, Meta(description="the node does not work without it")]
    requires: Annotated[list[str], Meta(description="services that run before it")]
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"]
    restart: Literal["permanent", "transient", "temporary"]
    last_error: Annotated[str | None, Meta(description="why it last failed, if it ever did")] = None
    facts: Annotated[dict[str, Any], Meta(description="what the service says about itself")] = {}


class ServiceArgs(Args, frozen=True, kw_only=True):
    name: ServiceName


class ServiceForceArgs(Args, frozen=True, kw_only=True):
    name: ServiceName
    force: Force = False


LIST = Operation(name="service.list", summary="List all services.", args=Nothing, result=list[ServiceInfo])
SHOW = Operation(
    name="service.show", summary="Show one service with its policy.", args=ServiceArgs, result=ServiceInfo, names="name"
)
START = Operation(
    name="service.start",
    summary="Start a stopped or failed service and wait until it is ready.",
    args=ServiceArgs,
    result=ServiceInfo,
    risk="change",
    names="name",
)
STOP = Operation(
    name="service.stop",
    summary="Stop a service and what depends on it.",
    args=ServiceForceArgs,
    result=ServiceInfo,
    risk="change",
    names="name",
)
RESTART = Operation(
    name="service.restart",
    summary="Stop a service and start it again.",
    args=ServiceForceArgs,
    result=ServiceInfo,
    risk="change",
    names="name",
)
KILL = Operation(
    name="service.kill",
    summary="Crash a service on purpose, to see it heal.",
    args=ServiceForceArgs,
    result=ServiceInfo,
    risk="danger",
    local_only=True,
    names="name",
)

SERVICE_OPERATIONS = (LIST, SHOW, START, STOP, RESTART, KILL)
