"""What is seen on the local network, and when it is worth a dial; bounded whatever comes (spec/discovery.md §6).

A machine: sightings and time go in. Knows no keys; whose a sighting is, is handed in by who holds them.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.proto.discovery.sighting import Sighting
from nzcore.proto.identity.address import Address

MAX_STRANGERS = 128
"""Instances of unknown nodes that are kept; more are counted and forgotten."""

MAX_OF_PEER = 4
"""Instances of one peer that are kept: one is right, others are on their way out, or repeated by somebody."""

MAX_HINTS = 4
"""Addresses that are tried because of what is seen, beside those known of a peer."""

DIAL_INSTANCE_S = 60.0
"""Seconds until the same instance may cause a dial again: whoever repeats a recorded name gains one a minute."""

DIAL_PEER_S = 5.0
"""Seconds until any instance of the same peer may: whoever recorded many names gains no more than that."""

BURST = 128
RATE_PER_S = 20.0
"""New instances that are looked at: each costs an HMAC for each peer. More than that is no network but a flood."""


class Seen(NamedTuple):
    """An instance that is announced now."""

    sighting: Sighting
    node: NodeId | None
    """The peer whose key made the name; None for a stranger or an open pairing window."""
    first: Instant

    @property
    def instance(self) -> str:
        return self.sighting.instance


class Register:
    """All instances announced now, as far as they are kept."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._dialled: dict[str, Instant] = {}
        self._dialled_peer: dict[NodeId, Instant] = {}
        self._credit = float(BURST)
        self._credited = Instant(0.0)
        self.dropped = 0
        """Instances that were not taken because there were too many."""

    def __iter__(self) -> Iterator[Seen]:
        return iter(tuple(self._seen.values()))

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, instance: str) -> Seen | None:
        return self._seen.get(instance)

    def admits(self, instance: str, now: Instant) -> bool:
        """Whether an instance may be looked at: it is known, or new ones have not come too fast."""
        if instance in self._seen:
            return True
        self._credit = min(float(BURST), self._credit + max(0.0, now - self._credited) * RATE_PER_S)
        self._credited = now
        if self._credit < 1.0:
            self.dropped += 1
            return False
        self._credit -= 1.0
        return True

    def hear(self, sighting: Sighting, node: NodeId | None, now: Instant) -> Seen | None:
        """Notes what is announced; what is kept of it, or None where there is no room."""
        held = self._seen.pop(sighting.instance, None)
        same = held is not None and held.node == node
        fresh = Seen(sighting, node, held.first if held is not None and same else now)
        if not same and not self._make_room(node):
            self.dropped += 1
            return None
        self._seen[sighting.instance] = fresh  # at the end: the latest word is the likeliest
        return fresh

    def lose(self, instance: str) -> Seen | None:
        """Forgets an instance that is no longer announced; what was kept of it."""
        return self._seen.pop(instance, None)

    def reconsider(self, owner: Callable[[Sighting], NodeId | None], now: Instant) -> list[Seen]:
        """Asks anew whose each instance is, after keys came or went; those whose answer has changed."""
        changed = [one for one in self if one.sighting.pseudonym is not None and owner(one.sighting) != one.node]
        return [fresh for one in changed if (fresh := self.hear(one.sighting, owner(one.sighting), now)) is not None]

    def hints(self, node: NodeId) -> tuple[Address, ...]:
        """Where a peer seems to be, the latest word first."""
        own = [one.sighting.addresses for one in reversed(tuple(self._seen.values())) if one.node == node]
        return tuple(dict.fromkeys(address for addresses in own for address in addresses))[:MAX_HINTS]

    def may_dial(self, seen: Seen, now: Instant) -> bool:
        """Whether `seen` may cause a dial now; says so at most as often as the limits allow."""
        if seen.node is None:
            return False
        last, last_of_peer = self._dialled.get(seen.instance), self._dialled_peer.get(seen.node)
        if last is not None and now - last < DIAL_INSTANCE_S:
            return False
        if last_of_peer is not None and now - last_of_peer < DIAL_PEER_S:
            return False
        self._dialled = {name: at for name, at in self._dialled.items() if now - at < DIAL_INSTANCE_S}
        self._dialled[seen.instance] = self._dialled_peer[seen.node] = now
        return True

    def clear(self) -> None:
        """Forgets what is seen, after the links have changed; not how often was dialled."""
        self._seen.clear()

    def _make_room(self, node: NodeId | None) -> bool:
        """Peers push out their own oldest instance, so that strangers can't push out peers; strangers push nobody."""
        own = [one.instance for one in self if one.node == node]
        if node is None:
            return len(own) < MAX_STRANGERS
        if len(own) >= MAX_OF_PEER:
            del self._seen[own[0]]
        return True
