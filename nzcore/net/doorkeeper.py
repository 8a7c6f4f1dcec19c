"""Who may knock: limits on connections that have not proved anything yet (spec/handshake.md, limits).

Knows addresses and the time, no sockets. A flood of strangers costs at most `max_half_open` handshakes at once, and
addresses that authenticated lately keep slots of their own.
"""

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from nzcore.base.errors import PeerError
from nzcore.base.instant import Instant

REMEMBERED = 4096
"""Networks whose rate or success is remembered; the one unseen for longest is forgotten first."""

LATELY_S = 3600.0
"""Seconds for which a network that authenticated may use the reserved slots."""


TOLD_BURST = 50
"""Refusals told on the bus at once; in the long run one a second: strangers must not wash the log away."""

V = TypeVar("V")


class DoorSettings(Struct, frozen=True, forbid_unknown_fields=True):
    max_half_open: Annotated[int, Meta(ge=2, le=65_536, description="handshakes under way at once")] = 128
    reserved: Annotated[int, Meta(ge=0, le=65_536, description="of them, for addresses that connected lately")] = 32
    per_network: Annotated[int, Meta(ge=1, le=65_536, description="of them, from one IPv4 address or IPv6 /64")] = 16
    rate_per_s: Annotated[float, Meta(gt=0, le=1e6, description="new connections a second from one such network")] = (
        10.0
    )
    burst: Annotated[float, Meta(ge=1, le=1e6, description="new connections that may come at once from one")] = 30.0


class Doorkeeper:
    """Counts connections between their first byte and their proof."""

    def __init__(self, settings: DoorSettings) -> None:
        self._settings = settings
        self._half_open: dict[str, int] = {}
        self._total = 0
        self._allowance: OrderedDict[str, tuple[float, Instant]] = OrderedDict()
        self._known: OrderedDict[str, Instant] = OrderedDict()
        self._tell, self._told_at, self._untold = float(TOLD_BURST), Instant(0.0), 0

    @property
    def half_open(self) -> int:
        """Handshakes under way."""
        return self._total

    def enter(self, host: str, now: Instant) -> str:
        """Lets a new connection from `host` try; the network to hand back to `leave`.

        *Raises* PeerError `net.too-fast` or `net.too-many-half-open`: close it without a word.
        """
        network = network_of(host)
        known = now - self._known.get(network, Instant(-LATELY_S)) < LATELY_S
        room = self._settings.max_half_open - (0 if known else self._settings.reserved)
        if self._total >= room or self._half_open.get(network, 0) >= self._settings.per_network:
            raise PeerError("net.too-many-half-open", network=network)
        self._spend(network, now)
        self._total += 1
        self._half_open[network] = self._half_open.get(network, 0) + 1
        return network

    def leave(self, network: str, now: Instant, *, proved: bool) -> None:
        """The handshake is over; `proved`: it led to a channel."""
        self._total -= 1
        self._half_open[network] -= 1
        if not self._half_open[network]:
            del self._half_open[network]
        if proved:
            _remember(self._known, network, now)

    def tell(self, now: Instant) -> int | None:
        """Whether a refusal is told: how many before it were not, or None where it is not told either."""
        self._tell = min(float(TOLD_BURST), self._tell + now - self._told_at)
        self._told_at = now
        if self._tell < 1:
            self._untold += 1
            return None
        self._tell -= 1
        untold, self._untold = self._untold, 0
        return untold

    def _spend(self, network: str, now: Instant) -> None:
        """Token bucket: `burst` at once, `rate_per_s` in the long run."""
        settings = self._settings
        allowance, since = self._allowance.get(network, (settings.burst, now))
        allowance = min(settings.burst, allowance + (now - since) * settings.rate_per_s)
        if allowance < 1:
            raise PeerError("net.too-fast", network=network)
        _remember(self._allowance, network, (allowance - 1, now))


@lru_cache(maxsize=REMEMBERED)
def network_of(host: str) -> str:
    """What is counted as one: an IPv4 address, the /64 of an IPv6 address, or the text of anything else."""
    try:
        ip = ip_address(host)
    except ValueError:
        return host
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
    return str(ip)


def _remember(memory: OrderedDict[str, V], key: str, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
