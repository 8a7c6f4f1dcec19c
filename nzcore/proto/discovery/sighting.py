"""What the network says of a service, made a value or refused (spec/discovery.md §4, §5).

Whatever a stranger announces, only places on this machine's own links come out of it: so nothing that is heard can make
a node speak to anybody beyond them. Knows no sockets; the links are handed in.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from nzcore.base.errors import PeerError, UsageError
from nzcore.proto.discovery.pseudonym import Pseudonym
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.names import sanitise

SERVICE = "_nzcore._tcp.local."
VERSION = b"1"
INSTANCE_BYTES = 63
"""A DNS label (RFC 1035)."""

MAX_HOSTS = 32
"""Addresses of one instance that are looked at: a machine with more interfaces than that is not what we meet."""

MAX_ADDRESSES = 8
"""Addresses of one instance that are kept: as many as one dial tries."""

MAX_PROPERTIES = 16
HOST_CHARACTERS = 64
"""An IPv6 address has at most 45, its scope 16 more."""

SCOPE_CHARACTERS = 15


class Links(NamedTuple):
    """The local links of a machine: the networks that it is on, and the names of interfaces with link-local IPv6."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    scopes: tuple[str, ...] = ()


class Heard(NamedTuple):
    """What the network says of one instance, unchecked."""

    service: str
    """The instance and the type, as `bob._nzcore._tcp.local.`."""
    port: int
    hosts: Sequence[str]
    """Addresses as text; link-local IPv6 perhaps with `%` and the name of an interface."""
    properties: Mapping[bytes, bytes | None]


class Sighting(NamedTuple):
    """An instance as it may be believed: that it says so, and no more."""

    instance: str
    pseudonym: Pseudonym | None
    """None: an open pairing window, whose instance is a name for people."""
    port: int
    addresses: tuple[Address, ...]


def read_instance(service: str) -> tuple[str, Pseudonym | None]:
    """The instance's name, and what it says if it is a pseudonym. *Raises* PeerError `discovery.bad-instance`."""
    if len(service) > INSTANCE_BYTES + 1 + len(SERVICE) or not service.lower().endswith("." + SERVICE):
        raise PeerError("discovery.bad-instance")
    instance = service[: -len(SERVICE) - 1]
    try:
        name = Pseudonym.parse(instance)
    except PeerError:
        return _readable(instance), None
    return name.text, name


def check_window(instance: str) -> str:
    """`instance` itself, where it can name a pairing window. *Raises* UsageError `discovery.bad-argument`."""
    try:
        name, pseudonym = read_instance(f"{instance}.{SERVICE}")
    except PeerError as error:
        raise UsageError("discovery.bad-argument", instance=instance) from error
    if pseudonym is not None:
        raise UsageError("discovery.bad-argument", instance=instance)
    return name


def read_sighting(heard: Heard, links: Links) -> Sighting:
    """What `heard` says, as far as it is about places on `links`.

    *Raises* PeerError `discovery.bad-instance`, `discovery.bad-service`, `discovery.other-version`,
    `discovery.off-link`.
    """
    instance, name = read_instance(heard.service)
    if not 0 < heard.port < 1 << 16 or len(heard.hosts) > MAX_HOSTS or len(heard.properties) > MAX_PROPERTIES:
        raise PeerError("discovery.bad-service")
    if heard.properties.get(b"v") != VERSION:
        raise PeerError("discovery.other-version")
    places = [Address(host, heard.port) for text in heard.hosts for host in _on_link(text, links)]
    if not places:
        raise PeerError("discovery.off-link")
    return Sighting(instance, name, heard.port, tuple(dict.fromkeys(places))[:MAX_ADDRESSES])


def _readable(instance: str) -> str:
    """A name that a person can read and type; what would have to be changed for that is refused."""
    if not instance or sanitise(instance, INSTANCE_BYTES) != instance:
        raise PeerError("discovery.bad-instance")
    return instance


def _on_link(text: str, links: Links) -> list[str]:
    """The hosts that `text` means on this machine's links: none for any other place."""
    if len(text) > HOST_CHARACTERS:
        return []
    try:
        ip = ip_address(text)
    except ValueError:
        return []
    if ip.is_multicast or ip.is_unspecified:
        return []
    if isinstance(ip, IPv6Address) and ip.is_link_local:
        return _scoped(ip, links)
    plain = ip if isinstance(ip, IPv4Address) else IPv6Address(int(ip))
    own = any(_is_station(plain, network) for network in links.networks)
    return [str(plain)] if own and not (isinstance(plain, IPv6Address) and plain.ipv4_mapped) else []


def _is_station(ip: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> bool:
    """Whether `ip` is one machine of `network`: its broadcast address is all of them."""
    if ip.version != network.version or ip not in network:
        return False
    broad = isinstance(network, IPv4Network) and network.prefixlen < 31 and ip == network.broadcast_address
    return not broad


def _scoped(ip: IPv6Address, links: Links) -> list[str]:
    """Where the record came over IPv4, nobody knows which link is meant: any of them may be."""
    plain = IPv6Address(int(ip))
    meant = [scope for scope in links.scopes if ip.scope_id in (None, scope) and len(scope) <= SCOPE_CHARACTERS]
    return [f"{plain}%{scope}" for scope in meant]
