"""Deliveries that came (spec/fabric.md §6): kept and remembered in one transaction, acknowledged, then handled.

One worker a topic. A handler that raises is called again later; entries wait while nothing handles their topic.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.kernel import Backoff, Bus
from nzcore.kernel.described import describe
from nzcore.node.fabric.calls import HandlerFailed
from nzcore.node.fabric.line import Line
from nzcore.node.fabric.lines import Lines
from nzcore.proto.fabric.frames import is_topic, require_plain
from nzcore.proto.fabric.seen import Seen
from nzcore.proto.trust.view import TrustView
from nzcore.store.kv import KV, Delete, Put

NAMESPACE = "deliveries"
ENTRIES = "entry/"
SEEN = "seen/"

WAITING = 1000
"""Deliveries of one origin that may wait for their handlers."""

WAITING_BYTES = 16 << 20
"""Bodies of these together."""

AGAIN = Backoff(initial_s=1.0, factor=2.0, max_s=300.0, jitter=0.0)
"""Pauses before a handler that raised is called again with the same delivery."""

DeliveryHandler = Callable[[NodeId, object], Awaitable[object]]
"""Called with the origin and the body; the delivery is done when it returns."""


class Arrived:
    """One delivery that is kept and not done."""

    __slots__ = ("due", "name", "origin", "size", "topic", "tries")

    def __init__(self, name: str) -> None:
        """*Raises* UnavailableError `store.damaged-row` for what is no name of an entry."""
        try:
            origin, _, _, _, size, topic = name.removeprefix(ENTRIES).split("/", 5)
            self.origin, self.size = NodeId.parse(origin), int(size)
        except (ValueError, NzError) as error:
            raise UnavailableError("store.damaged-row") from error
        self.name, self.topic = name, topic
        self.tries = 0
        self.due = -math.inf


class Delivery:
    """What a handler of `on_delivery_commit` is called with."""

    def __init__(self, kv: KV, arrived: Arrived, body: object, version: int) -> None:
        self.origin = arrived.origin
        self.topic = arrived.topic
        self.body = body
        self.is_done = False
        self._kv = kv
        self._name = arrived.name
        self._version = version

    async def commit(self, writes: Sequence[Put | Delete] = ()) -> None:
        """Writes, and marks the delivery done, in one transaction: both happen, once, or neither.

        *Raises* UsageError `fabric.already-committed`, `store.conflict`; UnavailableError `store.*`.
        """
        if self.is_done:
            raise UsageError("fabric.already-committed")
        await self._kv.write([*writes, Delete(NAMESPACE, self._name, self._version)])
        self.is_done = True


CommitHandler = Callable[[Delivery], Awaitable[object]]


class _Taker:
    """The handler of a topic, and its worker's life."""

    def __init__(self, topic: str, handler: CommitHandler) -> None:
        self.topic = topic
        self.handler = handler
        self.scope = trio.CancelScope()
        self.news = trio.Event()


class _Verdict(NamedTuple):
    outbox: bytes
    number: int
    code: str = ""  # empty: acknowledged
    entry: str = ""  # of what was kept just now


_Arrival = tuple[bytes, int, int, str, object]  # outbox, floor, number, topic, body


class Inbox:
    """All deliveries to a node that are not done."""

    def __init__(
        self, lines: Lines, trust: TrustView, bus: Bus, kv: Callable[[], KV], clock: Callable[[], float]
    ) -> None:
        self._lines = lines
        self._trust = trust
        self._bus = bus
        self._kv = kv
        self._clock = clock
        self._takers: dict[str, _Taker] = {}
        self._waiting: dict[str, Arrived] = {}  # by name, the oldest first
        self._held: dict[NodeId, tuple[int, int]] = {}  # of an origin: how many, how many bytes
        self._seen: dict[NodeId, Seen] = {}
        self._arriving: dict[Line, list[_Arrival]] = {}
        self._lock = trio.Lock()
        self._is_loaded = False
        self._nursery: trio.Nursery | None = None

    async def load(self) -> None:
        """Finds what waits, once. *Raises* UnavailableError `store.*`."""
        async with self._lock:
            if not self._is_loaded:
                found = [Arrived(name) for name in await self._kv().list(NAMESPACE, ENTRIES)]
                for one in sorted(found, key=_age):
                    self._keep(one)
                self._is_loaded = True

    def begin(self, nursery: trio.Nursery) -> None:
        """Runs workers in `nursery` from now on."""
        self._nursery = nursery
        for taker in self._takers.values():
            nursery.start_soon(self._work, taker)

    def end(self) -> None:
        self._nursery = None
        self._arriving.clear()
        for taker in self._takers.values():
            taker.scope = trio.CancelScope()

    def handle(self, topic: str, handler: DeliveryHandler) -> Callable[[], None]:
        """As `Fabric.on_delivery`."""

        async def plain(delivery: Delivery) -> None:
            await handler(delivery.origin, delivery.body)

        return self.handle_commit(topic, plain)

    def handle_commit(self, topic: str, handler: CommitHandler) -> Callable[[], None]:
        """As `Fabric.on_delivery_commit`."""
        if not is_topic(topic):
            raise UsageError("fabric.bad-topic", topic=str(topic)[:256])
        require_plain(topic)
        if topic in self._takers:
            raise UsageError("fabric.taken", f"deliveries on {topic} are handled already", topic=topic)
        taker = self._takers[topic] = _Taker(topic, handler)
        if self._nursery is not None:
            self._nursery.start_soon(self._work, taker)

        def end() -> None:
            taker.scope.cancel()
            if self._takers.get(topic) is taker:
                del self._takers[topic]

        return end

    def facts(self) -> dict[str, int]:
        return {"inbox": len(self._waiting)}

    def arrived(self, line: Line, outbox: bytes, floor: int, number: int, topic: str, body: object) -> None:
        """A peer delivers."""
        queue = self._arriving.get(line)
        if queue is None:
            queue = self._arriving[line] = []
            self._lines.spawn(self._take, line)
        queue.append((outbox, floor, number, topic, body))

    # Keeping.

    async def _take(self, line: Line) -> None:
        """Keeps what a line has brought, many in one transaction, and answers."""
        try:
            while batch := self._arriving.get(line):
                self._arriving[line] = []
                async with self._lock:
                    verdicts = await self._judge(line.peer, batch)
                for outbox, number, code, _ in verdicts:
                    if code:
                        line.session.refuse(outbox, number, code)
                    else:
                        line.session.acknowledge(outbox, number)
                line.flush()
        finally:
            self._arriving.pop(line, None)

    async def _judge(self, origin: NodeId, batch: list[_Arrival]) -> list[_Verdict]:
        """What becomes of each; what is to be kept is durable when this returns."""
        try:
            seen = (await self._seen_of(origin)).copy()
            verdicts, writes = [], []
            count, size = self._held.get(origin, (0, 0))
            for outbox, floor, number, topic, body in batch:
                seen.note_floor(outbox, floor)
                if seen.has(outbox, number):
                    verdicts.append(_Verdict(outbox, number))
                    continue
                packed = pack(body)
                code = self._objection(origin, topic, count, size + len(packed))
                if code or seen.is_full(outbox):
                    verdicts.append(_Verdict(outbox, number, code or "fabric.inbox-full"))
                    continue
                place = f"{origin.text}/{outbox.hex()}/{number:016x}/{int(self._clock() * 1000)}"
                name = f"{ENTRIES}{place}/{len(packed)}/{topic}"
                seen.add(outbox, number)
                count, size = count + 1, size + len(packed)
                writes.append(Put(NAMESPACE, name, packed))
                verdicts.append(_Verdict(outbox, number, "", name))
            if writes:
                await self._kv().write([*writes, Put(NAMESPACE, SEEN + origin.text, pack(seen.plain()))])
        except UnavailableError:
            self._seen.pop(origin, None)  # what is on disk is not known
            return [_Verdict(outbox, number, "fabric.not-kept") for outbox, _, number, _, _ in batch]
        except BaseException:
            self._seen.pop(origin, None)
            raise
        self._seen[origin] = seen
        for verdict in verdicts:
            if verdict.entry:
                self._keep(Arrived(verdict.entry))
        return verdicts

    def _objection(self, origin: NodeId, topic: str, count: int, size: int) -> str:
        if not self._trust.allows(origin, Scope.MESSAGE):
            return "fabric.out-of-scope"
        if topic not in self._takers:
            return "fabric.no-handler"
        return "fabric.inbox-full" if count >= WAITING or size > WAITING_BYTES else ""

    async def _seen_of(self, origin: NodeId) -> Seen:
        seen = self._seen.get(origin)
        if seen is None:
            entry = await self._kv().get(NAMESPACE, SEEN + origin.text)
            seen = Seen() if entry is None else Seen.of(unpack(entry.value))
        return seen

    def _keep(self, one: Arrived) -> None:
        count, size = self._held.get(one.origin, (0, 0))
        self._held[one.origin] = (count + 1, size + one.size)
        self._waiting[one.name] = one
        taker = self._takers.get(one.topic)
        if taker is not None:
            taker.news.set()

    def _done(self, one: Arrived) -> None:
        if self._waiting.pop(one.name, None) is not None:
            count, size = self._held[one.origin]
            self._held[one.origin] = (count - 1, size - one.size)
            if count == 1:
                del self._held[one.origin]

    # Handling.

    async def _work(self, taker: _Taker) -> None:
        """Calls one topic's handler with what waits for it, the oldest first, one after the other."""
        with taker.scope:
            while True:
                taker.news = trio.Event()
                ours = [one for one in self._waiting.values() if one.topic == taker.topic]
                for one in ours:
                    if one.due <= trio.current_time():
                        await self._call(taker, one)
                soonest = min((one.due for one in ours if one.name in self._waiting), default=math.inf)
                with trio.CancelScope(deadline=soonest):
                    await taker.news.wait()

    async def _call(self, taker: _Taker, one: Arrived) -> None:
        """The crash boundary of a handler: what it raises is told, and the delivery waits."""
        try:
            kv = self._kv()
            entry = await kv.get(NAMESPACE, one.name)
            if entry is not None:
                delivery = Delivery(kv, one, unpack(entry.value), entry.version)
                await taker.handler(delivery)
                if not delivery.is_done:
                    await delivery.commit()
        except Exception as error:
            one.due = trio.current_time() + AGAIN.delay(one.tries + 1, lambda: 0.5)
            one.tries += 1
            self._bus.emit("fabric.handler-failed", HandlerFailed(one.topic, one.origin, describe(error)))
        else:
            self._done(one)


def _age(one: Arrived) -> tuple[int, str]:
    """When it came, and its number among those that came together."""
    parts = one.name.removeprefix(ENTRIES).split("/", 5)
    return int(parts[3]), parts[2]
