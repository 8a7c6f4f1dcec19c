"""Addresses as people and cards write them: `tcp://host:port` (NZ-IDENTITY-01 §7).

Knows syntax only: nothing is resolved. Hosts are IPv4, bracketed IPv6 with an optional scope, or a DNS name.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, Self

from nzcore.base.errors import PeerError

SCHEME = "tcp"
ADDRESS_BYTES = 272  # `tcp://`, a DNS name of 253 characters, `:`, a port, and room for brackets
_FORM = re.compile(
    r"tcp://(?:\[(?P<six>[0-9A-Fa-f:]{2,39})(?:%(?P<scope>[0-9A-Za-z._-]{1,15}))?\]|(?P<host>[0-9A-Za-z.-]{1,253})):(?P<port>0|[1-9][0-9]{0,4})"
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # resolvers take the second for one too: 0x7f000001 is 127.0.0.1 to them
_LABEL = re.compile(r"[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?")  # letters, digits, inner hyphens (RFC 1123)


class Address(NamedTuple):
    """A place to dial or to listen on. `host` is canonical: lower case, IPv6 compressed and without brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address in `text`. *Raises* PeerError `identity.bad-address`."""
        form = _FORM.fullmatch(text) if len(text) <= ADDRESS_BYTES else None
        if form is None:
            raise PeerError("identity.bad-address")
        port = int(form["port"])
        if port > 65535:
            raise PeerError("identity.bad-address", "the port is above 65535", port=port)
        host = _six(form["six"], form["scope"]) if form["six"] else _four_or_name(form["host"].lower())
        return cls(host, port)

    @property
    def text(self) -> str:
        """The canonical text, which `parse` returns to an equal address."""
        return f"{SCHEME}://[{self.host}]:{self.port}" if ":" in self.host else f"{SCHEME}://{self.host}:{self.port}"

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address: dialling a name asks resolvers, who learn it and say where it leads."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def dialable(self) -> bool:
        """False for what can only be listened on or means many: port 0, unspecified and multicast addresses."""
        try:
            ip = ip_address(self.host)
        except ValueError:
            return self.port > 0
        return self.port > 0 and not ip.is_unspecified and not ip.is_multicast and str(ip) != "255.255.255.255"


def _six(digits: str, scope: str | None) -> str:
    try:
        ip = IPv6Address(digits)
    except ValueError:
        raise PeerError("identity.bad-address", "not an IPv6 address") from None
    if ip.ipv4_mapped is not None:  # one place, one text: Python's own spelling of these has changed between versions
        raise PeerError("identity.bad-address", "write the IPv4 address instead")
    if scope is not None and not ip.is_link_local and not ip.is_multicast:
        raise PeerError("identity.bad-address", "only link-local addresses have a scope")
    return f"{ip}%{scope}" if scope else str(ip)


def _four_or_name(host: str) -> str:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # no top-level domain is a number: this wants to be IPv4
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise PeerError("identity.bad-address", "not an IPv4 address") from None
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise PeerError("identity.bad-address", "not a host name")
    return host
