import json
import re
from pathlib import Path

import pytest
import qrcode
from hypothesis import given
from hypothesis import strategies as st
from qrcode.util import MODE_ALPHA_NUM, QRData

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.reasons import ticket as reasons
from nzcore.proto.handshake.preface import ticket_id, ticket_psk
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.ticket import HEAD_BYTES, MAX_ADDRESSES, TICKET_BYTES, Ticket, TicketSecret
from tools.fuzz import ticket as fuzz
from tools.vectors import ticket as tool
from tools.vectors.__main__ import made

ROOT = Path(__file__).parents[3]
FILE = ROOT / "vectors" / "ticket.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
SPEC = (ROOT / "spec" / "ticket.md").read_text(encoding="utf-8")
GOOD = tool.ticket("tcp://192.168.1.20:7001", "tcp://[fd00::1]:7001", "tcp://node.example.org:443")

HOSTS = st.ip_addresses().filter(
    lambda ip: (
        not ip.is_unspecified
        and not ip.is_multicast
        and not getattr(ip, "ipv4_mapped", None)
        and str(ip) != "255.255.255.255"
    )
)
ADDRESSES = st.builds(lambda ip, port: Address(str(ip), port), HOSTS, st.integers(1, 65535))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), st.lists(ADDRESSES, max_size=8, unique=True))
def test_a_ticket_returns_from_its_text_and_from_its_qr_code(secret, expires, addresses):
    ticket = Ticket(tool.node(), TicketSecret(secret), expires, tuple(addresses))
    for text in (ticket.text, ticket.qr_text, ticket.text.lower(), f"\n {ticket.text[:9]} {ticket.text[9:]}\n"):
        assert Ticket.parse_text(text) == ticket


def test_a_ticket_does_not_show_its_secret():
    assert tool.SECRET.hex() not in repr(GOOD)
    assert "hidden" in repr(GOOD)


def test_a_qr_code_holds_a_ticket_in_its_alphanumeric_mode_and_stays_small():
    assert QRData(GOOD.qr_text).mode == MODE_ALPHA_NUM
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(GOOD.qr_text, optimize=0)
    code.make(fit=True)
    assert code.version <= 8


@given(st.integers(3, len(GOOD.text) - 1), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_symbol_is_found(place, symbol):
    changed = GOOD.text[:place] + symbol + GOOD.text[place + 1 :]
    if changed != GOOD.text:
        with pytest.raises(PeerError):
            Ticket.parse_text(changed)


@given(st.binary(max_size=TICKET_BYTES + 9) | st.binary(max_size=99).map(lambda tail: GOOD.encode()[:58] + tail))
def test_any_bytes_are_a_ticket_or_a_refusal(data):
    fuzz.target(data)


@pytest.mark.parametrize(
    "values",
    [
        {"expires": -1},
        {"expires": 2**32},
        {"addresses": (Address("192.0.2.1", 0),)},
        {"addresses": (Address("fe80::1%eth0", 7001),)},
        {"addresses": (Address("192.0.2.1", 1),) * 2},
        {"addresses": tuple(Address("192.0.2.1", port) for port in range(1, 10))},
        {"addresses": tuple(Address("a" * 60 + f".{n}.example", 1) for n in "abcdefgh")},
    ],
)
def test_what_no_ticket_can_hold_is_our_own_error(values):
    with pytest.raises(UsageError, match="no ticket can hold"):
        Ticket(**{"node": tool.node(), "secret": TicketSecret(bytes(16)), "expires": 0} | values)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_text_is_read_or_refused_as_the_vectors_say(case):
    if case["expect"] != "ok":
        with pytest.raises(PeerError) as refused:
            Ticket.parse_text(case["text"])
        assert refused.value.code == case["expect"]
        return
    ticket = Ticket.parse_text(case["text"])
    if "bytes" in case:
        secret = bytes.fromhex(case["secret"])
        assert ticket.encode().hex() == case["bytes"]
        assert (ticket.node, ticket.secret.reveal()) == (NodeId.parse(case["node"]), secret)
        assert [address.text for address in ticket.addresses] == case["addresses"]
        assert (ticket_id(secret).hex(), ticket_psk(secret).hex()) == (case["tid"], case["psk"])


def test_the_tool_makes_the_same_vectors_again():
    assert made("ticket") == FILE.read_text(encoding="utf-8")


def test_every_code_of_the_room_stands_in_the_specification_and_no_other():
    assert set(re.findall(r"`ticket\.([a-z-]+)`", SPEC)) == set(reasons.REASONS)
    for code, reason in reasons.REASONS.items():
        if reason.wire:
            assert re.search(rf"\| {reason.wire} \| `ticket\.{code}` \|", SPEC), code


def test_the_limits_and_the_worked_example_are_those_of_the_code():
    for limit in (TICKET_BYTES, HEAD_BYTES, MAX_ADDRESSES):
        assert f" {limit} " in SPEC
    (case,) = [case for case in CASES if case["name"] == "one address"]
    shown = re.sub(r"\s", "", "".join(re.findall(r"^[0-9a-f ]+(?=  )", SPEC[SPEC.index("## 7.") :], re.MULTILINE)))
    assert shown.startswith(case["bytes"])
    for value in (case["text"], case["tid"], case["psk"]):
        assert value in SPEC.replace("\n      ", "")
