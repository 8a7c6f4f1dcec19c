from ipaddress import IPv4Address, IPv6Address

import pytest
import qrcode
from hypothesis import given
from hypothesis import strategies as st
from qrcode.util import MODE_ALPHA_NUM, QRData

from nzcore.base.errors import PeerError, UsageError
from nzcore.codec import cbor
from nzcore.proto.identity import armour
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.proto.identity.certificate import Flags
from tools.vectors.identity_cast import make_certificate, make_root

CERTIFICATE = make_certificate(make_root())
FOUR = tuple(
    Address.parse(text)
    for text in ("tcp://192.0.2.7:7001", "tcp://[2001:db8::7]:7001", "tcp://[fe80::7%eth0]:7001", "tcp://a.example:1")
)
GOOD = Card.make(CERTIFICATE, FOUR)

PORTS = st.integers(1, 65535)
FOURS = st.ip_addresses(v=4).filter(lambda ip: not ip.is_unspecified and not ip.is_multicast)
SIXES = st.ip_addresses(v=6).filter(lambda ip: not ip.is_unspecified and not ip.is_multicast and not ip.ipv4_mapped)
HOSTS = FOURS.filter(lambda ip: str(ip) != "255.255.255.255") | SIXES
ADDRESSES = st.builds(lambda ip, port: Address(str(ip), port), HOSTS, PORTS)


@given(st.lists(ADDRESSES, max_size=8, unique=True))
def test_a_card_returns_from_its_text_and_from_its_qr_code(addresses):
    card = Card.make(CERTIFICATE, tuple(addresses))
    for text in (card.text, card.qr_text, card.text.lower(), f"\n\t {card.text} \n"):
        assert Card.parse_text(text) == card
    assert card.node == CERTIFICATE.node


@given(st.lists(st.integers(0, len(GOOD.text)), max_size=9), st.sampled_from([" ", "\n", "\r\n", "\u00a0"]))
def test_white_space_anywhere_does_no_harm(places, space):
    text = GOOD.text
    for place in sorted(places, reverse=True):
        text = text[:place] + space + text[place:]
    assert Card.parse_text(text) == GOOD


def test_a_qr_code_holds_a_card_in_its_alphanumeric_mode_and_stays_readable():
    assert QRData(GOOD.qr_text).mode == MODE_ALPHA_NUM
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, border=2)
    code.add_data(GOOD.qr_text, optimize=0)
    code.make(fit=True)
    assert code.version <= 15


@given(st.integers(5, len(GOOD.text) - 1), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_symbol_is_found(place, symbol):
    changed = GOOD.text[:place] + symbol + GOOD.text[place + 1 :]
    if changed != GOOD.text:
        with pytest.raises(PeerError):
            Card.parse_text(changed)


@given(st.binary(max_size=1100), st.text(max_size=300), st.binary(max_size=600))
def test_anything_is_a_card_or_a_peer_error(data, text, payload):
    for parse, given_input in (
        (Card.parse, data),
        (Card.parse_text, text),
        (Card.parse_text, "nzc:" + text),
        (Card.parse_text, armour.encode("nzc", payload)),
    ):
        with pytest.raises(PeerError):
            parse(given_input)


@pytest.mark.parametrize(
    "addresses", [0, b"x", "tcp://192.0.2.7:1", [7], [b"tcp://192.0.2.7:1"], [""], ["x" * 273], [[]]]
)
def test_addresses_that_are_no_list_of_texts_are_refused(addresses):
    with pytest.raises(PeerError) as caught:
        Card.parse(cbor.encode({0: 1, 1: CERTIFICATE.encoded, 2: addresses}))
    assert caught.value.code == "identity.bad-card"


def test_a_text_far_too_long_is_not_even_looked_at():
    with pytest.raises(PeerError) as caught:
        Card.parse_text(GOOD.text + " " * 5000)
    assert (caught.value.code, caught.value.facts) == ("identity.bad-text", {"problem": "too long"})


def test_a_card_takes_eight_distinct_dialable_addresses_at_most():
    nine = tuple(Address(f"192.0.2.{i}", 1) for i in range(9))
    assert len(Card.make(CERTIFICATE, nine[:8]).addresses) == 8
    for addresses in (nine, (nine[0], nine[0]), (Address("0.0.0.0", 1),), (Address("192.0.2.1", 0),)):
        with pytest.raises(UsageError):
            Card.make(CERTIFICATE, addresses)


def test_a_card_beyond_1_kib_is_not_made():
    long = tuple(Address(".".join(["x" * 60] * 3 + [f"a{i}"]), 1) for i in range(5))
    assert Card.make(CERTIFICATE, long[:4])
    with pytest.raises(UsageError):
        Card.make(CERTIFICATE, long)


def test_a_retired_node_has_no_card():
    with pytest.raises(PeerError) as caught:
        Card.make(make_certificate(make_root(), flags=Flags.FINAL))
    assert caught.value.code == "identity.retired"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("tcp://192.0.2.7:7001", "tcp://192.0.2.7:7001"),
        ("tcp://[2001:DB8:0:0::7]:1", "tcp://[2001:db8::7]:1"),
        ("tcp://[fe80::1%eth0.5]:65535", "tcp://[fe80::1%eth0.5]:65535"),
        ("tcp://Node-7.Example:80", "tcp://node-7.example:80"),
        ("tcp://localhost:80", "tcp://localhost:80"),
        ("tcp://[::1]:0", "tcp://[::1]:0"),
        ("tcp://0.0.0.0:0", "tcp://0.0.0.0:0"),
    ],
)
def test_an_address_has_one_canonical_text(text, canonical):
    assert Address.parse(text).text == canonical
    assert Address.parse(canonical) == Address.parse(text)


@pytest.mark.parametrize(
    ("host", "is_literal"),
    [
        ("192.0.2.7", True),
        ("[2001:db8::7]", True),
        ("[fe80::1%eth0.5]", True),
        ("localhost", False),
        ("node.example.org", False),
        ("fe80", False),
    ],
)
def test_only_an_ip_address_needs_no_resolver(host, is_literal):
    assert Address.parse(f"tcp://{host}:1").is_literal is is_literal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.7:7001",
        "udp://192.0.2.7:7001",
        "TCP://192.0.2.7:7001",
        "tcp://192.0.2.7",
        "tcp://192.0.2.7:",
        "tcp://192.0.2.7:65536",
        "tcp://192.0.2.7:07001",
        "tcp://192.0.2.7:+1",
        "tcp://192.0.2.7:7001/",
        "tcp://192.0.2.7:7001\n",
        " tcp://192.0.2.7:7001",
        "tcp://user@192.0.2.7:7001",
        "tcp://192.0.2.256:7001",
        "tcp://192.0.2.07:7001",
        "tcp://192.0.2:7001",
        "tcp://1:7001",
        "tcp://2001:db8::7:7001",
        "tcp://[2001:db8::7:7001",
        "tcp://[192.0.2.7]:7001",
        "tcp://[::ffff:192.0.2.7]:7001",
        "tcp://[::ffff:c000:207]:7001",
        "tcp://[2001:db8::7%eth0]:7001",
        "tcp://[fe80::1%]:7001",
        "tcp://[fe80::1%eth0/x]:7001",
        "tcp://[fe80::1%0123456789abcdef]:7001",
        "tcp://[fe80:::1]:7001",
        "tcp://-a.example:1",
        "tcp://a-.example:1",
        "tcp://a..example:1",
        "tcp://a.example.:1",
        "tcp://a_b.example:1",
        "tcp://" + "a" * 64 + ".example:1",
        "tcp://" + "a." * 130 + "b:1",
        "tcp://bücher.example:1",
        "tcp://١٩٢.0.2.7:1",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(PeerError) as caught:
        Address.parse(text)
    assert caught.value.code == "identity.bad-address"


@given(st.text(max_size=60) | st.from_regex(r"tcp://[\[\]0-9a-fA-F:.%a-z-]{0,40}:[0-9]{0,6}", fullmatch=True))
def test_any_text_is_an_address_or_a_peer_error(text):
    try:
        address = Address.parse(text)
    except PeerError:
        return
    assert Address.parse(address.text) == address
    assert 0 <= address.port <= 65535


@given(ADDRESSES)
def test_hosts_are_what_the_standard_library_reads(address):
    kind = IPv6Address if ":" in address.host else IPv4Address
    assert str(kind(address.host)) == address.host
    assert Address.parse(address.text) == address
    assert address.dialable


@pytest.mark.parametrize(
    "text", ["tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://224.0.0.251:1", "tcp://[ff02::fb]:1", "tcp://a:0"]
)
def test_what_nobody_can_dial_says_so(text):
    assert not Address.parse(text).dialable
