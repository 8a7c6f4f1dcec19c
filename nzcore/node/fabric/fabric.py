"""The message fabric of a node: publish, request and deliver between services, here and at peers (spec/fabric.md).

Made with the node: subscriptions, answers and handlers outlive a restart of its service, which only moves messages.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

import trio

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Principal
from nzcore.ipc.connection import Dispatch
from nzcore.kernel import Bus, Service
from nzcore.net.manager import ChannelManager
from nzcore.node.fabric.calls import Calls, Handler
from nzcore.node.fabric.inbox import CommitHandler, DeliveryHandler, Inbox
from nzcore.node.fabric.line import Line
from nzcore.node.fabric.lines import Lines
from nzcore.node.fabric.outbox import Outbox
from nzcore.node.fabric.topics import CAPACITY, Arriving, Topics
from nzcore.node.peers import PeerBook
from nzcore.proto.fabric.limits import TOPICS
from nzcore.proto.fabric.session import Event, Happened
from nzcore.proto.trust.view import TrustView
from nzcore.store.kv import KV


class Fabric:
    """Everything that a service says to services elsewhere goes through this."""

    def __init__(
        self,
        channels: ChannelManager,
        peers: PeerBook,
        trust: TrustView,
        bus: Bus,
        own: NodeId,
        kv: Callable[[], KV],
        clock: Callable[[], float],
        place: Callable[[], bytes],
    ) -> None:
        """`clock` gives seconds since 1970; `place` another value once the store is a copy put back."""
        self.own = own
        self._channels = channels
        self._peers = peers
        self._trust = trust
        self.lines = Lines(channels, bus, lambda: self.topics.patterns())
        self.topics = Topics(self.lines, channels.links, trust, bus, own)
        self.calls = Calls(self.lines, trust, bus, own)
        self.outbox = Outbox(self.lines, bus, kv, clock, place)
        self.inbox = Inbox(self.lines, trust, bus, kv, clock)
        self.lines.on_up += [self.topics.up, self.outbox.up]
        self.lines.on_down += [self.topics.down, self.outbox.down]
        self.lines.on_event = self._on_event

    # What services use.

    async def publish(self, topic: str, body: object) -> None:
        """To local subscribers and to connected peers that subscribed, at most once each.

        Waits for subscribers whose policy is `block`, for a peer's at most 5 s; the others lose what they can't take.
        *Raises* UsageError `fabric.bad-topic`, `fabric.bad-body`, `fabric.too-large`, `codec.unencodable`.
        """
        await self.topics.publish(topic, body)

    def subscribe(
        self,
        pattern: str,
        *,
        capacity: int = CAPACITY,
        overflow: str = "drop_oldest",
        scope: Scope = Scope.MESSAGE,
        name: str = "",
    ) -> AbstractAsyncContextManager[Arriving]:
        """Messages under `pattern`, of this node and of peers with `scope`, as `async with … as messages`.

        `overflow` as on the node's bus. With `block`, one slow subscriber holds up what a peer publishes for all.
        *Raises* UsageError `fabric.bad-topic`, `fabric.too-many-patterns`.
        """
        return self.topics.subscribe(pattern, capacity=capacity, overflow=overflow, scope=scope, name=name)

    async def request(
        self, node: NodeId, operation: str, body: object, *, deadline_s: float, key: str | None = None
    ) -> object:
        """As `Calls.request`."""
        return await self.calls.request(node, operation, body, deadline_s=deadline_s, key=key)

    def answer(self, operation: str, handler: Handler, scope: Scope) -> Callable[[], None]:
        """As `Calls.answer`."""
        return self.calls.answer(operation, handler, scope)

    async def deliver(self, node: NodeId, topic: str, body: object) -> str:
        """Keeps a message for `node`, sealed, until that has kept it too; durable once this returns its id.

        *Raises* UsageError `fabric.bad-topic`, `fabric.bad-body`, `fabric.too-large`; UnavailableError
        `fabric.unknown-peer`, `fabric.outbox-full`, `store.*`.
        """
        return await self.outbox.add(node, topic, body, known=self._peers.get(node) is not None)

    def on_delivery(self, topic: str, handler: DeliveryHandler) -> Callable[[], None]:
        """Calls `handler(origin, body)` for each delivery on `topic` until it returns; again where it raised, or where
        the node ended meanwhile. Call the result to end that. *Raises* UsageError `fabric.bad-topic`, `fabric.taken`.
        """
        return self.inbox.handle(topic, handler)

    def on_delivery_commit(self, topic: str, handler: CommitHandler) -> Callable[[], None]:
        """As `on_delivery`, for handlers whose effects are in the store: `handler(delivery)` calls
        `delivery.commit(writes)`, which writes and marks the delivery done in one transaction: exactly once."""
        return self.inbox.handle_commit(topic, handler)

    # The service's side.

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Moves messages until cancelled."""
        untrust = self._trust.subscribe(self.topics.trust_changed)
        shut = self._channels.serve(TOPICS, self.topics.hear, Scope.MESSAGE)
        try:
            await self.outbox.load()
            await self.inbox.load()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.topics.flusher.run)
                self.inbox.begin(nursery)
                await nursery.start(self.lines.run, nursery)
                task_status.started()
        finally:
            self.inbox.end()
            shut()
            untrust()
            self.topics.close()

    def facts(self) -> dict[str, object]:
        return {
            "lines": len(self.lines),
            **self.topics.facts(),
            **self.calls.facts(),
            **self.outbox.facts(),
            **self.inbox.facts(),
        }

    def _on_event(self, line: Line, event: Event) -> None:
        kind = event[0]
        if kind is Happened.ASKED:
            self.calls.asked(line, *event[1:])
        elif kind is Happened.WANTED:
            self.topics.wanted(line)
        elif kind is Happened.DELIVERED:
            self.inbox.arrived(line, *event[1:])
        elif kind is Happened.ACKNOWLEDGED:
            self.outbox.acknowledged(line, *event[1:])
        elif kind is Happened.REFUSED:
            self.outbox.refused(line, *event[1:])


class FabricService(Service):
    """Moves messages between this node's services and those of its peers."""

    name = "fabric"
    summary = "carries messages between services of nodes"
    requires = ("store", "net")

    def __init__(self, fabric: Fabric, dispatch: Dispatch, trust: TrustView) -> None:
        """`dispatch` carries out operations of the node for peers, within their scopes."""
        self._fabric = fabric
        self._dispatch = dispatch
        self._trust = trust

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._fabric.calls.operations = self._operate
        await self._fabric.run(task_status)

    def status(self) -> Mapping[str, object]:
        return self._fabric.facts()

    async def _operate(self, node: NodeId, operation: str, body: object) -> object:
        """*Raises* PeerError `control.*`, `fabric.is-stream`, and whatever the operation raises."""
        known = OPERATIONS.get(operation)
        if known is None:  # a module's, if any: what it opens to peers, it answers itself
            raise PeerError("fabric.no-operation", operation=operation)
        if known.stream:
            raise PeerError("fabric.is-stream", operation=operation)
        principal = Principal("peer", node.text, scopes=self._trust.scopes(node))
        outcome = self._dispatch(principal, operation, body, _refuse_items)
        return await outcome if isinstance(outcome, Awaitable) else outcome


async def _refuse_items(item: object) -> None:
    raise PeerError("fabric.is-stream")
