"""Publish and subscribe (spec/fabric.md §4): local subscribers have a bus of their own, each subscribed peer a feed.

At most once: what cannot be taken, by the policy of whoever subscribed, is dropped and counted.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from nzcore.base.errors import UsageError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.kernel import Bus, Subscription, topics
from nzcore.net.flusher import Flusher
from nzcore.net.links import Links
from nzcore.net.stream import Stream
from nzcore.node.fabric.feed import Feed
from nzcore.node.fabric.line import Line
from nzcore.node.fabric.lines import Lines
from nzcore.proto.fabric.frames import PublicationReader, packed_body, require_plain
from nzcore.proto.fabric.limits import PATTERNS
from nzcore.proto.trust.view import TrustView

CAPACITY = 1024
ROUTES = 4096
"""Topics whose subscribers are remembered; beyond it the table starts anew."""

BREATH = 64
"""Publications without a checkpoint."""

_FLAT = frozenset({bytes, str, int, float, bool, type(None)})


class Message(NamedTuple):
    """What was published: by `origin`, as its channel proves; arrived here `at`."""

    topic: str
    body: object
    origin: NodeId
    at: Instant


class PublicationsDropped(NamedTuple):
    """Value of `fabric.dropped`: so many publications a peer did not get since it subscribed; told at 1, 2, 4, 8 …"""

    peer: NodeId
    dropped: int


class _Route(NamedTuple):
    topic: bytes  # packed
    feeds: tuple[tuple[NodeId, Feed, bool], ...]  # and whether it would rather hold us up than lose something
    is_local: bool


class Arriving:
    """Messages of one subscription, as an async iterator; `dropped` counts what it lost."""

    def __init__(self, subscription: Subscription, trust: TrustView, scope: Scope) -> None:
        self._subscription = subscription
        self._trust = trust
        self._scope = scope

    @property
    def dropped(self) -> int:
        return self._subscription.dropped

    def __aiter__(self) -> "Arriving":
        return self

    async def __anext__(self) -> Message:
        """*Raises* UnavailableError `kernel.overrun` where the policy is `error`."""
        while True:
            message = (await self._subscription.receive()).value
            if type(message) is not Message:  # the bus tells of losses by the same way
                continue
            if self._scope is Scope.MESSAGE or self._trust.allows(message.origin, self._scope):
                return message


class Topics:
    """All of a node's publications and subscriptions."""

    def __init__(self, lines: Lines, links: Links, trust: TrustView, bus: Bus, own: NodeId) -> None:
        self._lines = lines
        self._links = links
        self._trust = trust
        self._bus = bus
        self._own = own
        self._local = Bus()
        self._patterns: dict[str, list[bool]] = {}  # of local subscribers: whether each holds publishers up
        self._feeds: dict[NodeId, Feed] = {}
        self._routes: dict[str, _Route] = {}
        self._hearing: dict[NodeId, Stream] = {}
        self._published = 0
        self.flusher = Flusher()

    def patterns(self) -> dict[str, bool]:
        """What this node subscribes to at its peers; a pattern holds where any subscriber's does."""
        return {pattern: any(holds) for pattern, holds in self._patterns.items()}

    async def publish(self, topic: str, body: object) -> None:
        """Hands a message to local subscribers and to peers that subscribed; waits for those who hold.

        *Raises* UsageError `fabric.bad-topic`, `fabric.bad-body`, `fabric.too-large`, `codec.unencodable`.
        """
        route = self._routes.get(topic)
        if route is None:
            route = self._route(topic)
        packed = packed_body(body)
        if route.feeds:
            item = route.topic + packed
            for node, feed, holds in route.feeds:
                if not feed.put(item) and not (holds and await feed.put_when_room(item)):
                    self._count_drop(node, feed)
        if route.is_local:
            fixed = body if type(body) in _FLAT else unpack(packed)  # nobody else's to change
            await self._local.publish(topic, Message(topic, fixed, self._own, Instant(trio.current_time())))
        self._published += 1
        if not self._published % BREATH:
            await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def subscribe(
        self, pattern: str, *, capacity: int, overflow: str, scope: Scope, name: str
    ) -> AsyncIterator[Arriving]:
        """*Raises* UsageError `fabric.bad-topic`, `fabric.too-many-patterns`, `kernel.bad-*`."""
        require_plain(pattern)
        try:
            topics.check_pattern(pattern)
        except UsageError as error:
            raise UsageError("fabric.bad-topic", topic=pattern[: topics.MAX_CHARACTERS]) from error
        if pattern not in self._patterns and len(self._patterns) >= PATTERNS:
            raise UsageError("fabric.too-many-patterns")
        subscription = self._local.subscribe(pattern, capacity=capacity, overflow=overflow, name=name)
        holds = overflow == "block"
        async with subscription:
            self._patterns.setdefault(pattern, []).append(holds)
            self._tell_peers(pattern)
            try:
                yield Arriving(subscription, self._trust, scope)
            finally:
                self._patterns[pattern].remove(holds)
                if not self._patterns[pattern]:
                    del self._patterns[pattern]
                self._tell_peers(pattern)

    async def hear(self, stream: Stream) -> None:
        """Serves `/nz/topics/1`: what a peer publishes."""
        origin, local, reader = stream.peer, self._local, PublicationReader()
        before = self._hearing.get(origin)
        if before is not None:
            before.close()
        self._hearing[origin] = stream
        try:
            while data := await stream.receive_some():
                for batch in reader.feed(data):
                    at = Instant(trio.current_time())
                    pairs = iter(batch)
                    for topic, body in zip(pairs, pairs, strict=True):
                        assert isinstance(topic, str)
                        await local.publish(topic, Message(topic, body, origin, at))
        finally:
            if self._hearing.get(origin) is stream:
                del self._hearing[origin]

    # Peers.

    def up(self, line: Line) -> None:
        self.wanted(line)

    def wanted(self, line: Line) -> None:
        """A peer's subscriptions have changed."""
        self._routes.clear()
        feed = self._feeds.get(line.peer)
        if feed is not None and (feed.is_over or not line.session.wanted):
            feed.close()
            del self._feeds[line.peer]
            feed = None
        link = self._links.get(line.peer)
        if feed is None and line.session.wanted and link is not None:
            self._feeds[line.peer] = Feed(link.link, self._lines.spawn, self.flusher)

    def down(self, line: Line) -> None:
        self._routes.clear()
        feed = self._feeds.pop(line.peer, None)
        if feed is not None:
            feed.close()

    def trust_changed(self, node: NodeId, before: frozenset[Scope], after: frozenset[Scope]) -> None:
        self._routes.clear()

    def close(self) -> None:
        """The fabric stops: peers are not heard any more."""
        for stream in list(self._hearing.values()):
            stream.close()

    def facts(self) -> dict[str, int]:
        return {
            "published": self._published,
            "patterns": len(self._patterns),
            "subscribed_peers": len(self._feeds),
            "dropped": self._local.stats().dropped + sum(feed.dropped for feed in self._feeds.values()),
        }

    # Small print.

    def _route(self, topic: str) -> _Route:
        require_plain(topic)
        try:
            words = topics.check_topic(topic)
        except UsageError as error:
            raise UsageError("fabric.bad-topic", topic=str(topic)[: topics.MAX_CHARACTERS]) from error
        feeds = []
        for node, feed in self._feeds.items():
            line = self._lines.get(node)
            if line is None or not self._trust.allows(node, Scope.MESSAGE):
                continue
            matching = [holds for one, holds in line.session.wanted.items() if topics.matches(_words(one), words)]
            if matching:
                feeds.append((node, feed, any(matching)))
        is_local = any(topics.matches(_words(pattern), words) for pattern in self._patterns)
        if len(self._routes) >= ROUTES:
            self._routes.clear()
        route = self._routes[topic] = _Route(pack(topic), tuple(feeds), is_local)
        return route

    def _tell_peers(self, pattern: str) -> None:
        self._routes.clear()
        holds = self._patterns.get(pattern)
        for line in self._lines.all():
            if holds is None:
                line.session.unsubscribe(pattern)
            else:
                line.session.subscribe(pattern, holds=any(holds))
            line.flush()

    def _count_drop(self, node: NodeId, feed: Feed) -> None:
        feed.dropped += 1
        if not feed.dropped & (feed.dropped - 1):
            self._bus.emit("fabric.dropped", PublicationsDropped(node, feed.dropped))


def _words(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("."))
