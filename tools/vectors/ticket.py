"""Makes vectors/ticket.json: tickets that can be read, what is derived from them, and texts that are refused."""

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.proto.handshake.preface import ticket_id, ticket_psk
from nzcore.proto.identity import armour
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.ticket import FOUR, NAME, SIX, TEXT_PREFIX, Ticket, TicketSecret
from tools.vectors.identity_cast import NOW, Case, make_certificate, make_root, swap_last

SECRET = bytes(range(16))
EXPIRES = NOW + 600
_PORT = (7001).to_bytes(2, "big")


def node() -> NodeId:
    """Whose tickets these are: alice of the other vectors."""
    return make_certificate(make_root()).node


def ticket(*addresses: str) -> Ticket:
    return Ticket(node(), TicketSecret(SECRET), EXPIRES, tuple(map(Address.parse, addresses)))


def packed(*addresses: bytes, count: int | None = None) -> bytes:
    """A ticket's bytes with addresses as they are given, in order or not."""
    head = ticket().encode()[:-1]
    return head + bytes([len(addresses) if count is None else count]) + b"".join(addresses)


def four(*host: int) -> bytes:
    return bytes([FOUR, *host]) + _PORT


def six(host: bytes) -> bytes:
    return bytes([SIX]) + host + _PORT


def name(host: bytes) -> bytes:
    return bytes([NAME, len(host)]) + host + _PORT


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/ticket.md",
        "comment": "byte strings are hex; the secret here is published and must never be used",
        "cases": [*_good(), *_damaged_texts(), *_bad_layouts(), *_bad_addresses()],
    }


def _good() -> list[Case]:
    rows = [
        ("one address", "the usual ticket of a node on one local network", ticket("tcp://192.168.1.20:7001")),
        ("no address", "for whoever knows where the node is", ticket()),
        (
            "all kinds of addresses",
            "IPv4, IPv6 and a name",
            ticket("tcp://192.168.1.20:7001", "tcp://[fd00::1]:7001", "tcp://node.example.org:443"),
        ),
        ("eight addresses", "as many as there may be", ticket(*(f"tcp://10.0.0.{n}:7001" for n in range(1, 9)))),
    ]
    return [_case(title, comment, "ok", one.text, one) for title, comment, one in rows]


def _case(title: str, comment: str, expect: str, text: str, read: Ticket | None = None) -> Case:
    case: Case = {"name": title, "comment": comment, "expect": expect, "text": text}
    if read is not None:
        case |= {
            "bytes": read.encode().hex(),
            "node": read.node.text,
            "secret": read.secret.reveal().hex(),
            "expires": read.expires,
            "addresses": [address.text for address in read.addresses],
            "tid": ticket_id(read.secret.reveal()).hex(),
            "psk": ticket_psk(read.secret.reveal()).hex(),
        }
    return case


def _damaged_texts() -> list[Case]:
    text = ticket("tcp://192.168.1.20:7001").text
    long = packed(*(name(b"x" * 60 + bytes([letter]) + b".example") for letter in range(97, 105)))
    return [
        _case("too long", "more than 512 bytes", "identity.bad-text", armour.encode(TEXT_PREFIX, long)),
        _case(
            "wrapped and in lower case",
            "white space and case do not matter",
            "ok",
            f" {text[:40].lower()}\n{text[40:]} ",
        ),
        _case("one symbol changed", "the checksum finds it", "identity.bad-text", swap_last(text)),
        _case("cut short", "as by a mail program", "identity.bad-text", text[:-8]),
        _case("another prefix", "a card is no ticket", "identity.bad-text", "nzc" + text[2:]),
        _case("no prefix", "bare base32", "identity.bad-text", text[3:]),
    ]


def _bad_layouts() -> list[Case]:
    good = ticket().encode()
    rows = [
        ("version 2", "a later version", "identity.unknown-version", b"\2" + good[1:]),
        ("nothing", "no byte at all", "ticket.bad-ticket", b""),
        ("no count", "cut before the number of addresses", "ticket.bad-ticket", good[:-1]),
        ("more than said", "a byte behind the last address", "ticket.bad-ticket", good + b"\0"),
        ("fewer than said", "one address is missing", "ticket.bad-ticket", packed(count=1)),
        (
            "nine addresses",
            "one too many",
            "ticket.bad-ticket",
            packed(*(four(10, 0, 0, n) for n in range(1, 10))),
        ),
    ]
    return [_refused(*row) for row in rows]


def _bad_addresses() -> list[Case]:
    rows = [
        ("an unknown kind", "2 is no kind of address", bytes([2, 10, 0, 0, 1]) + _PORT),
        ("a cut address", "the port has one byte", four(10, 0, 0, 1)[:-1]),
        ("a cut name", "shorter than its length says", bytes([NAME, 9]) + b"short" + _PORT),
        ("an empty name", "a name has a character at least", name(b"")),
        ("a name in upper case", "one place has one form", name(b"Node.example")),
        ("an IPv4 address as a name", "one place has one form", name(b"10.0.0.1")),
        ("a name with other bytes", "names are ASCII", name(b"n\xc3\xb6de.example")),
        ("an IPv4 address as IPv6", "one place has one form", six(bytes(10) + b"\xff\xff\x0a\0\0\1")),
        ("port 0", "nothing can be dialled there", bytes([FOUR, 10, 0, 0, 1, 0, 0])),
        ("an unspecified address", "it means many", four(0, 0, 0, 0)),
        ("a multicast address", "it means many", six(b"\xff\2" + bytes(13) + b"\1")),
    ]
    cases = [_refused(title, comment, "ticket.bad-ticket", packed(address)) for title, comment, address in rows]
    twice = packed(four(10, 0, 0, 1), four(10, 0, 0, 1))
    return [*cases, _refused("an address twice", "each address once", "ticket.bad-ticket", twice)]


def _refused(title: str, comment: str, expect: str, data: bytes) -> Case:
    """*Raises* ValueError where the code does not refuse it so: a vector must not be wished for."""
    if (found := _code(data)) != expect:
        raise ValueError(f"{title}: {found}")
    return _case(title, comment, expect, armour.encode(TEXT_PREFIX, data)) | {"bytes": data.hex()}


def _code(data: bytes) -> str:
    try:
        Ticket.parse(data)
    except PeerError as error:
        return error.code
    return "ok"
