"""The event bus (spec/core.md §7): frozen events, one bounded queue a subscriber, an overflow policy that it names.

Nothing is lost silently: what a queue could not take is counted where it was lost, and reported on `bus.dropped`.
A deque and one waiter per subscriber instead of a memory channel, because an event then costs no scheduling:
`emit` never waits, and `async for` takes what is queued without a checkpoint, except one now and then.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, Self

import trio

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.base.instant import Instant
from nzcore.kernel.described import describe
from nzcore.kernel.topics import check_pattern, check_topic, matches

CAPACITY = 1024
"""Default length of a subscriber's queue, in events."""

ROUTES = 4096
"""Topics whose subscribers are remembered; beyond it the cache starts anew, so invented topics can't fill memory."""

BREATH = 128
"""Events taken, or published, without a checkpoint (2.5 µs): 2 % of the cost, and nobody waits longer than 0.1 ms."""

_BREATH_MASK = BREATH - 1
_MUTABLE = frozenset({list, dict, set, bytearray})
_event = tuple.__new__  # builds an Event in two thirds of the time that its constructor takes


class Overflow(StrEnum):
    """What happens to an event that a subscriber's full queue can't take."""

    BLOCK = "block"  # publishers wait; what a caller of `emit` can't wait for is dropped, counted, reported
    DROP_OLDEST = "drop_oldest"
    ERROR = "error"  # the subscription ends with UnavailableError `kernel.overrun` after what it holds


class Event(NamedTuple):
    """What happened, frozen: `value` must be immutable too; the bus refuses lists, dicts, sets and bytearrays."""

    topic: str
    value: object
    at: Instant


class Dropped(NamedTuple):
    """Value of the event `bus.dropped`: a subscription lost events; told at 1, 2, 4, 8 … losses."""

    pattern: str
    subscriber: str
    dropped: int


class HandlerFailed(NamedTuple):
    """Value of the event `bus.handler-failed`: a handler raised on an event of `topic` and goes on with the next."""

    topic: str
    subscriber: str
    error: str


class SubscriptionStats(NamedTuple):
    """Figures of one subscription, in events since it began; `queued` is now."""

    pattern: str
    subscriber: str
    overflow: Overflow
    capacity: int
    queued: int
    delivered: int
    dropped: int


class BusStats(NamedTuple):
    """Figures of a bus, in events since it was made; `dropped` includes subscriptions that have ended."""

    emitted: int
    dropped: int
    handler_failures: int
    subscriptions: tuple[SubscriptionStats, ...]


class Subscription:
    """One subscriber's bounded queue: `async with bus.subscribe(…) as events: async for event in events: …`.

    Listens from entry to exit of the `async with`; one task at a time iterates. `dropped` counts what it lost.
    Cancellation while waiting loses no event; leaving forgets the queue and lets waiting publishers go.
    """

    __slots__ = (
        "_broken", "_bus", "_crowded", "_open", "_publishers", "_queue", "_room", "_taken", "_waiter", "_words",
        "capacity", "dropped", "overflow", "pattern", "subscriber",
    )  # fmt: skip

    def __init__(self, bus: "Bus", pattern: str, subscriber: str, capacity: int, overflow: Overflow) -> None:
        self._words = check_pattern(pattern)
        if capacity < 1:
            raise UsageError("kernel.bad-capacity", capacity=capacity)
        self.pattern, self.subscriber, self.capacity, self.overflow = pattern, subscriber, capacity, overflow
        self.dropped = 0
        self._bus = bus
        self._queue: deque[Event] = deque()
        self._publishers = trio.lowlevel.ParkingLot()
        self._waiter: trio.lowlevel.Task | None = None
        self._taken = 0
        self._open: bool | None = None  # None before the `async with`, False after
        self._broken = False
        self._crowded = False  # publishers may wait; asking the lot itself costs a third of a receive
        self._room = capacity  # 0 once broken: then every event is an overflow

    async def __aenter__(self) -> Self:
        self._bus._join(self)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._bus._leave(self)
        self._queue.clear()
        self._free_publishers()
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event, in order. *Raises* UnavailableError `kernel.overrun`: an `error` subscription lost one."""
        queue = self._queue
        if not self._taken & _BREATH_MASK:
            await trio.lowlevel.checkpoint()
        if not queue:
            await self._wait_event()
        event = queue.popleft()
        self._taken += 1
        if self._crowded and len(queue) <= self.capacity >> 1:  # woken in batches: else a switch an event
            self._free_publishers()
        return event

    receive = __anext__

    def stats(self) -> SubscriptionStats:
        return SubscriptionStats(
            self.pattern, self.subscriber, self.overflow, self.capacity, len(self._queue), self._taken, self.dropped
        )

    def _overflow(self, event: Event) -> None:
        """Takes an event for which there is no room, by policy. Never waits."""
        if self.overflow is Overflow.DROP_OLDEST:
            self._queue.popleft()
            self._queue.append(event)
        elif self.overflow is Overflow.ERROR:
            self._broken = True
            self._room = 0
        self.dropped += 1
        self._bus._lost(self)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            trio.lowlevel.reschedule(waiter)

    async def _wait_event(self) -> None:
        """Waits until the queue holds an event; a cancelled wait takes nothing."""

        def abort(_: Callable[[], None]) -> trio.lowlevel.Abort:
            self._waiter = None
            return trio.lowlevel.Abort.SUCCEEDED

        while not self._queue:
            if self._broken:
                raise UnavailableError("kernel.overrun", pattern=self.pattern, dropped=self.dropped)
            if not self._open:
                raise UsageError("kernel.not-subscribed", pattern=self.pattern)
            if self._waiter is not None:
                raise UsageError("kernel.busy-subscription", pattern=self.pattern)
            self._waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)

    def _take_back(self, event: Event) -> None:
        """Removes a cancelled publisher's event, unless it was taken already."""
        for index in range(len(self._queue) - 1, -1, -1):
            if self._queue[index] is event:
                del self._queue[index]
                break
        if len(self._queue) <= self.capacity >> 1:  # else the last reader's turn has passed, and nobody would wake them
            self._free_publishers()

    def _free_publishers(self) -> None:
        self._crowded = False
        self._publishers.unpark_all()


class Bus:
    """Events by dotted topic to every subscriber whose pattern matches, in the order of their emission.

    Belongs to one Trio run; holds no task and needs no closing.
    """

    def __init__(self) -> None:
        self._now: Callable[[], float] = self._first_now
        self._subscriptions: list[Subscription] = []
        self._routes: dict[str, tuple[Subscription, ...]] = {}
        self._emitted = self._dropped = self._handler_failures = 0
        self._reporting = False

    def emit(self, topic: str, value: object = None) -> None:
        """Hands an event to every matching subscriber and returns; never waits.

        A full `block` subscriber can't make the caller wait, so it loses the event: counted, reported.
        *Raises* UsageError `kernel.bad-topic`, `kernel.mutable-event`.
        """
        if type(value) in _MUTABLE:
            raise UsageError("kernel.mutable-event", topic=topic)
        self._emitted += 1
        routes = self._routes.get(topic)
        if routes is None:
            routes = self._route(topic)
        if routes:
            event = _event(Event, (topic, value, self._now()))
            for subscription in routes:
                queue = subscription._queue
                if len(queue) < subscription._room:
                    queue.append(event)
                    if subscription._waiter is not None:
                        subscription._wake()
                else:
                    subscription._overflow(event)

    async def publish(self, topic: str, value: object = None) -> None:
        """As `emit`, but waits for room at full `block` subscribers: they lose nothing.

        A queue holds at most its capacity and one event per waiting publisher. If cancelled before the call, nothing
        is emitted; if cancelled while waiting, the event is taken back from the queues where it still waits.
        """
        if type(value) in _MUTABLE:
            raise UsageError("kernel.mutable-event", topic=topic)
        if not self._emitted & _BREATH_MASK:
            await trio.lowlevel.checkpoint()
        self._emitted += 1
        routes = self._routes.get(topic)
        if routes is None:
            routes = self._route(topic)
        if not routes:
            return
        event = _event(Event, (topic, value, self._now()))
        full = None
        for subscription in routes:
            queue = subscription._queue
            if len(queue) < subscription._room:
                queue.append(event)
                if subscription._waiter is not None:
                    subscription._wake()
            elif subscription.overflow is Overflow.BLOCK:
                queue.append(event)
                full = [*(full or ()), subscription]
            else:
                subscription._overflow(event)
        if full is not None:
            await self._wait_room(full, event)

    def subscribe(
        self, pattern: str, *, capacity: int = CAPACITY, overflow: str = Overflow.BLOCK, name: str = ""
    ) -> Subscription:
        """A subscription to topics under `pattern`, to be entered with `async with`; `name` shows in figures.

        *Raises* UsageError `kernel.bad-topic`, `kernel.bad-capacity`, `kernel.bad-overflow`.
        """
        if overflow not in tuple(Overflow):
            raise UsageError("kernel.bad-overflow", overflow=overflow)
        return Subscription(self, pattern, name or pattern, capacity, Overflow(overflow))

    async def handle(
        self,
        pattern: str,
        handler: Callable[[Event], Awaitable[None]],
        *,
        capacity: int = CAPACITY,
        overflow: str = Overflow.BLOCK,
        name: str = "",
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Calls `handler` for each event until cancelled; one that raises harms that event only.

        Its failure is counted and told on `bus.handler-failed` (not when it failed on that topic: no echo).
        """
        async with self.subscribe(pattern, capacity=capacity, overflow=overflow, name=name) as events:
            task_status.started()
            async for event in events:
                try:
                    await handler(event)
                except Exception as error:  # the crash boundary of handlers: reported on the bus, next event
                    self._handler_failures += 1
                    if event.topic != "bus.handler-failed":
                        failure = HandlerFailed(event.topic, events.subscriber, describe(error))
                        self.emit("bus.handler-failed", failure)

    def stats(self) -> BusStats:
        """Counters and the state of every open subscription."""
        open_ones = tuple(subscription.stats() for subscription in self._subscriptions)
        return BusStats(self._emitted, self._dropped, self._handler_failures, open_ones)

    def _first_now(self) -> float:
        """The run's clock is looked up once: looking it up costs as much as the rest of an event."""
        self._now = trio.lowlevel.current_clock().current_time
        return self._now()

    def _join(self, subscription: Subscription) -> None:
        if subscription._open is not None:
            raise UsageError("kernel.busy-subscription", pattern=subscription.pattern)
        self._subscriptions.append(subscription)
        self._routes.clear()

    def _leave(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)
        self._routes.clear()

    def _route(self, topic: str) -> tuple[Subscription, ...]:
        words = check_topic(topic)
        if len(self._routes) >= ROUTES:
            self._routes.clear()
        found = tuple(one for one in self._subscriptions if matches(one._words, words))
        self._routes[topic] = found
        return found

    def _lost(self, subscription: Subscription) -> None:
        """Counts a loss; tells of it at powers of two, and never of a loss that the telling itself caused."""
        self._dropped += 1
        count = subscription.dropped
        if not self._reporting and not count & (count - 1):
            self._reporting = True
            try:
                self.emit("bus.dropped", Dropped(subscription.pattern, subscription.subscriber, count))
            finally:
                self._reporting = False

    async def _wait_room(self, full: list[Subscription], event: Event) -> None:
        for index, subscription in enumerate(full):
            if subscription._open and len(subscription._queue) > subscription.capacity:
                try:
                    subscription._crowded = True
                    await subscription._publishers.park()
                except BaseException:  # cancelled: what still waits over capacity goes, so that capacity stays a bound
                    for left in full[index:]:
                        left._take_back(event)
                    raise
