"""Handlers of the operations on services."""

import trio

from nzcore.base.errors import PeerError, UsageError
from nzcore.control import service_ops
from nzcore.control.operation import Nothing
from nzcore.control.service_ops import ServiceArgs, ServiceForceArgs
from nzcore.control.service_ops import ServiceInfo as Info
from nzcore.ipc.connection import SendItem
from nzcore.kernel import ServiceInfo
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.node.plain import plain
from nzcore.node.services import IpcService


def list_services(node: Node, args: Nothing, send: SendItem) -> list[Info]:
    return [shown(info) for info in node.supervisor.list()]


def show(node: Node, args: ServiceArgs, send: SendItem) -> Info:
    return shown(node.supervisor.info(args.name))


async def start(node: Node, args: ServiceArgs, send: SendItem) -> Info:
    await node.supervisor.start_service(args.name)
    return show(node, args, send)


async def stop(node: Node, args: ServiceForceArgs, send: SendItem) -> Info:
    """*Raises* UsageError `node.only-door`, even with `force`: no command could ever start that service again. It
    requires no other, so that no other's stop takes it along."""
    if node.supervisor.info(args.name).name == IpcService.name:
        raise UsageError("node.only-door", service=args.name)
    await node.supervisor.stop_service(args.name, force=args.force)
    return shown(node.supervisor.info(args.name))


async def restart(node: Node, args: ServiceForceArgs, send: SendItem) -> Info:
    require_force(node, args)
    await node.supervisor.restart_service(args.name)
    return shown(node.supervisor.info(args.name))


def kill(node: Node, args: ServiceForceArgs, send: SendItem) -> Info:
    require_force(node, args)
    node.supervisor.crash(args.name)
    return shown(node.supervisor.info(args.name))


def require_force(node: Node, args: ServiceForceArgs) -> None:
    """*Raises* PeerError `node.essential-service` for an essential service without `force`."""
    if node.supervisor.info(args.name).essential and not args.force:
        raise PeerError("node.essential-service", f"the node does not work without {args.name}", service=args.name)


def shown(info: ServiceInfo) -> Info:
    """What the supervisor says of a service, in the words of the table."""
    facts = plain(info.facts)
    assert isinstance(facts, dict)
    return Info(
        name=info.name,
        state=info.state.value,
        restarts=info.restarts,
        since_s=round(trio.current_time() - info.since, 3),
        summary=info.summary,
        essential=info.essential,
        requires=list(info.requires),
        strategy=info.strategy.value,
        restart=info.restart.value,
        last_error=info.last_error or None,
        facts=facts,
    )


HANDLERS: dict[str, Handler] = {
    service_ops.LIST.name: list_services,
    service_ops.SHOW.name: show,
    service_ops.START.name: start,
    service_ops.STOP.name: stop,
    service_ops.RESTART.name: restart,
    service_ops.KILL.name: kill,
}
