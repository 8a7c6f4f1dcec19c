"""Whatever comes, in whatever pieces: an end, nothing yet, or a PeerError and a dead machine; values in limits."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nzcore.base.errors import PeerError
from nzcore.codec.frames import pack
from nzcore.proto.handshake.machine import Initiator, Responder, State
from nzcore.proto.handshake.payload import BOOT_BYTES, PAYLOAD_BYTES, Introduction, decode_payload, encode_payload
from nzcore.proto.handshake.preface import Mode, Preface, decode_preface, derive_psk, ticket_id
from tools.fuzz.handshake import target
from tools.vectors.handshake_cast import BOOTS, INSTANCE, INTRODUCTION, NETWORK, TICKET, Facts, node

ALICE, BOB = node("alice"), node("bob")


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.binary(max_size=1400), st.binary(max_size=1400).map(lambda data: b"nzc1\0\0\0\0" + bytes(8) + data))
)
def test_the_fuzz_target_swallows_nothing_but_peer_errors(data: bytes) -> None:
    target(data)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 2), place=st.integers(0, 5000), bit=st.integers(0, 7), cuts=st.lists(st.integers(0, 5000)))
def test_one_changed_bit_anywhere_ends_in_silence_however_it_is_cut(
    at: int, place: int, bit: int, cuts: list[int]
) -> None:
    facts = Facts()
    dialler = Initiator(ALICE, BOOTS["alice"], INTRODUCTION, facts, target=BOB.node)
    answerer = Responder(BOB, BOOTS["bob"], INTRODUCTION, facts, policy=facts.policy)
    ends: list[Initiator | Responder] = [dialler, answerer]
    for index in range(at):
        ends[(index + 1) % 2].receive(ends[index % 2].outgoing())
    sender, receiver = ends[at % 2], ends[(at + 1) % 2]
    flight = bytearray(sender.outgoing())
    flight[place % len(flight)] ^= 1 << bit
    edges = sorted({0, len(flight), *(cut % len(flight) for cut in cuts)})
    try:
        found = [receiver.receive(flight[a:b]) for a, b in pairwise(edges)]
    except PeerError:
        assert receiver.state is State.DEAD
        assert receiver.outgoing() == b""
        return
    assert not any(found)  # a length that grew: it waits, and the deadline ends it
    assert not receiver.may_answer
    assert receiver.outgoing() == b""


SAID = {
    "certificate": st.binary(max_size=600),
    "boot": st.binary(min_size=15, max_size=17),
    "version": st.text(max_size=40),
    "features": st.lists(st.text(max_size=40), max_size=40),
    "other": st.none() | st.integers(0, 9),
}


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({}, optional=SAID))
def test_a_payload_is_taken_exactly_within_its_limits(value: dict[str, object]) -> None:
    def plain(text: object, allowed: str = "") -> bool:
        printable = isinstance(text, str) and all("!" <= c <= "~" or c in allowed for c in text)
        return printable and 0 < len(str(text)) <= 32

    certificate, boot, features = value.get("certificate"), value.get("boot"), value.get("features")
    within = (
        isinstance(certificate, bytes)
        and len(certificate) <= 512
        and isinstance(boot, bytes)
        and len(boot) == 16
        and plain(value.get("version"), " ")
        and isinstance(features, list)
        and len(features) <= 32
        and all(map(plain, features))
        and len(pack(value)) <= PAYLOAD_BYTES
    )
    if within:
        assert decode_payload(pack(value))._asdict() == {
            **{key: value[key] for key in ("certificate", "boot", "version")},
            "features": tuple(value["features"]),  # type: ignore[arg-type] # checked above
        }
    else:
        with pytest.raises(PeerError, match=r"handshake\.bad-payload"):
            decode_payload(pack(value))


def test_the_largest_introduction_fits_its_message() -> None:
    largest = Introduction("v" * 32, tuple(f"{number:032}" for number in range(32)))
    payload = encode_payload(bytes(512), bytes(BOOT_BYTES), largest)
    assert len(payload) < PAYLOAD_BYTES / 2
    assert decode_payload(payload).features == largest.features


@given(st.binary(min_size=16, max_size=16) | st.binary(min_size=12, max_size=12).map(lambda tail: b"nzc1" + tail))
def test_a_preface_has_one_spelling(data: bytes) -> None:
    try:
        preface = decode_preface(data)
    except PeerError as error:
        assert error.code == "handshake.bad-preface"  # noqa: PT017 # the other way is an answer too
    else:
        assert preface.encode() == data


def test_the_psk_depends_on_everything_that_it_is_made_of() -> None:
    known, ticket = Preface(Mode.KNOWN, bytes(8)), Preface(Mode.TICKET, ticket_id(TICKET))
    made = [
        derive_psk(known, responder=BOB.node),
        derive_psk(known, responder=ALICE.node),
        derive_psk(known, responder=BOB.node, network_secret=NETWORK),
        derive_psk(ticket, responder=BOB.node, ticket_secret=TICKET),
        derive_psk(ticket, responder=BOB.node, ticket_secret=TICKET[::-1]),
        derive_psk(Preface(Mode.WINDOW, bytes(8)), instance=INSTANCE),
    ]
    assert len(set(made)) == len(made)
