import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.reasons import pair as reasons
from nzcore.proto.identity.mnemonic import word_at
from nzcore.proto.pairing.phrase import ACCEPT, WRITTEN, Event, Phrase, State, commitment, phrase
from tools.fuzz import pairing as fuzz
from tools.vectors.__main__ import made

ROOT = Path(__file__).parents[3]
FILE = ROOT / "vectors" / "pairing.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
SPEC = (ROOT / "spec" / "pairing.md").read_text(encoding="utf-8")
H = bytes(range(32))


def both(left: bytes = H, right: bytes = H) -> tuple[Phrase, Phrase]:
    return Phrase(left, initiator=True), Phrase(right, initiator=False)


def carry(one: Phrase, other: Phrase) -> list[Event]:
    """Moves everything until both are quiet; the events of both sides."""
    events: list[Event] = []
    while data := [(other, one.outgoing()), (one, other.outgoing())]:
        if not any(part for _, part in data):
            return events
        for receiver, part in data:
            events += receiver.receive(part)
    return events


def test_both_sides_see_the_same_three_words():
    alice, bob = both()
    assert carry(alice, bob) == [Event.WORDS, Event.WORDS]
    assert alice.words == bob.words
    assert len(alice.words) == 3
    known = {word_at(index) for index in range(2048)}
    assert set(alice.words) <= known


def test_every_attempt_has_other_words():
    seen = set()
    for _ in range(50):
        alice, bob = both()
        carry(alice, bob)
        seen.add(alice.words)
    assert len(seen) == 50


def test_nobody_may_write_before_both_have_confirmed():
    alice, bob = both()
    carry(alice, bob)
    alice.accept()
    assert carry(alice, bob) == [Event.ACCEPTED]
    for side in (alice, bob):
        assert not side.agreed
        with pytest.raises(UsageError, match="nothing is there to be confirmed"):
            side.written()
    bob.accept()
    assert carry(alice, bob) == [Event.ACCEPTED]
    assert alice.agreed
    assert bob.agreed
    alice.written()
    bob.written()
    assert carry(alice, bob) == [Event.WRITTEN, Event.WRITTEN]
    assert (alice.state, bob.state) == (State.OVER, State.OVER)


def test_words_cannot_be_confirmed_before_they_are_there_nor_twice():
    alice, bob = both()
    with pytest.raises(UsageError):
        alice.accept()
    carry(alice, bob)
    alice.accept()
    with pytest.raises(UsageError):
        alice.accept()


def test_a_man_in_the_middle_who_speaks_for_himself_makes_the_words_differ():
    """Mallory meets alice in one handshake and bob in another, and plays both attempts by the rules."""
    alice, mallory_left = both(b"\1" * 32, b"\1" * 32)
    mallory_right, bob = both(b"\2" * 32, b"\2" * 32)
    carry(alice, mallory_left)
    carry(mallory_right, bob)
    assert alice.words
    assert bob.words
    assert alice.words != bob.words


def test_a_man_in_the_middle_who_passes_everything_on_is_refused_by_the_responder():
    alice, bob = both(b"\1" * 32, b"\2" * 32)
    with pytest.raises(PeerError) as refused:
        carry(alice, bob)
    assert refused.value.code == "pair.broken-commitment"
    assert bob.words == ()


def test_a_man_in_the_middle_cannot_choose_his_nonce_after_he_saw_the_other():
    """He must commit to bob before bob's nonce is out, and give alice a nonce before hers is."""
    alice, bob = both(b"\1" * 32, b"\2" * 32)
    assert len(alice.outgoing()) == 32  # a commitment: alice's nonce comes only after somebody's
    assert bob.outgoing() == b""  # bob's nonce comes only after somebody's commitment
    bob.receive(commitment(b"\2" * 32, bytes(32)))
    nonce = bob.outgoing()
    alice.receive(nonce)
    late = alice.outgoing()
    with pytest.raises(PeerError):
        bob.receive(late)  # alice's nonce, now known, is not what he committed to


@given(st.integers(1, 40))
def test_messages_may_come_in_any_pieces(size):
    alice, bob = both()
    data = alice.outgoing()
    for start in range(0, len(data), size):
        assert bob.receive(data[start : start + size]) == []
    assert alice.receive(bob.outgoing()) == [Event.WORDS]


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_refusal_or_in_waiting(data):
    fuzz.target(data)


def test_written_before_this_side_has_confirmed_is_a_lie():
    alice, bob = both()
    carry(alice, bob)
    with pytest.raises(PeerError, match="may not come now"):
        alice.receive(ACCEPT + WRITTEN)
    assert alice.words == ()


def test_a_handshake_hash_of_another_size_is_our_own_error():
    with pytest.raises(UsageError):
        Phrase(b"short", initiator=True)


class Fixed(Phrase):
    def fix(self, nonce: bytes) -> None:
        self._nonce = nonce


@pytest.mark.parametrize("case", [case for case in CASES if "to" in case], ids=lambda case: case["name"])
def test_a_conversation_ends_as_the_vectors_say(case):
    side = Fixed(bytes.fromhex(case["handshake_hash"]), initiator=case["to"] == "initiator")
    side.fix(bytes.fromhex(case["nonce"]))
    data = bytes.fromhex(case["data"])
    if case["expect"] == "ok":
        assert hear(side, data)[-2:] == [Event.ACCEPTED, Event.WRITTEN]
        assert list(side.words) == case["words"]
        return
    with pytest.raises(PeerError) as refused:
        hear(side, data)
    assert refused.value.code == case["expect"]


def hear(side: Phrase, data: bytes) -> list[Event]:
    """Byte by byte; the words are confirmed as soon as they are there."""
    events: list[Event] = []
    for byte in data:
        events += side.receive(bytes([byte]))
        if side.words and not side.accepted_here:
            side.accept()
    return events


@pytest.mark.parametrize("case", [case for case in CASES if "na" in case], ids=lambda case: case["name"])
def test_a_phrase_is_that_of_the_vectors(case):
    h, na, nb = (bytes.fromhex(case[name]) for name in ("handshake_hash", "na", "nb"))
    assert commitment(h, na).hex() == case["commitment"]
    assert list(phrase(h, na, nb)) == case["words"]


def test_the_tool_makes_the_same_vectors_again():
    assert made("pairing") == FILE.read_text(encoding="utf-8")


def test_every_code_of_the_room_stands_in_the_specification_and_no_other():
    assert set(re.findall(r"`pair\.([a-z-]+)`", SPEC)) == set(reasons.REASONS)


def test_the_worked_example_is_the_case_of_the_vectors():
    (case,) = [case for case in CASES if case["name"] == "a phrase"]
    example = SPEC[SPEC.index("## 7.") :]
    for name in ("handshake_hash", "na", "nb", "commitment"):
        assert case[name] in example, name
    assert " ".join(case["words"]) in example
