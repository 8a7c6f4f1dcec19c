"""The tickets that this node gave: kept in the store, held in memory, redeemed in one transaction (spec/ticket.md §4).

Knows no network: handshakes ask `secret` and `verdict`, which answer at once, and then `redeem`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import trio
from msgspec import Struct
from msgspec.structs import replace

from nzcore.base.errors import UsageError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.crypto.random import random_bytes
from nzcore.node.peers import PeerBook
from nzcore.proto.handshake.preface import TICKET_SECRET_BYTES, ticket_id
from nzcore.proto.handshake.verdict import NOT_ADMITTED
from nzcore.proto.identity.certificate import Certificate
from nzcore.store.kv import KV, Delete, Put

NAMESPACE = "tickets"
PLACE_NAME = "place"
"""Name of the one entry that is no ticket: where the tickets were written."""

MAX_TICKETS = 256
REMEMBERED_S = 86_400.0
"""Seconds for which an expired ticket is still told from one that never was."""

SWEEP_S = 3600.0
"""Seconds between looks for tickets to forget."""


class StoredTicket(Struct, frozen=True):
    """One ticket as it stands in the store."""

    secret: bytes
    made_at: int
    """Seconds since 1970."""
    ttl_s: int
    uses: int = 1
    scopes: tuple[Scope, ...] = ()
    bound: tuple[bytes, ...] = ()
    """NodeIds that redeemed it."""
    ended: str = ""
    """The code of what ended it before its time."""


class _Held(NamedTuple):
    """A ticket in memory. `deadline`: by Trio's clock, when it is over whatever the wall clock says."""

    ticket: StoredTicket
    version: int
    deadline: float


class Given(NamedTuple):
    """A ticket for showing."""

    tid: bytes
    ticket: StoredTicket
    left_s: float
    """Seconds until it expires; 0 or less: it has."""
    state: str
    """open, used, expired, cancelled or void."""


class Tickets:
    """All tickets of a node. `load` before use; every change is durable when it returns."""

    def __init__(
        self, kv: Callable[[], KV], book: PeerBook, clock: Callable[[], float], place: Callable[[], bytes]
    ) -> None:
        """`clock` gives seconds since 1970; `place` says where the store is (`place_of`)."""
        self._kv = kv
        self._book = book
        self._clock = clock
        self._place = place
        self._held: dict[bytes, _Held] = {}
        self._lock = trio.Lock()

    async def load(self) -> int:
        """Reads the tickets; how many were made void because the store is not where they were written.

        *Raises* UnavailableError `store.*`, and as `place_of`.
        """
        kv, here = self._kv(), self._place()
        entry = await kv.get(NAMESPACE, PLACE_NAME)
        moved = entry is not None and entry.value != here
        self._held.clear()
        writes: list[Put | Delete] = [] if entry is not None and not moved else [Put(NAMESPACE, PLACE_NAME, here)]
        for name in await kv.list(NAMESPACE):
            if name == PLACE_NAME or (found := await kv.get(NAMESPACE, name)) is None:
                continue
            tid, ticket = bytes.fromhex(name), convert(unpack(found.value), StoredTicket)
            if moved and not ticket.ended:
                ticket = replace(ticket, ended="ticket.void")
                writes.append(_put(tid, ticket))
            self._hold(tid, ticket, found.version)
        if writes:
            versions = await kv.write(writes)
            for write, version in zip(writes, versions, strict=True):
                if write.name != PLACE_NAME:
                    tid = bytes.fromhex(write.name)
                    self._held[tid] = self._held[tid]._replace(version=version)
        await self.sweep()
        return sum(write.name != PLACE_NAME for write in writes)

    async def give(self, *, ttl_s: int, uses: int, scopes: Iterable[Scope]) -> Given:
        """A new ticket. *Raises* UsageError `ticket.too-many`."""
        async with self._lock:
            await self._forget(self._forgotten(room_for=1))
            if len(self._held) >= MAX_TICKETS:
                raise UsageError("ticket.too-many", limit=MAX_TICKETS)
            secret = random_bytes(TICKET_SECRET_BYTES)
            tid, now = ticket_id(secret), int(self._clock())
            ticket = StoredTicket(secret, now, ttl_s, uses, tuple(sorted(scopes)))
            (version,) = await self._kv().write([_put(tid, ticket, expect=0)])
            self._hold(tid, ticket, version)
            return self.get(tid)

    async def cancel(self, tid: bytes) -> Given:
        """Takes a ticket back; whom it has let in stays. *Raises* UsageError `ticket.unknown`."""
        async with self._lock:
            held = self._find(tid)
            if not held.ticket.ended:
                ticket = replace(held.ticket, ended="ticket.cancelled")
                # Tickets change under this lock only, so there is nothing to expect: taking back always wins.
                (version,) = await self._kv().write([_put(tid, ticket)])
                self._held[tid] = held._replace(ticket=ticket, version=version)
            return self.get(tid)

    def all(self) -> list[Given]:
        """Every ticket that is remembered, the newest first."""
        return [self.get(tid) for tid in sorted(self._held, key=lambda tid: -self._held[tid].ticket.made_at)]

    def get(self, tid: bytes) -> Given:
        """*Raises* UsageError `ticket.unknown`."""
        held = self._find(tid)
        left, ticket = self._left(held), held.ticket
        state = "open"
        if ticket.ended:
            state = ticket.ended.partition(".")[2]
        elif len(ticket.bound) >= ticket.uses:
            state = "used"
        elif left <= 0:
            state = "expired"
        return Given(tid, ticket, left, state)

    # What handshakes ask.

    def secret(self, tid: bytes) -> bytes | None:
        """The secret of a ticket that is remembered, over or not: only so can its holder be told why."""
        held = self._held.get(tid)
        return None if held is None else held.ticket.secret

    def verdict(self, tid: bytes, node: NodeId) -> str:
        """Whether `node` may redeem the ticket now: "" or the code of the refusal."""
        held = self._held.get(tid)
        if held is None:
            return NOT_ADMITTED
        ticket = held.ticket
        if ticket.ended:
            return ticket.ended
        if self._left(held) <= 0:
            return "ticket.expired"
        if bytes(node) in ticket.bound:
            return NOT_ADMITTED if self._book.was_removed(node) else ""
        return "ticket.used" if len(ticket.bound) >= ticket.uses else ""

    async def redeem(self, tid: bytes, certificate: Certificate) -> str:
        """Binds the ticket to the node and writes it as a peer, in one transaction; "" or the code of the refusal.

        *Raises* UnavailableError `store.*`; PeerError `identity.*` where a better certificate is known.
        """
        node = certificate.node
        async with self._lock:
            while True:
                refusal = self.verdict(tid, node)
                held = self._held.get(tid)
                if refusal or held is None:
                    return refusal
                known = self._book.get(node)
                if known is not None and bytes(node) in held.ticket.bound:
                    return ""  # it came before and did not hear our answer
                if not self._book.has_room_for(node):
                    return "ticket.no-room"
                scopes = {*held.ticket.scopes, *(known.scopes if known else ())}
                plan = self._book.plan(certificate, scopes=scopes, how="ticket")
                bound = dict.fromkeys((*held.ticket.bound, bytes(node)))
                ticket = replace(held.ticket, bound=tuple(bound))
                try:
                    versions = await self._kv().write([_put(tid, ticket, expect=held.version), plan.put])
                except UsageError as error:
                    if error.code != "store.conflict":
                        raise
                    await self._reload(tid)  # a write whose answer was lost, as in a cancelled redemption
                    continue
                self._held[tid] = held._replace(ticket=ticket, version=versions[0])
                self._book.settle(plan)
                return ""

    async def sweep(self) -> None:
        """Forgets tickets that nobody will ask for any more."""
        async with self._lock:
            await self._forget(self._forgotten())

    async def _forget(self, tids: list[bytes]) -> None:
        if tids:
            await self._kv().write([Delete(NAMESPACE, tid.hex()) for tid in tids])
            for tid in tids:
                del self._held[tid]

    def _forgotten(self, room_for: int = 0) -> list[bytes]:
        """Tickets that expired a day ago and, where room is needed, those that are over, the oldest first."""
        old = [tid for tid, held in self._held.items() if self._left(held) < -REMEMBERED_S]
        need = len(self._held) - len(old) + room_for - MAX_TICKETS
        if need > 0:
            over = [given.tid for given in reversed(self.all()) if given.state != "open" and given.tid not in old]
            old += over[:need]
        return old

    async def _reload(self, tid: bytes) -> None:
        entry = await self._kv().get(NAMESPACE, tid.hex())
        if entry is None:
            self._held.pop(tid, None)
            return
        ticket = convert(unpack(entry.value), StoredTicket)
        self._held[tid] = self._held[tid]._replace(ticket=ticket, version=entry.version)
        for node in map(NodeId, ticket.bound):
            if self._book.get(node) is None and not self._book.was_removed(node):
                await self._book.reload(node)

    def _hold(self, tid: bytes, ticket: StoredTicket, version: int) -> None:
        """The rest of its life by the wall clock, and never more than all of it: for a clock that was set back."""
        left = min(ticket.ttl_s, ticket.made_at + ticket.ttl_s - self._clock())
        self._held[tid] = _Held(ticket, version, trio.current_time() + left)

    def _left(self, held: _Held) -> float:
        by_wall = held.ticket.made_at + held.ticket.ttl_s - self._clock()
        return min(by_wall, held.deadline - trio.current_time())

    def _find(self, tid: bytes) -> _Held:
        held = self._held.get(tid)
        if held is None:
            raise UsageError("ticket.unknown", tid=tid.hex())
        return held


def _put(tid: bytes, ticket: StoredTicket, *, expect: int | None = None) -> Put:
    return Put(NAMESPACE, tid.hex(), pack(builtins(ticket)), expect)
