"""Two ends of a line and a wire in memory; then one end and whatever a peer may say."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.codec.frames import pack
from nzcore.proto.fabric import frames
from nzcore.proto.fabric.frames import PublicationReader, encode, encode_publications, packed_body
from nzcore.proto.fabric.limits import BODY_BYTES, PATTERNS, REQUEST_BYTES, REQUESTS, WINDOW, WINDOW_BYTES
from nzcore.proto.fabric.session import Happened, Session
from tools.fuzz import fabric as fuzz

OUTBOX = bytes(16)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def connected() -> tuple[Session, Session]:
    alice, bob = Session({}), Session({})
    bob.receive(alice.take())
    alice.receive(bob.take())
    return alice, bob


def test_patterns_are_told_with_the_greeting_and_afterwards() -> None:
    alice, bob = Session({"a.*": True}), Session({})
    assert bob.receive(alice.take()) == [(Happened.WANTED,)]
    assert bob.wanted == {"a.*": True}
    alice.subscribe("b.**", holds=False)
    alice.unsubscribe("a.*")
    bob.receive(alice.take())
    assert bob.wanted == {"b.**": False}


def test_a_request_is_answered_once_by_its_id() -> None:
    alice, bob = connected()
    first = alice.ask("maths.add", pack([2, 3]), deadline_s=5, key="k")
    second = alice.ask("maths.add", pack(None), deadline_s=0.5)
    asked = bob.receive(alice.take())
    assert [event[:6] for event in asked] == [
        (Happened.ASKED, first, "maths.add", 5.0, "k", [2, 3]),
        (Happened.ASKED, second, "maths.add", 0.5, None, None),
    ]
    bob.fail(second, "fabric.busy", "later")
    bob.answer(first, pack({"sum": 5}))
    bob.answer(first, pack("again"))
    assert alice.receive(bob.take()) == [
        (Happened.FAILED, second, "fabric.busy", "later"),
        (Happened.ANSWERED, first, {"sum": 5}),
    ]


def test_an_answer_to_what_was_given_up_is_ignored() -> None:
    alice, bob = connected()
    number = alice.ask("maths.add", pack(1), deadline_s=5)
    bob.receive(alice.take())
    bob.answer(number, pack(2))
    alice.give_up(number)
    assert alice.receive(bob.take()) == []
    assert bob.receive(alice.take()) == []  # it was answered before it was given up
    number = alice.ask("maths.add", pack(1), deadline_s=5)
    alice.give_up(number)
    assert bob.receive(alice.take())[1] == (Happened.GIVEN_UP, number)


def test_no_side_asks_more_at_once_than_it_may() -> None:
    alice, _ = connected()
    for _ in range(REQUESTS):
        alice.ask("a.b", pack(1), deadline_s=5)
    assert not alice.can_ask
    with pytest.raises(UsageError):
        alice.ask("a.b", pack(1), deadline_s=5)


def test_requests_beyond_the_limits_are_refused_and_the_line_lives() -> None:
    _, bob = connected()
    flood = b"".join(encode(frames.REQUEST, number, "a.b", 1000, None, None) for number in range(1, REQUESTS + 4))
    assert len(bob.receive(flood)) == REQUESTS
    assert bob.take().count(b"fabric.busy") == 3
    _, bob = connected()
    big = bytes(BODY_BYTES)
    flood = b"".join(encode(frames.REQUEST, number, "a.b", 1000, None, big) for number in range(1, 6))
    assert len(bob.receive(flood)) == REQUEST_BYTES // BODY_BYTES


def test_a_delivery_is_under_way_until_it_is_settled() -> None:
    alice, bob = connected()
    alice.deliver(OUTBOX, 1, 1, "shop.order", pack("tea"))
    alice.deliver(OUTBOX, 1, 2, "shop.order", pack("milk"))
    assert bob.receive(alice.take()) == [
        (Happened.DELIVERED, OUTBOX, 1, 1, "shop.order", "tea"),
        (Happened.DELIVERED, OUTBOX, 1, 2, "shop.order", "milk"),
    ]
    bob.acknowledge(OUTBOX, 1)
    bob.refuse(OUTBOX, 2, "fabric.no-handler")
    assert alice.receive(bob.take()) == [
        (Happened.ACKNOWLEDGED, OUTBOX, 1),
        (Happened.REFUSED, OUTBOX, 2, "fabric.no-handler"),
    ]
    alice.deliver(OUTBOX, 2, 2, "shop.order", pack("milk"))
    assert len(bob.receive(alice.take())) == 1


def test_the_window_of_deliveries_bounds_both_ends_and_one_always_fits() -> None:
    alice, bob = connected()
    big = pack(bytes(BODY_BYTES - 10))
    alice.deliver(OUTBOX, 1, 1, "a", big)
    alice.deliver(OUTBOX, 1, 2, "a", big)
    assert not alice.can_deliver(WINDOW_BYTES // 2)
    assert len(bob.receive(alice.take())) == 2
    alice, bob = connected()
    for number in range(1, WINDOW + 1):
        alice.deliver(OUTBOX, 1, number, "a" * 256, pack(bytes(WINDOW_BYTES // WINDOW - 8)))
    assert len(bob.receive(alice.take())) == WINDOW
    with pytest.raises(PeerError, match=r"fabric\.too-many-waiting"):
        bob.receive(encode(frames.DELIVER, OUTBOX, 1, WINDOW + 1, "a", None))


def test_a_peer_subscribes_to_a_bounded_number_of_patterns() -> None:
    _, bob = connected()
    for number in range(PATTERNS):
        bob.receive(encode(frames.SUBSCRIBE, f"a.{number}", False))
    with pytest.raises(PeerError, match=r"fabric\.too-many-patterns"):
        bob.receive(encode(frames.SUBSCRIBE, "one.more", False))


@given(st.lists(BODIES, max_size=5), st.integers(1, 40))
@settings(max_examples=60)
def test_any_cutting_of_the_bytes_gives_the_same_events(bodies: list[object], size: int) -> None:
    alice, bob = connected()
    for body in bodies:
        alice.ask("a.b", packed_body(body), deadline_s=5)
    data = alice.take()
    events = [event for at in range(0, len(data), size) for event in bob.receive(data[at : at + size])]
    assert [event[5] for event in events] == bodies


@given(st.lists(st.tuples(st.sampled_from(["a", "a.b", "c.d.e"]), BODIES), min_size=1, max_size=6), st.integers(1, 30))
@settings(max_examples=60)
def test_publications_come_out_as_they_went_in(sent: list[tuple[str, object]], size: int) -> None:
    data = encode_publications([pack(topic) + packed_body(body) for topic, body in sent])
    reader = PublicationReader()
    batches = [batch for at in range(0, len(data), size) for batch in reader.feed(data[at : at + size])]
    assert batches == [[part for item in sent for part in item]]


@given(st.integers(0, 3), st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_end_in_events_or_a_refusal(choice: int, data: bytes) -> None:
    fuzz.target(bytes([choice]) + data)


@given(st.integers(1, 9), st.lists(BODIES, max_size=7))
@settings(max_examples=200)
def test_any_fields_of_any_kind_end_in_events_or_a_refusal(kind: int, fields: list[object]) -> None:
    alice, _ = connected()
    with suppress(PeerError):
        alice.receive(encode(kind, *fields))


@pytest.mark.parametrize(
    "body",
    [{1: 2}, [[[[[[[[1]]]]]]]], {"a": {3: 4}}, "\ud800", object(), 1 << 64, bytes(BODY_BYTES)],
    ids=["integer key", "deep", "inner key", "surrogate", "object", "large integer", "large body"],
)
def test_what_the_other_side_would_not_take_is_refused_before_it_is_sent(body: object) -> None:
    with pytest.raises(UsageError):
        packed_body(body)


def test_the_deepest_body_is_taken_by_the_other_side() -> None:
    alice, bob = connected()
    alice.ask("a.b", packed_body([[[[[[[]]]]]]]), deadline_s=5)
    assert bob.receive(alice.take())[0][5] == [[[[[[[]]]]]]]
