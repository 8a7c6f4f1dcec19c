"""Tickets: a one-time invitation to one node, as a text that is a secret (spec/ticket.md).

Knows the layout only: what a ticket allows, how often and until when stays with the node that gave it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.crypto.secrets import SecretBytes
from nzcore.proto.identity import armour
from nzcore.proto.identity.address import Address

TEXT_PREFIX = "nz"
VERSION = 1
TICKET_BYTES = 512
"""Encoded, before base32: at most 834 characters, which a telephone still reads from a screen."""

MAX_ADDRESSES = 8
NODE_BYTES, SECRET_BYTES, EXPIRES_BYTES, PORT_BYTES = 32, 16, 4, 2
HEAD_BYTES = 1 + NODE_BYTES + SECRET_BYTES + EXPIRES_BYTES + 1
MAX_EXPIRES = (1 << 32) - 1

NAME, FOUR, SIX = 1, 4, 6
"""Kinds of addresses: a DNS name behind its length, an IPv4 address, an IPv6 address."""

_IP_BYTES = {FOUR: 4, SIX: 16}


class TicketSecret(SecretBytes):
    """The 16 bytes from which a ticket's id and key are derived."""

    SIZE = SECRET_BYTES
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where to knock, and with which secret. Its text is worth as much as the secret."""

    node: NodeId
    """Whose ticket it is: no other node can answer it."""
    secret: TicketSecret
    expires: int
    """Seconds since 1970 by the giver's clock: a hint for whoever holds it; the giver alone decides."""
    addresses: tuple[Address, ...] = ()

    def __post_init__(self) -> None:
        """*Raises* UsageError `ticket.bad-argument` for what no text can say."""
        fits = 0 <= self.expires <= MAX_EXPIRES and len(self.addresses) <= MAX_ADDRESSES and _useful(self.addresses)
        if not fits or len(self.encode()) > TICKET_BYTES:
            raise UsageError("ticket.bad-argument", addresses=len(self.addresses))

    def encode(self) -> bytes:
        """The layout of spec/ticket.md §2 without its checksum, at most 512 bytes."""
        head = bytes([VERSION]) + self.node + self.secret.reveal() + self.expires.to_bytes(EXPIRES_BYTES, "big")
        return head + bytes([len(self.addresses)]) + b"".join(map(_pack, self.addresses))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """*Raises* PeerError `ticket.bad-ticket`, `identity.unknown-version`."""
        if data[:1] and data[0] != VERSION:
            raise PeerError("identity.unknown-version", version=data[0])
        if not HEAD_BYTES <= len(data) <= TICKET_BYTES:
            raise PeerError("ticket.bad-ticket", size=len(data))
        addresses, at = [], HEAD_BYTES
        for _ in range(data[HEAD_BYTES - 1]):
            address, at = _unpack(data, at)
            addresses.append(address)
        if at != len(data) or len(addresses) > MAX_ADDRESSES or not _useful(tuple(addresses)):
            raise PeerError("ticket.bad-ticket", addresses=len(addresses))
        secret_at, expires_at = 1 + NODE_BYTES, 1 + NODE_BYTES + SECRET_BYTES
        return cls(
            node=NodeId(data[1:secret_at]),
            secret=TicketSecret(data[secret_at:expires_at]),
            expires=int.from_bytes(data[expires_at : HEAD_BYTES - 1], "big"),
            addresses=tuple(addresses),
        )

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """The ticket in a `nz:` text, however it was wrapped or cased.

        *Raises* PeerError as `parse`, and `identity.bad-text`.
        """
        return cls.parse(armour.decode(TEXT_PREFIX, text, max_bytes=TICKET_BYTES))

    @property
    def text(self) -> str:
        """One line: for a message, a mail, a terminal."""
        return armour.encode(TEXT_PREFIX, self.encode())

    @property
    def qr_text(self) -> str:
        """The same in upper case only, which a QR code holds in its alphanumeric mode (5.5 bits a character)."""
        return self.text.upper()


def portable(address: Address) -> bool:
    """Whether a ticket can carry the address: it can be dialled, and means the same on another machine."""
    return address.dialable and "%" not in address.host


def _useful(addresses: tuple[Address, ...]) -> bool:
    return len(set(addresses)) == len(addresses) and all(map(portable, addresses))


def _pack(address: Address) -> bytes:
    port = address.port.to_bytes(PORT_BYTES, "big")
    try:
        ip = ip_address(address.host)
    except ValueError:
        name = address.host.encode("ascii")
        return bytes([NAME, len(name)]) + name + port
    return bytes([FOUR if isinstance(ip, IPv4Address) else SIX]) + ip.packed + port


def _unpack(data: bytes, at: int) -> tuple[Address, int]:
    """The address at `at`, and where the next one begins. *Raises* PeerError `ticket.bad-ticket`."""
    kind = data[at] if at < len(data) else 0
    start = at + 1
    if kind == NAME and start < len(data):
        start, size = start + 1, data[start]
    elif kind in _IP_BYTES:
        size = _IP_BYTES[kind]
    else:
        raise PeerError("ticket.bad-ticket", kind=kind)
    end = start + size
    raw, port = data[start:end], data[end : end + PORT_BYTES]
    if len(raw) != size or len(port) != PORT_BYTES:
        raise PeerError("ticket.bad-ticket", cut_at=len(data))
    return _address(kind, raw, int.from_bytes(port, "big")), end + PORT_BYTES


def _address(kind: int, raw: bytes, port: int) -> Address:
    """One place has one form: a name that is an address, or is not canonical, is refused."""
    host = str(IPv4Address(raw)) if kind == FOUR else f"[{IPv6Address(raw)}]" if kind == SIX else raw.decode("latin-1")
    text = f"tcp://{host}:{port}"
    try:
        address = Address.parse(text)
    except PeerError as error:
        raise PeerError("ticket.bad-ticket", cause=error.code) from None
    is_ip = address.host.replace(".", "").isdigit() or ":" in address.host
    if address.text != text or is_ip != (kind != NAME):
        raise PeerError("ticket.bad-ticket", kind=kind)
    return address
