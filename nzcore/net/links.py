"""All open links, at most one a peer: who stays when two meet, who is cut when trust ends (spec/handshake.md §9)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import trio

from nzcore.base.errors import UnavailableError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.base.scopes import Scope
from nzcore.kernel import Bus
from nzcore.kernel.described import describe
from nzcore.net.link import Flusher, Link
from nzcore.net.local import Local
from nzcore.net.meeting import Met
from nzcore.net.protocols import Protocols
from nzcore.net.stream import Stream, StreamLost
from nzcore.net.wire import Wire
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.hello import Hello
from nzcore.proto.handshake.machine import Established

SIMULTANEOUS_S = 10.0
"""Two dials that cross meet within a handshake's time; a link older than this is contested by a ping instead."""

ANSWER_S = 3.0
"""Seconds in which an old link must answer a ping, or it is taken for dead."""

TICK_S = 1.0
"""How often links are looked at for keepalive and rekey: one task for all."""


class Opened(NamedTuple):
    """Value of `channel.opened`."""

    peer: NodeId
    direction: str
    address: str


class Closed(NamedTuple):
    """Value of `channel.closed`: the code, and whether the other side said it."""

    peer: NodeId
    code: str
    by_remote: bool


class Refused(NamedTuple):
    """Value of `channel.refused`: an incoming connection that led to no channel. Nothing else is kept of it."""

    host: str
    code: str
    untold: int = 0
    """How many before it were not told, because they came too fast."""


class Unreachable(NamedTuple):
    """Value of `peer.unreachable`: the first dial in a row that failed."""

    peer: NodeId
    code: str


class Rekeyed(NamedTuple):
    """Value of `channel.rekeyed`: how many times by now."""

    peer: NodeId
    rekeys: int


class Alarm(NamedTuple):
    """Value of `peer.alarm`: something that the owner should look at."""

    peer: NodeId
    code: str


class NetTrouble(NamedTuple):
    """Value of `net.trouble`: a fault of ours on one connection, which was closed."""

    what: str
    error: str


class OpenLink(NamedTuple):
    """A link and how it came to be."""

    link: Link
    initiator: bool
    boot: bytes
    since: Instant
    version: str

    @property
    def direction(self) -> str:
        return "out" if self.initiator else "in"


class Links:
    """The table of links; also their user."""

    def __init__(self, local: Local, protocols: Protocols, bus: Bus, flusher: Flusher) -> None:
        self._local = local
        self._protocols = protocols
        self._bus = bus
        self._flusher = flusher
        self._open: dict[NodeId, OpenLink] = {}
        self._changed = trio.Event()
        self.on_greeted: Callable[[NodeId, Hello], None] = lambda node, hello: None
        """Told what each peer says of itself when its channel opens."""
        self.on_changed: Callable[[NodeId], None] = lambda node: None
        """Told of each peer whose link was opened or closed."""
        self.on_evidence: Callable[[NodeId, str, bytes], None] = lambda node, code, detail: None
        """Told of each node that refuses this one and shows why: with its code, and what CLOSE said beside it."""
        self.barred: Callable[[Established], str] = lambda fresh: ""
        """Why a node whose handshake is over may have no link, beside a lack of trust; "" where it may."""

    def __iter__(self) -> Iterator[OpenLink]:
        return iter(tuple(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    def get(self, node: NodeId) -> OpenLink | None:
        return self._open.get(node)

    async def wait_change(self) -> None:
        """Waits until a link is opened or closed."""
        await self._changed.wait()

    async def adopt(self, wire: Wire, met: Met) -> OpenLink | None:
        """Makes a link of a finished handshake, if it is to stay; else says why in CLOSE. Takes `wire` over.

        Returns the link to this peer that stays, perhaps over already, or None where that is neither. Cancelled, it
        has closed `wire`. *Raises* UnavailableError `net.no-trust`, or with the code of `barred`, where that became
        so since the handshake asked.
        """
        fresh = met.established
        node = fresh.certificate.node
        try:
            old = self._open.get(node)
            refusal = "" if old is None else await self._contest(old, fresh)
        except BaseException:
            wire.close(abort=True)
            raise
        barred = self._barred(fresh)
        if barred:
            refuse(wire, met, self._local, "net.revoked" if barred == "net.no-trust" else barred)
            raise UnavailableError(barred, node=node)
        if refusal:
            refuse(wire, met, self._local, refusal)
            return self._open.get(node)
        if (beaten := self._open.get(node)) is not None:
            beaten.link.close("net.duplicate")
        return self._install(wire, met)

    def close_all(self, code: str) -> None:
        for one in self:
            one.link.close(code)

    def cut(self, node: NodeId, scopes: frozenset[Scope]) -> None:
        """Ends what `node` may no longer do: the whole channel, or single streams."""
        one = self._open.get(node)
        if one is None:
            return
        if Scope.CONNECT not in scopes:
            for stream in one.link.streams():
                stream.on_lost("net.no-trust")  # who did it, for whoever waits here; the wire says what the peer lost
            one.link.close("net.revoked")
            return
        for stream in one.link.streams():
            if stream.is_remote and not self._protocols.is_allowed(stream.protocol, scopes):
                stream.close("channel.out-of-scope")

    async def tick(self) -> None:
        """Looks after all links until cancelled."""
        due: dict[Link, Instant] = {}
        while True:
            await trio.sleep(TICK_S)
            now = trio.current_time()
            due = {
                one.link: self._tend(one.link) if due.get(one.link, Instant(0.0)) <= now else due[one.link]
                for one in self
            }

    # What links say.

    def on_hello(self, link: Link, hello: Hello) -> None:
        one = self._open.get(link.peer)
        if one is not None and one.link is link:
            self._bus.emit("channel.opened", Opened(link.peer, one.direction, link.remote))
            self.on_greeted(link.peer, hello)

    def on_stream(self, link: Link, stream: Stream) -> None:
        self._protocols.serve(stream)

    def on_rekeyed(self, link: Link, count: int) -> None:
        self._bus.emit("channel.rekeyed", Rekeyed(link.peer, count))

    def on_fault(self, link: Link, error: Exception) -> None:
        self._bus.emit("net.trouble", NetTrouble("a channel failed", describe(error)))

    def on_closed(self, link: Link, code: str, *, by_remote: bool) -> None:
        one = self._open.get(link.peer)
        if one is not None and one.link is link:
            del self._open[link.peer]
            self._tell_change(link.peer)
        if by_remote and link.detail:
            self.on_evidence(link.peer, code, link.detail)
        if link.was_greeted:
            self._bus.emit("channel.closed", Closed(link.peer, code, by_remote))
        elif one is not None and one.link is link and not one.initiator:  # whoever dials is told by `connect`
            self._bus.emit("channel.refused", Refused(link.remote, code))

    # Small print.

    def _tend(self, link: Link) -> Instant:
        """A crash boundary, as where bytes arrive: one task looks after all links, and a fault of ours in one is no
        other's."""
        try:
            return link.tick()
        except Exception as error:
            self.on_fault(link, error)
            link.close("channel.protocol-error")
            return Instant(trio.current_time() + TICK_S)

    async def _contest(self, old: OpenLink, fresh: Established) -> str:
        """Why the newcomer must go; empty where it replaces the old link."""
        node = fresh.certificate.node
        if fresh.boot == old.boot:
            if fresh.initiator == old.initiator:
                return ""  # the side that dialled has given the old one up
            if trio.current_time() - old.since < SIMULTANEOUS_S:
                own = self._local.keys().node
                first = own if fresh.initiator else node
                return "" if first == min(own, node) else "net.duplicate"
        if not await self._answers(old.link):
            return ""
        if fresh.boot == old.boot:
            return "net.duplicate"
        self._bus.emit("peer.alarm", Alarm(node, "net.clone"))
        return "net.clone"

    def _barred(self, fresh: Established) -> str:
        """Asked in the step that installs the link: whoever lost trust before has no link to be cut, and after it has
        one. The handshake asked long ago: it may have waited for a dial, a disk or an old link's answer since."""
        trusted = self._local.trust.allows(fresh.certificate.node, Scope.CONNECT)
        return self.barred(fresh) if trusted else "net.no-trust"

    async def _answers(self, link: Link) -> bool:
        try:
            with trio.move_on_after(ANSWER_S):
                await link.ping()
                return True
        except StreamLost:
            pass
        return False

    def _install(self, wire: Wire, met: Met) -> OpenLink:
        fresh = met.established
        node = fresh.certificate.node
        link = Link(node, open_channel(self._local, fresh, self._local.hello()), wire, self, self._flusher)
        one = OpenLink(link, fresh.initiator, fresh.boot, Instant(trio.current_time()), fresh.version)
        self._open[node] = one
        self._tell_change(node)
        try:
            link.start(met.rest, met.leftover, is_cut=met.is_cut())
        except UnavailableError:  # nobody owns tasks any more: a link that nobody reads is none
            link.close("channel.going-away")
            raise
        return one

    def _tell_change(self, node: NodeId) -> None:
        self.on_changed(node)
        self._changed.set()
        self._changed = trio.Event()


def open_channel(local: Local, fresh: Established, hello: Hello | None) -> Channel:
    """The channel machine of a finished handshake; without a `hello`, for a CLOSE alone."""
    keys, remote = local.keys(), fresh.certificate.dh_key
    return Channel(
        fresh.transport,
        initiator=fresh.initiator,
        agree=lambda: keys.agree(remote),
        hello=hello,
        now=Instant(trio.current_time()),
        config=local.channels,
    )


def refuse(wire: Wire, met: Met, local: Local, code: str) -> None:
    """Says inside the fresh channel why it ends, and closes the wire."""
    channel = open_channel(local, met.established, None)  # who is refused learns nothing else of us
    evidence = met.established.evidence
    channel.close(code, evidence.encoded if evidence is not None else b"")
    wire.close(rest=[*met.leftover, *channel.take()])
    channel.drop()
