"""Answers by key: carried out once, kept for a while, bounded."""

import pytest

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.proto.fabric.replays import KEPT, KEPT_S, PLACES, Outcome, Place, Replays

ALICE = NodeId(bytes(32))
T0 = Instant(0.0)


def place(key: object = "k", node: NodeId = ALICE) -> Place:
    return Place(node, "shop.order", str(key))


def test_the_same_key_is_carried_out_once_and_answered_again() -> None:
    replays = Replays()
    assert replays.begin(place(), b"body", T0)
    assert not replays.begin(place(), b"body", T0)
    assert replays.outcome(place()) is None
    replays.finish(place(), Outcome(b"answer"), T0)
    assert not replays.begin(place(), b"body", T0)
    assert replays.outcome(place()) == Outcome(b"answer")


def test_another_body_under_the_same_key_is_refused() -> None:
    replays = Replays()
    replays.begin(place(), b"body", T0)
    with pytest.raises(PeerError, match=r"fabric\.key-reused"):
        replays.begin(place(), b"other", T0)


def test_an_answer_is_forgotten_after_its_time_and_not_before() -> None:
    replays = Replays()
    replays.begin(place(), b"", T0)
    replays.finish(place(), Outcome(b"answer"), T0)
    assert not replays.begin(place(), b"", Instant(KEPT_S - 1))
    assert replays.begin(place(), b"", Instant(KEPT_S))


def test_what_is_under_way_is_never_forgotten_for_want_of_room() -> None:
    replays = Replays()
    replays.begin(place("slow"), b"", T0)
    for number in range(KEPT + 10):
        replays.begin(place(number), b"", T0)
        replays.finish(place(number), Outcome(bytes(100)), T0)
    assert not replays.begin(place("slow"), b"", T0)
    assert replays.begin(place(0), b"", T0)
    assert not replays.begin(place(KEPT + 9), b"", T0)


def test_large_answers_push_out_older_ones_of_the_same_node_only() -> None:
    replays = Replays()
    bob = NodeId(bytes(31) + b"\1")
    for node in (ALICE, bob):
        replays.begin(place(1, node), b"", T0)
        replays.finish(place(1, node), Outcome(bytes(900_000)), T0)
    replays.begin(place(2), b"", T0)
    replays.finish(place(2), Outcome(bytes(900_000)), T0)
    assert replays.outcome(place(1)) is None
    assert replays.outcome(place(2)) is not None
    assert replays.outcome(place(1, bob)) is not None


def test_as_many_nodes_are_remembered_as_may_be() -> None:
    replays = Replays()
    nodes = [NodeId(number.to_bytes(32, "big")) for number in range(PLACES + 5)]
    for node in nodes:
        replays.begin(place(1, node), b"", T0)
        replays.finish(place(1, node), Outcome(b"a"), T0)
    assert replays.outcome(place(1, nodes[0])) is None
    assert replays.outcome(place(1, nodes[-1])) is not None


def test_what_was_not_carried_out_can_be_asked_again() -> None:
    replays = Replays()
    replays.begin(place(), b"", T0)
    replays.forget(place())
    assert replays.begin(place(), b"", T0)
