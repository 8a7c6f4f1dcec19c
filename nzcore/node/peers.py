"""The peer book: whom this node knows, under which petname, where, and what it granted them.

Kept in the store, held in memory, and the only thing that feeds `TrustView` until statements do. Nothing is kept of
nodes that were not added. Also what handshakes and dials ask: `net.book.Book`, and half of `handshake.Directory`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

import trio
from msgspec import Struct
from msgspec.structs import replace

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.node.addresses import KnownAddress, dialled, kept, merged, without_doubtful_names
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate, Order, compare
from nzcore.proto.identity.names import check_petname, fold, unique_petname
from nzcore.proto.trust.view import PAIRING, TrustView
from nzcore.store.kv import KV, Put

NAMESPACE = "peers"
MAX_PEERS = 4096


class Peer(Struct, frozen=True):
    """One known node."""

    petname: str
    certificate: bytes
    addresses: tuple[KnownAddress, ...] = ()
    scopes: tuple[Scope, ...] = ()
    added_at: int = 0
    how: str = "card"
    removed: bool = False
    """Removed by the owner: remembered so that nothing but the owner brings it back."""

    @property
    def best_addresses(self) -> tuple[Address, ...]:
        """What to dial, the most promising first."""
        ranked = sorted(self.addresses, key=lambda one: (one.failures, -one.worked_at))
        return tuple(Address.parse(one.address) for one in ranked)


Change = Callable[[Peer | None], Peer]
"""What a peer becomes, given what it is."""


class Plan(NamedTuple):
    """A peer as it is to be written."""

    node: NodeId
    peer: Peer
    brings_back: bool = False
    """Whether it had been removed when this was planned; a removal since then prevails."""

    @property
    def put(self) -> Put:
        """The write that makes it durable."""
        return Put(NAMESPACE, self.node.text, pack(builtins(self.peer)))


class PeerBook:
    """All peers of a node. `load` before use; every change is durable when it returns."""

    def __init__(self, kv: Callable[[], KV], trust: TrustView, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since 1970, for display and for ranking addresses."""
        self._kv = kv
        self._trust = trust
        self._clock = clock
        self.hints: Callable[[NodeId], tuple[Address, ...]] = lambda node: ()
        """Where a peer seems to be, from whoever hears of it: tried, and kept only once it worked."""
        self._peers: dict[NodeId, Peer] = {}
        self._certificates: dict[NodeId, Certificate] = {}
        self._unsaved: set[NodeId] = set()
        self._amended = trio.Event()

    async def load(self) -> Self:
        """Reads the book from the store and feeds the trust view; what is not saved yet stays as it is.

        *Raises* UnavailableError `store.*`.
        """
        kv = self._kv()
        for name in await kv.list(NAMESPACE):
            entry = await kv.get(NAMESPACE, name)
            node = NodeId.parse(name)
            if entry is not None and node not in self._unsaved:
                self._take(node, _read(entry.value))
        if self._unsaved:
            self._amended.set()
        return self

    def __len__(self) -> int:
        return sum(not peer.removed for peer in self._peers.values())

    def all(self) -> list[tuple[NodeId, Peer]]:
        """Every peer that was not removed, by petname."""
        known = [(node, peer) for node, peer in self._peers.items() if not peer.removed]
        return sorted(known, key=lambda one: fold(one[1].petname))

    def get(self, node: NodeId) -> Peer | None:
        """The peer, unless it was removed or never known."""
        peer = self._peers.get(node)
        return None if peer is None or peer.removed else peer

    def certificate(self, node: NodeId) -> Certificate | None:
        """The highest certificate known of a node, removed ones included: what its next one is measured against."""
        return self._certificates.get(node)

    def identity(self, node: NodeId) -> IdentityId:
        """*Raises* KeyError for a node that was never known."""
        return self._certificates[node].root

    def find(self, text: str) -> NodeId:
        """The peer that `text` names: a petname, or a unique prefix of a petname or of a node's text.

        *Raises* UsageError `node.unknown-peer` or `node.ambiguous-peer`, the candidates in the fact `candidates`.
        """
        known = self.all()
        exact = [node for node, peer in known if fold(peer.petname) == fold(text) or node.text == text.lower()]
        if exact:
            return exact[0]
        found = [
            (node, peer)
            for node, peer in known
            if fold(peer.petname).startswith(fold(text)) or node.text.startswith(text.lower())
        ]
        if len(found) == 1:
            return found[0][0]
        names = [peer.petname for _, peer in found or known]
        if found:
            raise UsageError("node.ambiguous-peer", f"{text!r} could be {_listed(names)}", candidates=names)
        known_ones = f"known: {_listed(names)}" if names else "no peer is known yet"
        raise UsageError("node.unknown-peer", f"no peer is called {text!r}; {known_ones}", candidates=names)

    async def add(
        self,
        certificate: Certificate,
        addresses: Iterable[Address] = (),
        *,
        scopes: Iterable[Scope] = PAIRING,
        petname: str = "",
        how: str = "card",
    ) -> Peer:
        """Adds a node or, known already, its addresses and scopes; petname and history stay.

        *Raises* PeerError `identity.*` where a higher certificate is known; UsageError `node.too-many-peers`,
        `node.petname-taken`, `identity.bad-petname`.
        """
        plan = self.plan(certificate, addresses, scopes=scopes, petname=petname, how=how)
        return await self._keep(plan.node, lambda held: _joined(held, plan))

    def plan(
        self,
        certificate: Certificate,
        addresses: Iterable[Address] = (),
        *,
        scopes: Iterable[Scope] = PAIRING,
        petname: str = "",
        how: str = "card",
    ) -> "Plan":
        """What `add` would write, for whoever writes it together with something else and then calls `settle`.

        *Raises* as `add`.
        """
        node = certificate.node
        held = self._peers.get(node)
        if not self.has_room_for(node):
            raise UsageError("node.too-many-peers", limit=MAX_PEERS)
        self._check_certificate(certificate)
        if petname:
            self.check_petname(node, petname)
        return Plan(
            node,
            Peer(
                petname=petname or self._petname(held, certificate.name),
                certificate=certificate.encoded,
                addresses=merged(held.addresses if held else (), addresses),
                scopes=tuple(sorted(scopes)),
                added_at=held.added_at if held and not held.removed else int(self._clock()),
                how=how,
            ),
            brings_back=held is not None and held.removed,
        )

    def settle(self, plan: "Plan") -> None:
        """What was planned is durable: now it counts, with what was noted meanwhile."""
        self._settle(plan.node, _joined(self._peers.get(plan.node), plan), written=plan.peer)

    def has_room_for(self, node: NodeId) -> bool:
        """Whether `node` could be added, as far as numbers go."""
        return node in self._peers or len(self._peers) < MAX_PEERS

    async def reload(self, node: NodeId) -> None:
        """Reads one peer from the store, for whoever does not know whether its write had happened."""
        entry = await self._kv().get(NAMESPACE, node.text)
        if entry is not None:
            self._take(node, _read(entry.value))

    def was_removed(self, node: NodeId) -> bool:
        """Whether the owner has removed this node, and nothing brought it back."""
        peer = self._peers.get(node)
        return peer is not None and peer.removed

    async def rename(self, node: NodeId, petname: str) -> Peer:
        """*Raises* UsageError `node.petname-taken`, `identity.bad-petname`."""
        self.check_petname(node, petname)
        before = self._peers[node]
        return await self._keep(node, lambda held: replace(held or before, petname=petname))

    async def remove(self, node: NodeId) -> None:
        """Takes all trust back, at once and for good: only `add` brings the node back."""
        before = self._peers[node]
        await self._keep(node, lambda held: replace(held or before, removed=True, scopes=()))

    # What dials and handshakes ask and tell: at once; `save` writes it when it can.

    def addresses(self, node: NodeId) -> tuple[Address, ...]:
        """What to dial for a node, the most promising first, hints behind the best that is known."""
        peer = self.get(node)
        if peer is None:
            return ()
        known = peer.best_addresses
        return tuple(dict.fromkeys((*known[:1], *self.hints(node), *known[1:])))

    def note_dial(self, node: NodeId, address: Address, *, worked: bool) -> None:
        """How dialling an address of a known peer went."""
        peer = self.get(node)
        if peer is None:
            return
        now = self._clock()
        known = [dialled(one, worked, now) if one.address == address.text else one for one in peer.addresses]
        if worked and all(one.address != address.text for one in known):
            known.append(KnownAddress(address.text, now, given=False))
        self._amend(node, replace(peer, addresses=kept(known)))

    def learn(self, certificate: Certificate) -> None:
        """Remembers a newer certificate of a known node; strangers are not remembered."""
        held, peer = self._certificates.get(certificate.node), self._peers.get(certificate.node)
        if held is not None and peer is not None and compare(held, certificate) is Order.NEWER:
            self._amend(certificate.node, replace(peer, certificate=certificate.encoded))

    def learn_addresses(self, node: NodeId, addresses: Iterable[Address]) -> None:
        """Where a known peer says that it can be dialled: kept before older claims, behind what has worked."""
        peer = self.get(node)
        if peer is None:
            return
        worked = [one for one in peer.addresses if one.worked_at]
        known = {one.address: one for one in peer.addresses}
        claimed = [known.get(address.text, KnownAddress(address.text, given=False)) for address in addresses]
        fresh = kept({one.address: one for one in (*worked, *claimed, *peer.addresses)}.values())
        if {one.address for one in fresh} != {one.address for one in peer.addresses}:
            self._amend(node, replace(peer, addresses=fresh))

    async def save(self) -> None:
        """Writes what was noted and learned, until cancelled. *Raises* UnavailableError `store.*`."""
        while True:
            await self._amended.wait()
            self._amended = trio.Event()
            while self._unsaved:
                node = self._unsaved.pop()
                try:
                    await self._write(node, self._peers[node])
                except BaseException:
                    self._unsaved.add(node)  # for whoever saves next
                    self._amended.set()
                    raise

    def _amend(self, node: NodeId, peer: Peer) -> None:
        self._take(node, peer)
        self._unsaved.add(node)
        self._amended.set()

    def _take(self, node: NodeId, peer: Peer) -> None:
        self._peers[node] = peer
        self._certificates[node] = Certificate.parse(peer.certificate)
        self._trust.set(node, peer.scopes)

    async def _keep(self, node: NodeId, change: Change) -> Peer:
        """Durable before it counts; what takes trust away counts at once, whatever comes of the write.

        Others go on while it is written: so `change` is made again to what is there then, or a note would bring a
        removed peer back, and the write would forget the note.
        """
        held = self._peers.get(node)
        if held is not None:
            changed = change(held)
            if held.removed < changed.removed or not set(held.scopes) <= set(changed.scopes):
                less = tuple(scope for scope in held.scopes if scope in changed.scopes)
                self._amend(node, replace(held, removed=changed.removed, scopes=less))
        peer = change(self._peers.get(node))
        await self._write(node, peer)
        return self._settle(node, change(self._peers.get(node)), written=peer)

    def _settle(self, node: NodeId, peer: Peer, *, written: Peer) -> Peer:
        """Makes `peer` count, under a petname that nobody got in the meantime; `save` writes what differs."""
        others = [one.petname for other, one in self.all() if other != node]
        if not peer.removed and fold(peer.petname) in map(fold, others):
            peer = replace(peer, petname=unique_petname(peer.petname, others))
        self._take(node, peer)
        if peer != written:
            self._unsaved.add(node)
            self._amended.set()
        return peer

    async def _write(self, node: NodeId, peer: Peer) -> None:
        await self._kv().put(NAMESPACE, node.text, pack(builtins(peer)))

    def _check_certificate(self, certificate: Certificate) -> None:
        held = self._certificates.get(certificate.node)
        if held is not None and compare(held, certificate) in (Order.OLDER, Order.FORKED):
            raise PeerError("identity.older-epoch", certificate=held, offered=certificate.epoch)

    def check_petname(self, node: NodeId, petname: str) -> None:
        """*Raises* UsageError `node.petname-taken`, `identity.bad-petname`."""
        check_petname(petname)
        if any(fold(peer.petname) == fold(petname) for other, peer in self.all() if other != node):
            raise UsageError("node.petname-taken", f"another peer is called {petname!r}")

    def _petname(self, held: Peer | None, suggestion: str) -> str:
        """The name that a peer had here, or one made from its own; that of a removed peer is free for others."""
        taken = [peer.petname for _, peer in self.all() if peer is not held]
        if held is not None and fold(held.petname) not in map(fold, taken):
            return held.petname
        return unique_petname(suggestion, taken)


def _joined(held: Peer | None, plan: Plan) -> Peer:
    """What was planned, with what is known of the peer by now."""
    added = plan.peer
    if held is None:
        return added
    if held.removed and not plan.brings_back:
        return held
    old, new = Certificate.parse(held.certificate), Certificate.parse(added.certificate)
    given = [Address.parse(one.address) for one in added.addresses if one.given]
    addresses = {one.address: one for one in (*added.addresses, *held.addresses)}
    return replace(
        added,
        certificate=held.certificate if compare(old, new) in (Order.OLDER, Order.FORKED) else added.certificate,
        addresses=merged(addresses.values(), given),
    )


def _read(value: bytes) -> Peer:
    """A peer as the store has it, without names that it may have announced itself."""
    peer = convert(unpack(value), Peer)
    return replace(peer, addresses=without_doubtful_names(peer.addresses, by_card=peer.how == "card"))


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
