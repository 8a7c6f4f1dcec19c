"""Handlers of the operations on the node as a whole."""

import time

import trio
from msgspec.structs import replace

from nzcore.control import node_ops
from nzcore.control.node_ops import Check, EventItem, EventsArgs, State, Stopping
from nzcore.control.operation import Nothing
from nzcore.ipc.connection import SendItem
from nzcore.kernel import Event
from nzcore.node.doctor import check_node
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.node.plain import plain

WATCH_S = 0.1
"""Seconds between looks at the state while somebody watches it."""

EVENTS_WAITING = 1024
"""Events kept for a slow reader before the oldest are dropped; the drop itself is an event."""


def state(node: Node, args: Nothing, send: SendItem) -> State:
    return node.state()


async def watch(node: Node, args: Nothing, send: SendItem) -> None:
    """The state now and whenever it has changed, at most every `WATCH_S`; changes in between are seen together.

    Looks at the state instead of following events: a flood of events costs nothing here, no queue overflows, and
    what changes without an event is seen as well.
    """
    seen: State | None = None
    while True:
        now = node.state()
        if (timeless := _timeless(now)) != seen:
            seen = timeless
            await send(now)
        await trio.sleep(WATCH_S)


def _timeless(state: State) -> State:
    """The state without what passing time alone changes."""
    services = [replace(service, since_s=0.0) for service in state.services]
    return replace(state, uptime_s=0.0, services=services)


async def events(node: Node, args: EventsArgs, send: SendItem) -> None:
    subscription = node.bus.subscribe(args.pattern, capacity=EVENTS_WAITING, overflow="drop_oldest", name="node.events")
    async with subscription as arriving:
        async for event in arriving:
            await send(item_of(event))


async def doctor(node: Node, args: Nothing, send: SendItem) -> list[Check]:
    return await check_node(node)


def stop(node: Node, args: Nothing, send: SendItem) -> Stopping:
    node.request_stop()
    return Stopping(node=node.identity.certificate.node.text, uptime_s=round(node.uptime_s, 3))


def item_of(event: Event) -> EventItem:
    """An event of the bus with its time on the wall clock."""
    at = time.time() - (trio.current_time() - event.at)
    return EventItem(topic=event.topic, at=round(at, 6), value=plain(event.value))


HANDLERS: dict[str, Handler] = {
    node_ops.STATE.name: state,
    node_ops.WATCH.name: watch,
    node_ops.EVENTS.name: events,
    node_ops.DOCTOR.name: doctor,
    node_ops.STOP.name: stop,
}
