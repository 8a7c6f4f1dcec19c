"""Which of this machine's addresses a node may listen on: loopback and private ones, public ones only if told to."""

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

import ifaddr


class Reach(IntEnum):
    """From how far an address can be reached; the order is that of cards."""

    LOCAL = 0
    """This machine."""
    PRIVATE = 1
    """The local network."""
    PUBLIC = 2
    """The internet."""


class Interface(NamedTuple):
    """One address of one interface. `host` is as `Address` writes it, with the scope of a link-local address."""

    host: str
    reach: Reach


def reach_of(host: str) -> Reach:
    """How far `host` (an IP address, perhaps scoped) reaches; names count as public, because they may lead anywhere."""
    try:
        ip = ip_address(host)
    except ValueError:
        return Reach.LOCAL if host == "localhost" or host.endswith(".localhost") else Reach.PUBLIC  # RFC 6761 §6.3
    if ip.is_loopback:
        return Reach.LOCAL
    if ip.is_link_local or ip.is_private:
        return Reach.PRIVATE
    return Reach.PUBLIC


def local_interfaces() -> list[Interface]:
    """Addresses of all interfaces that are up, loopback first. Looks at the system; does not wait."""
    found = {
        Interface(str(ip), reach_of(str(ip)))
        for adapter in ifaddr.get_adapters()
        for entry in adapter.ips
        if not (ip := _address(entry.ip, adapter.nice_name)).is_multicast
    }
    return sorted(found, key=lambda one: (one.reach, ":" in one.host, one.host))


def _address(ip: str | tuple[str, int, int], interface: str) -> IPv4Address | IPv6Address:
    if isinstance(ip, str):
        return IPv4Address(ip)
    address = IPv6Address(ip[0].partition("%")[0])
    return IPv6Address(f"{address}%{interface}") if address.is_link_local else address
