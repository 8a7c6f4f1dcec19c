"""What a node knows of a peer's addresses: who said them, which worked, which are kept.

Values only: where they are kept and when they are dialled is the peer book's and the dialler's.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from nzcore.proto.identity.address import Address

MAX_ADDRESSES = 16
"""Addresses kept for a peer: those that worked last are kept longest, then those that a person gave."""


class KnownAddress(Struct, frozen=True):
    """An address and how dialling it went."""

    address: str
    worked_at: float = 0.0
    """Seconds since 1970 when it last led to the peer; 0: never."""
    failures: int = 0
    """Dials since then that did not."""
    given: bool | None = None
    """Whether a person gave it: by card, ticket or option. None: kept by a build that did not note it."""

    @property
    def is_literal(self) -> bool:
        return Address.parse(self.address).is_literal


def merged(known: Iterable[KnownAddress], given: Iterable[Address]) -> tuple[KnownAddress, ...]:
    """What is known, with what a person gave."""
    all_ = {one.address: one for one in known}
    for address in given:
        all_[address.text] = replace(all_.get(address.text, KnownAddress(address.text)), given=True)
    return kept(all_.values())


def kept(addresses: Iterable[KnownAddress]) -> tuple[KnownAddress, ...]:
    """As many as are kept, the most promising first; what a peer announces pushes out nothing that a person gave."""
    chosen = sorted(addresses, key=lambda one: (-one.worked_at, not one.given, one.failures))[:MAX_ADDRESSES]
    return tuple(sorted(chosen, key=lambda one: (-one.worked_at, one.failures)))


def dialled(known: KnownAddress, worked: bool, now: float) -> KnownAddress:
    """An address after a dial."""
    failures = 0 if worked else min(known.failures + 1, 1000)
    return replace(known, worked_at=now if worked else known.worked_at, failures=failures)


def without_doubtful_names(addresses: tuple[KnownAddress, ...], *, by_card: bool) -> tuple[KnownAddress, ...]:
    """Leaves out names that the peer may have announced: builds that took them did not note who had said a name.

    A name that led to the peer is the peer's. A ticket and a phrase lead to the peer at once, so that what was given
    with them has worked; a card may be all that is known of a peer that was never reached. To keep any other name would
    be to look up, at every dial, what the peer likes; to drop what a person gave costs that person another card.
    """
    unreached = by_card and not any(one.worked_at for one in addresses)
    return tuple(one for one in addresses if one.given is not None or one.worked_at or unreached or one.is_literal)
