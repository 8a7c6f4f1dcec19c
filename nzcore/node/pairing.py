"""How strangers become peers: invitations given and redeemed, cards, and the pairing window (spec/ticket.md §4).

An `Admission` of the network. Everything here ends in the peer book; what is shown to people is the operations' matter.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.kernel import Bus, Service
from nzcore.net.admission import TrustAdmission
from nzcore.net.dialler import DialFailed
from nzcore.net.guest import Guest
from nzcore.net.interfaces import reach_of
from nzcore.net.joining import Joined as Redeemed
from nzcore.net.manager import ChannelManager
from nzcore.node.directory import NodeDirectory
from nzcore.node.network import advertised
from nzcore.node.peers import Peer, PeerBook
from nzcore.node.tickets import SWEEP_S, Given, Tickets
from nzcore.node.window import Window
from nzcore.proto.channel.hello import Hello
from nzcore.proto.handshake.machine import Established
from nzcore.proto.handshake.preface import Mode
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.ticket import MAX_ADDRESSES, Ticket, TicketSecret, portable
from nzcore.proto.trust.view import TrustView

REFUSALS = ("ticket.", "handshake.", "pair.")
"""Rooms whose codes are another node's answer rather than a failure of the way there."""


class PairJoined(NamedTuple):
    """Value of `pair.joined`: a node has redeemed a ticket of ours."""

    node: NodeId
    name: str
    tid: str


class Voided(NamedTuple):
    """Value of `pair.voided`: tickets that are void because the home was restored or moved."""

    tickets: int


class Joined(NamedTuple):
    """A new peer of ours."""

    node: NodeId
    peer: Peer


class Pairing:
    """The doors for strangers. Made once; its tickets are loaded by `PairingService`."""

    def __init__(
        self,
        *,
        tickets: Tickets,
        book: PeerBook,
        trust: TrustView,
        directory: NodeDirectory,
        channels: ChannelManager,
        bus: Bus,
        own: Callable[[], Certificate],
        listening: Callable[[], list[str]],
    ) -> None:
        """Puts itself in the network's places for admission and tickets; its maker passes greetings on to `greet`."""
        self.tickets = tickets
        self.window = Window(directory, channels, book)
        self._book = book
        self._trust = trust
        self._channels = channels
        self._bus = bus
        self._own = own
        self._listening = listening
        self._known = TrustAdmission(trust)
        self._newcomers: set[NodeId] = set()
        self._joins: dict[NodeId, trio.Lock] = {}
        directory.tickets = tickets.secret
        channels.admission = self

    # What the network asks.

    def policy(self, certificate: Certificate, mode: Mode, tid: bytes) -> str:
        if mode is Mode.TICKET:
            return self.tickets.verdict(tid, certificate.node)
        if mode is Mode.WINDOW:
            return "" if self.window.is_open else "pair.window-used"
        return self._known.policy(certificate, mode, tid)

    async def redeem(self, fresh: Established) -> str:
        certificate, tid = fresh.certificate, fresh.tid
        if fresh.mode is Mode.WINDOW:
            return self.window.take()
        if fresh.mode is Mode.KNOWN:
            return ""
        refusal = await self.tickets.redeem(tid, certificate)
        peer = self._book.get(certificate.node)
        if not refusal and peer is not None:
            self._newcomers.add(certificate.node)
            self._bus.emit("pair.joined", PairJoined(certificate.node, peer.petname, tid.hex()))
        return refusal

    def host(self, guest: Guest) -> None:
        self.window.host(guest)

    def greet(self, node: NodeId, hello: Hello) -> None:
        """A channel has opened: what the peer says of its addresses is learned, a newcomer's channel kept up.

        Names are not: a peer could have us look up what it likes. Only people give them, in cards and tickets.
        """
        if self._book.get(node) is None:
            return
        one = self._channels.links.get(node)
        near = one is not None and _is_local(one.link.remote)
        claimed = [address for address in map(_address, hello.addresses) if address is not None and address.dialable]
        usable = [one for one in claimed if one.is_literal and (near or reach_of(one.host).value)]
        self._book.learn_addresses(node, usable)
        if node in self._newcomers:  # their channel is there now: keeping it up begins without a dial
            self._newcomers.discard(node)
            self._channels.keep(node)

    # What the owner asks.

    async def invite(
        self, *, ttl_s: int, uses: int, scopes: Iterable[Scope], advertise: tuple[Address, ...] = ()
    ) -> tuple[Ticket, Given]:
        """A new ticket with every address that another machine can use, those to be advertised first.

        *Raises* UsageError `ticket.too-many`, `ticket.bad-argument` for an address that no ticket can carry.
        """
        if not all(map(portable, advertise)):
            raise UsageError("ticket.bad-argument", "this address can't be dialled from another machine")
        own = [one for one in advertised(map(Address.parse, self._listening())) if portable(one)]
        addresses = tuple(dict.fromkeys((*advertise, *own)))[:MAX_ADDRESSES]
        given = await self.tickets.give(ttl_s=ttl_s, uses=uses, scopes=scopes)
        expires = given.ticket.made_at + ttl_s
        return Ticket(self._own().node, TicketSecret(given.ticket.secret), expires, addresses), given

    async def join(self, text: str, *, name: str, scopes: Iterable[Scope], timeout_s: float) -> Joined:
        """Becomes a peer of the node behind a ticket, or adds the node of a card.

        *Raises* PeerError `ticket.*`, `identity.*`, `handshake.*`, `pair.unreadable`; UsageError `ticket.own-ticket`,
        `node.own-card`, `node.petname-taken`, `identity.bad-petname`; DialFailed.
        """
        kind = "".join(text[:16].split()).lower()
        if kind.startswith("nzc:"):
            return await self.add_card(Card.parse_text(text), name=name, scopes=scopes)
        if kind.startswith("nz:"):
            return await self.redeem_at(Ticket.parse_text(text), name=name, scopes=scopes, timeout_s=timeout_s)
        raise PeerError("pair.unreadable")

    async def add_card(self, card: Card, *, name: str, scopes: Iterable[Scope]) -> Joined:
        """Trusts the node of a card; it connects once the other side does the same."""
        if card.node == self._own().node:
            raise UsageError("node.own-card")
        peer = await self._book.add(card.certificate, card.addresses, scopes=scopes, petname=name)
        return self._settled(card.node, peer)

    async def redeem_at(self, ticket: Ticket, *, name: str, scopes: Iterable[Scope], timeout_s: float) -> Joined:
        """Redeems a ticket where it was given. Trust comes first, so that nothing the other side opens at once is
        refused; it becomes durable when the other side has greeted, and is taken back otherwise."""
        node = ticket.node
        if node == self._own().node:
            raise UsageError("ticket.own-ticket")
        if name:
            self._book.check_petname(node, name)
        async with self._alone(node):
            known = self._book.get(node)
            if known is not None and self._channels.links.get(node) is not None:
                return Joined(node, known)  # both sides let each other in already
            wanted = self._trust.scopes(node) | frozenset(scopes)
            addresses = tuple(dict.fromkeys((*ticket.addresses, *self._book.addresses(node))))
            with self._trusted(node, wanted):
                joined = await self._dial(ticket, addresses, timeout_s)
                peer = await self._book.add(
                    joined.certificate, ticket.addresses, scopes=wanted, petname=name, how="ticket"
                )
        if joined.address is not None:
            self._book.note_dial(node, joined.address, worked=True)
        return self._settled(node, peer)

    async def _dial(self, ticket: Ticket, addresses: tuple[Address, ...], timeout_s: float) -> Redeemed:
        try:
            with trio.move_on_after(timeout_s):
                return await self._channels.joining.join(ticket.node, addresses, ticket.secret.reveal())
            raise DialFailed("net.too-slow", node=ticket.node)
        except DialFailed as error:
            raise _refused(error, ticket) from error

    @asynccontextmanager
    async def _alone(self, node: NodeId) -> AsyncIterator[None]:
        """One join to a node at a time: the end of one must not take the trust from under another."""
        lock = self._joins.setdefault(node, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._joins.pop(node, None)

    @contextmanager
    def _trusted(self, node: NodeId, scopes: frozenset[Scope]) -> Iterator[None]:
        """Trusts a node for as long as it takes; what stays is what the book says by then."""
        self._trust.set(node, scopes)
        try:
            yield
        finally:
            peer = self._book.get(node)
            self._trust.set(node, peer.scopes if peer is not None else ())

    def expect(self, node: NodeId) -> None:
        """A node was paired by phrase: dialled where an address is known, else its dial is waited for."""
        if self._book.addresses(node):
            self._channels.keep(node)
            self._channels.nudge(node)
        else:
            self._newcomers.add(node)

    def _settled(self, node: NodeId, peer: Peer) -> Joined:
        self._bus.emit("peer.added", node.text)
        self._channels.keep(node)
        self._channels.resume(node)
        return Joined(node, peer)


class PairingService(Service):
    """Loads the tickets, and forgets old ones."""

    name = "pairing"
    summary = "lets invited nodes in"
    requires = ("store",)

    def __init__(self, pairing: Pairing, bus: Bus) -> None:
        self._pairing = pairing
        self._bus = bus

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        voided = await self._pairing.tickets.load()
        if voided:
            self._bus.emit("pair.voided", Voided(voided))
        task_status.started()
        while True:
            await trio.sleep(SWEEP_S)
            await self._pairing.tickets.sweep()

    def status(self) -> Mapping[str, object]:
        is_open = sum(given.state == "open" for given in self._pairing.tickets.all())
        return {"tickets": is_open, "window": self._pairing.window.is_open}


def _refused(error: DialFailed, ticket: Ticket) -> NzError:
    """What a dial with a ticket failed of, in the words of tickets."""
    if error.code == "net.unreachable" and not any(reach_of(address.host) for address in ticket.addresses):
        hint = "the ticket works on the machine where it was made; invite again with --advertise HOST:PORT"
        return DialFailed(error.code, error.message, hint=hint, **error.facts)
    if error.code == "net.cut":
        return PeerError("ticket.unanswered", node=error.facts.get("node"), attempts=error.facts.get("attempts"))
    if error.code.startswith(REFUSALS):
        return PeerError(error.code, node=error.facts.get("node"))
    return error


def _address(text: str) -> Address | None:
    """None for what a later version may understand."""
    try:
        return Address.parse(text)
    except PeerError:
        return None


def _is_local(remote: str) -> bool:
    address = _address(remote)
    return address is not None and reach_of(address.host).value == 0
