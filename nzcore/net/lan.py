"""The machine's local links: where multicast DNS may be spoken, and which places count as near (spec/discovery.md §5).

Private networks and IPv6 link-local; no tunnels, no public addresses; loopback only on a machine that has nothing else,
because then nobody but this machine can have said what is heard.
"""

import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import NamedTuple

import ifaddr

from nzcore.net.interfaces import Reach, local_interfaces, reach_of
from nzcore.proto.discovery.sighting import Links
from nzcore.proto.identity.address import Address

_POINT_TO_POINT, _MULTICAST = 0x10, 0x1000
"""Flags of an interface (IFF_POINTOPOINT, IFF_MULTICAST), which Linux shows under /sys."""

MAX_INTERFACES = 16
"""Spoken on: a machine with more (containers, mostly) would send every packet that often."""


class Lan(NamedTuple):
    """The local links, and how to speak on them."""

    links: Links
    speak_on: tuple[str | int, ...]
    """IPv4 addresses; for IPv6, link-local addresses or indexes of interfaces."""
    is_loopback: bool = False
    is_alone: bool = False
    """Whether loopback is all because the machine has nothing else."""


class _Place(NamedTuple):
    """One address of one interface."""

    ip: IPv4Address | IPv6Address
    prefix: int
    interface: str
    number: int
    """Of the interface."""


def local_lan(*, only_loopback: bool = False) -> Lan:
    """The links of this moment; `only_loopback` leaves all others out. Looks at the system; does not wait."""
    places = list(_places(ifaddr.get_adapters()))
    near = [
        place
        for place in places
        if not only_loopback and reach_of(str(place.ip)) is Reach.PRIVATE and _takes_multicast(place.interface)
    ]
    if near:
        return _lan(near)
    return _lan([p for p in places if p.ip.is_loopback])._replace(is_loopback=True, is_alone=not only_loopback)


def near_hosts(addresses: Iterable[Address], lan: Lan) -> tuple[int, tuple[str, ...]]:
    """What to announce: the port of most of the node's addresses on `lan`, and their hosts without scopes.

    (0, ()) where the node listens on none.
    """
    hosts: dict[int, list[str]] = {}
    for address in addresses:
        for host in _own_hosts(address.host):
            if reach_of(host) is (Reach.LOCAL if lan.is_loopback else Reach.PRIVATE):
                hosts.setdefault(address.port, []).append(host.partition("%")[0])
    if not hosts:
        return 0, ()
    port = max(sorted(hosts), key=lambda one: len(hosts[one]))
    return port, tuple(dict.fromkeys(hosts[port]))


def scope_name(host: str) -> str:
    """`host` with the name of its interface where a number is its scope; unchanged where there is none such."""
    plain, percent, scope = host.partition("%")
    if not percent or not scope.isdecimal():
        return host
    try:
        return f"{plain}%{socket.if_indextoname(int(scope))}"
    except (OSError, OverflowError):
        return plain


def _own_hosts(host: str) -> list[str]:
    """The addresses that a listening host stands for: its own, or all of a family."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return [host]
    return [one.host for one in local_interfaces() if (":" in one.host) == (host == "::")]


def _places(adapters: Iterable[ifaddr.Adapter]) -> Iterator[_Place]:
    for adapter in adapters:
        for entry in adapter.ips:
            ip = IPv4Address(entry.ip) if isinstance(entry.ip, str) else IPv6Address(str(entry.ip[0]).partition("%")[0])
            yield _Place(ip, entry.network_prefix, adapter.nice_name, adapter.index or 0)


def _lan(places: list[_Place]) -> Lan:
    nets = [ip_network((int(p.ip), p.prefix) if p.ip.version == 4 else (p.ip, p.prefix), strict=False) for p in places]
    networks = {net for net, p in zip(nets, places, strict=True) if net.is_private and not _is_scoped(p)}
    scopes = {p.interface for p in places if _is_scoped(p)}
    links = Links(tuple(sorted(networks, key=_order)), tuple(sorted(scopes)))
    four = [str(p.ip) for p in places if p.ip.version == 4]
    often = Counter(p.ip for p in places)
    six: dict[int, str | int] = {}
    for place in sorted((p for p in places if p.ip.version == 6), key=lambda p: not p.ip.is_link_local):
        six.setdefault(place.number, str(place.ip) if often[place.ip] == 1 else place.number)
    return Lan(links, (*sorted(four)[:MAX_INTERFACES], *(six[i] for i in sorted(six)[:MAX_INTERFACES])))


def _is_scoped(place: _Place) -> bool:
    return place.ip.version == 6 and place.ip.is_link_local


def _order(network: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _takes_multicast(interface: str) -> bool:
    """Whether an interface is a link with others on it; where the system does not say, it is taken for one."""
    try:
        flags = int(Path("/sys/class/net", interface, "flags").read_text(), 16)
    except (OSError, ValueError):
        return True
    return bool(flags & _MULTICAST) and not flags & _POINT_TO_POINT
