"""Makes vectors/discovery.json: pseudonyms, whose they are, and what becomes of announcements (spec/discovery.md)."""

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network

from nzcore.base.errors import PeerError
from nzcore.proto.discovery.pseudonym import DiscoveryKey, Pseudonym, recognise
from nzcore.proto.discovery.sighting import SERVICE, Heard, Links, Sighting, read_sighting
from tools.vectors.identity_cast import Case
from tools.vectors.seeds import seed_of

seed = partial(seed_of, "discovery")

KEY, OTHER = DiscoveryKey(seed("key")), DiscoveryKey(seed("another key"))
R, PORT = seed("r", 8), 38495
NAME = Pseudonym.make(KEY, R, PORT).text
NETWORKS, SCOPES = ("192.168.7.0/24", "fd00:7::/64"), ("eth0",)
TXT: dict[bytes, bytes | None] = {b"v": b"1"}


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/discovery.md",
        "comment": "byte strings are hex; `links` are those of whoever hears",
        "cases": [*_names(), *_owners(), *_texts(), *_sightings()],
    }


def _names() -> Iterator[Case]:
    for name, key, r, port in (
        ("a pseudonym", KEY, R, PORT),
        ("another r", KEY, seed("another r", 8), PORT),
        ("another port", KEY, R, PORT + 1),
        ("another key", OTHER, R, PORT),
        ("the lowest port", KEY, R, 1),
        ("the highest port", KEY, R, 65535),
    ):
        yield {
            "name": name,
            "comment": "r and the first 8 bytes of an HMAC, in base32",
            "kind": "make",
            "expect": "ok",
            "dk": key.reveal().hex(),
            "r": r.hex(),
            "port": port,
            "instance": Pseudonym.make(key, r, port).text,
        }


def _owners() -> Iterator[Case]:
    for name, comment, port, keys in (
        ("recognised", "the second of two keys made it", PORT, [OTHER, KEY]),
        ("a stranger's", "no key made it", PORT, [OTHER]),
        ("at another port", "the same name, announced for a port for which it was not made", PORT + 1, [OTHER, KEY]),
    ):
        yield {
            "name": name,
            "comment": comment,
            "kind": "recognise",
            "expect": "ok",
            "instance": NAME,
            "port": port,
            "keys": [key.reveal().hex() for key in keys],
            "owner": recognise(Pseudonym.parse(NAME), port, enumerate(keys)),
        }


def _texts() -> Iterator[Case]:
    bad = "discovery.bad-instance"
    other = "3" if NAME[-1] != "3" else "b"
    for name, comment, expect, text in (
        ("upper case", "names of DNS have no case", "ok", NAME.upper()),
        ("one symbol less", "25 symbols", bad, NAME[:-1]),
        ("one symbol more", "27 symbols", bad, NAME + "a"),
        ("a foreign symbol", "1 is not in the alphabet", bad, "1" + NAME[1:]),
        ("a second spelling", "bits behind the last byte are not zero", bad, NAME[:-1] + other),
        ("nothing", "an empty text", bad, ""),
    ):
        yield {"name": name, "comment": comment, "kind": "parse", "expect": expect, "text": text, "instance": NAME}


def _sightings() -> Iterator[Case]:
    near = ["192.168.7.20", "fd00:7::20", "fe80::20%eth0"]
    pseudonym = f"{NAME}.{SERVICE}"
    rows: list[tuple[str, str, Heard]] = [
        ("an announcement", "all three kinds of addresses", Heard(pseudonym, PORT, near, TXT)),
        ("a pairing window", "a name for people", Heard(f"bob-k3f7.{SERVICE}", PORT, near[:1], TXT)),
        ("more to come", "unknown keys are ignored", Heard(pseudonym, PORT, near[:1], {**TXT, b"w": b"2"})),
        ("link-local without a scope", "any of the links may be meant", Heard(pseudonym, PORT, ["fe80::20"], TXT)),
        ("near and far", "what is far is left out", Heard(pseudonym, PORT, ["203.0.113.9", near[0]], TXT)),
        ("only far", "a public address", Heard(pseudonym, PORT, ["203.0.113.9"], TXT)),
        ("another private network", "not one of these links", Heard(pseudonym, PORT, ["10.9.9.9"], TXT)),
        ("another scope", "not one of these links", Heard(pseudonym, PORT, ["fe80::20%eth9"], TXT)),
        ("loopback", "the hearer itself is never meant", Heard(pseudonym, PORT, ["127.0.0.1", "::1"], TXT)),
        ("broadcast", "everybody is never meant", Heard(pseudonym, PORT, ["192.168.7.255", "255.255.255.255"], TXT)),
        ("multicast", "nor is a group", Heard(pseudonym, PORT, ["224.0.0.251", "ff02::fb"], TXT)),
        ("IPv4 in IPv6", "has a spelling of its own", Heard(pseudonym, PORT, ["::ffff:192.168.7.20"], TXT)),
        ("no text", "v is missing", Heard(pseudonym, PORT, near, {})),
        ("another version", "v is 2", Heard(pseudonym, PORT, near, {b"v": b"2"})),
        ("no port", "0 can't be dialled", Heard(pseudonym, 0, near, TXT)),
        ("another service", "a printer", Heard("printer._ipp._tcp.local.", PORT, near, TXT)),
        ("an unreadable name", "control characters", Heard(f"bob\x1b[31m.{SERVICE}", PORT, near, TXT)),
        ("too long a name", "64 bytes", Heard(f"{'b' * 64}.{SERVICE}", PORT, near, TXT)),
        ("too many addresses", "33", Heard(pseudonym, PORT, [f"192.168.7.{n}" for n in range(1, 34)], TXT)),
    ]
    for name, comment, heard in rows:
        yield {
            "name": name,
            "comment": comment,
            "kind": "sighting",
            "expect": _outcome(heard)[0],
            "service": heard.service,
            "port": heard.port,
            "hosts": list(heard.hosts),
            "properties": {key.hex(): (value or b"").hex() for key, value in heard.properties.items()},
            "links": {"networks": list(NETWORKS), "scopes": list(SCOPES)},
            "addresses": _outcome(heard)[1],
        }


def links() -> Links:
    return Links(tuple(ip_network(network) for network in NETWORKS), SCOPES)


def _outcome(heard: Heard) -> tuple[str, list[str]]:
    try:
        seen: Sighting = read_sighting(heard, links())
    except PeerError as error:
        return error.code, []
    return "ok", [address.text for address in seen.addresses]
