"""Deliveries that wait until a peer has kept them (spec/fabric.md §6): sealed in the store, numbered, sent again.

All that `list` shows stands in the names of the entries, so that a start reads no body.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.codec.frames import pack, unpack
from nzcore.crypto.random import random_bytes
from nzcore.kernel import Backoff, Bus
from nzcore.node.fabric.line import Line, Lost
from nzcore.node.fabric.lines import Lines
from nzcore.proto.fabric.frames import is_topic, packed_body, require_plain
from nzcore.proto.fabric.limits import OUTBOX_BYTES
from nzcore.store.kv import KV, Delete

NAMESPACE = "outbox"
ENTRIES = "entry/"
NUMBERS = "numbers/"

WAITING = 1000
"""Deliveries that may wait for one peer."""

WAITING_BYTES = 16 << 20
"""Bodies of these together."""

RESERVED = 64
"""Numbers that are reserved at once, so that not every delivery costs two writes; a restart skips the rest of them."""

AGAIN = Backoff(initial_s=5.0, factor=2.0, max_s=300.0, jitter=0.0)
"""Pauses before a refused delivery is sent again on the same line."""

STORE_AGAIN_S = 5.0


class DeliveryRefused(NamedTuple):
    """Value of `fabric.delivery-refused`: a peer does not keep a delivery now; told at its first refusal."""

    peer: NodeId
    id: str
    topic: str
    code: str


class Waiting:
    """One delivery that waits."""

    __slots__ = ("code", "due", "is_kept", "name", "number", "outbox", "peer", "since", "size", "topic", "tries", "way")

    def __init__(self, peer: NodeId, outbox: bytes, number: int, size: int, since: int, topic: str) -> None:
        """`since`: milliseconds since 1970."""
        self.peer, self.outbox, self.number, self.size, self.since, self.topic = (
            peer, outbox, number, size, since, topic,
        )  # fmt: skip
        self.name = f"{ENTRIES}{peer.text}/{outbox.hex()}/{number:016x}/{size}/{since}/{topic}"
        self.is_kept = False  # durably: it may be sent
        self.way: Line | None = None  # it was sent there and not yet answered
        self.tries = 0
        self.due = -math.inf
        self.code = ""  # of the last refusal

    @classmethod
    def of(cls, name: str) -> "Waiting":
        """What a name in the store stands for. *Raises* UnavailableError `store.damaged-row`."""
        try:
            peer, outbox, number, size, since, topic = name.removeprefix(ENTRIES).split("/", 5)
            one = cls(NodeId.parse(peer), bytes.fromhex(outbox), int(number, 16), int(size), int(since), topic)
        except (ValueError, NzError) as error:
            raise UnavailableError("store.damaged-row") from error
        one.is_kept = True
        return one

    @property
    def id(self) -> str:
        """What commands call it."""
        return f"{self.outbox[:4].hex()}-{self.number}"


class _Numbering:
    """The numbers of deliveries to one peer; never used twice, whatever happens to the store."""

    __slots__ = ("next", "outbox", "reserved")

    def __init__(self, outbox: bytes, following: int) -> None:
        self.outbox = outbox
        self.next = self.reserved = following


class Outbox:
    """All deliveries of a node that wait."""

    def __init__(
        self, lines: Lines, bus: Bus, kv: Callable[[], KV], clock: Callable[[], float], place: Callable[[], bytes]
    ) -> None:
        """`place` tells the store from a copy that was put back: numbers used since are unknown there."""
        self._lines = lines
        self._bus = bus
        self._kv = kv
        self._clock = clock
        self._place = place
        self._waiting: dict[NodeId, dict[tuple[bytes, int], Waiting]] = {}
        self._numbers: dict[NodeId, _Numbering] = {}
        self._lock = trio.Lock()
        self._is_loaded = False
        self._done: dict[NodeId, list[str]] = {}  # acknowledged, to be deleted
        self._news: dict[NodeId, trio.Event] = {}

    async def load(self) -> None:
        """Finds what waits, once. *Raises* UnavailableError `store.*`."""
        async with self._lock:
            if self._is_loaded:
                return
            found = [Waiting.of(name) for name in await self._kv().list(NAMESPACE, ENTRIES)]
            for one in sorted(found, key=lambda one: (one.since, one.number)):
                self._waiting.setdefault(one.peer, {})[one.outbox, one.number] = one
            self._is_loaded = True

    async def add(self, peer: NodeId, topic: str, body: object, *, known: bool) -> str:
        """Keeps a delivery; its id. *Raises* as `Fabric.deliver`."""
        if not is_topic(topic):
            raise UsageError("fabric.bad-topic", topic=str(topic)[:256])
        require_plain(topic)
        packed = packed_body(body)
        if not known:
            raise UnavailableError("fabric.unknown-peer", node=peer)
        await self.load()
        async with self._lock:
            self._check_room(peer, len(packed))
            numbering = await self._reserve(peer)
            self._check_room(peer, len(packed))
            since = int(self._clock() * 1000)
            one = Waiting(peer, numbering.outbox, numbering.next, len(packed), since, topic)
            numbering.next += 1
            # Listed before it is durable: nothing may call a higher number the lowest that waits.
            self._waiting.setdefault(peer, {})[one.outbox, one.number] = one
        try:
            with trio.CancelScope(shield=True):  # else nobody knew whether it is kept
                await self._kv().put(NAMESPACE, one.name, packed)
        except BaseException:
            self._remove(one)
            raise
        one.is_kept = True
        self._tell(peer)
        return one.id

    def all(self) -> Iterator[Waiting]:
        """What waits, by peer, the oldest first."""
        return (one for ours in self._waiting.values() for one in ours.values() if one.is_kept)

    def retry(self, ids: list[str] | None = None) -> int:
        """Has deliveries (all, unless some are named) sent again now; how many. *Raises* `fabric.no-delivery`."""
        chosen = list(self.all()) if ids is None else [self._find(one) for one in ids]
        for one in chosen:
            one.due = -math.inf
            self._tell(one.peer)
        return len(chosen)

    async def drop(self, ids: list[str]) -> int:
        """Gives deliveries up; one that is on its way may still arrive. *Raises* `fabric.no-delivery`, `store.*`."""
        await self.load()
        chosen = [self._find(one) for one in dict.fromkeys(ids)]
        for at in range(0, len(chosen), WAITING):
            await self._kv().write([Delete(NAMESPACE, one.name) for one in chosen[at : at + WAITING]])
        for one in chosen:
            self._remove(one)
        return len(chosen)

    def facts(self) -> dict[str, int]:
        return {"outbox": sum(map(len, self._waiting.values()))}

    # Lines.

    def up(self, line: Line) -> None:
        """A peer can be reached: everything for it is due."""
        for one in self._waiting.get(line.peer, {}).values():
            one.way, one.due = None, -math.inf
        self._lines.spawn(self._send, line)

    def down(self, line: Line) -> None:
        self._tell(line.peer)

    def acknowledged(self, line: Line, outbox: bytes, number: int) -> None:
        one = self._waiting.get(line.peer, {}).get((outbox, number))
        if one is not None:
            self._remove(one)
            self._done.setdefault(line.peer, []).append(one.name)
        self._tell(line.peer)

    def refused(self, line: Line, outbox: bytes, number: int, code: str) -> None:
        one = self._waiting.get(line.peer, {}).get((outbox, number))
        if one is not None:
            one.way = None
            one.due = trio.current_time() + AGAIN.delay(one.tries + 1, lambda: 0.5)
            one.tries += 1
            if not one.code:
                self._bus.emit("fabric.delivery-refused", DeliveryRefused(one.peer, one.id, one.topic, code))
            one.code = code
        self._tell(line.peer)

    # Small print.

    async def _send(self, line: Line) -> None:
        """Sends what is due on a line, until it ends."""
        while not line.is_over:
            news = self._news[line.peer] = trio.Event()
            try:
                await self._forget_done(line.peer)
                soonest = await self._send_due(line)
            except Lost:
                return
            except UnavailableError:  # the store: it is asked again
                soonest = trio.current_time() + STORE_AGAIN_S
            with trio.CancelScope(deadline=soonest):
                await news.wait()

    async def _send_due(self, line: Line) -> float:
        """Sends as much as the window allows; when the next is due."""
        soonest = math.inf
        for one in list(self._waiting.get(line.peer, {}).values()):
            if not one.is_kept or one.way is line:
                continue
            if one.due > trio.current_time():
                soonest = min(soonest, one.due)
                continue
            if not line.session.can_deliver(one.size):
                break
            entry = await self._kv().get(NAMESPACE, one.name)
            if line.is_over:
                raise Lost("fabric.lost", node=line.peer)  # another line may have sent it meanwhile
            ours = self._waiting.get(line.peer, {})
            if (one.outbox, one.number) not in ours:
                continue  # dropped meanwhile
            if entry is None:
                self._remove(one)
                continue
            floor = min(number for outbox, number in ours if outbox == one.outbox)
            line.session.deliver(one.outbox, floor, one.number, one.topic, entry.value)
            one.way = line
            line.flush()
            await line.wait_room()
        return soonest

    async def _forget_done(self, peer: NodeId) -> None:
        done = self._done.pop(peer, [])
        if done:
            try:
                await self._kv().write([Delete(NAMESPACE, name) for name in done[:WAITING]])
            except BaseException:
                self._done.setdefault(peer, []).extend(done)
                raise
            if done[WAITING:]:
                self._done.setdefault(peer, []).extend(done[WAITING:])
                self._tell(peer)

    async def _reserve(self, peer: NodeId) -> _Numbering:
        """The numbering of a peer, with a number to take."""
        name = NUMBERS + peer.text
        numbering = self._numbers.get(peer)
        if numbering is None:
            place = self._place()
            entry = await self._kv().get(NAMESPACE, name)
            stored = [] if entry is None else unpack(entry.value)
            numbering = _Numbering(random_bytes(OUTBOX_BYTES), 1)
            if isinstance(stored, list) and len(stored) == 3 and stored[2] == place:
                numbering = _Numbering(stored[0], stored[1])
        if numbering.next == numbering.reserved:
            upto = numbering.reserved + RESERVED
            await self._kv().put(NAMESPACE, name, pack([numbering.outbox, upto, self._place()]))
            numbering.reserved = upto
        self._numbers[peer] = numbering
        return numbering

    def _check_room(self, peer: NodeId, size: int) -> None:
        ours = self._waiting.get(peer, {})
        if len(ours) >= WAITING or sum(one.size for one in ours.values()) + size > WAITING_BYTES:
            raise UnavailableError("fabric.outbox-full", node=peer, waiting=len(ours))

    def _find(self, text: str) -> Waiting:
        for one in self.all():
            if one.id == text:
                return one
        raise UsageError("fabric.no-delivery", f"no delivery {text[:64]!r} waits", id=text[:64])

    def _remove(self, one: Waiting) -> None:
        ours = self._waiting.get(one.peer, {})
        ours.pop((one.outbox, one.number), None)
        if not ours:
            self._waiting.pop(one.peer, None)

    def _tell(self, peer: NodeId) -> None:
        news = self._news.get(peer)
        if news is not None:
            news.set()
