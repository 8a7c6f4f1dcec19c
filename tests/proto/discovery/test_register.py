"""What is seen is bounded, whoever announces how much; and a repeated name wastes little."""

import pytest

from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.proto.discovery import register as limits
from nzcore.proto.discovery.pseudonym import Pseudonym
from nzcore.proto.discovery.register import Register
from nzcore.proto.discovery.sighting import Sighting
from nzcore.proto.identity.address import Address

BOB, CAROL = NodeId(b"b" * 32), NodeId(b"c" * 32)
T0 = Instant(1000.0)


def sighting(number, host="192.168.7.2"):
    name = Pseudonym(number.to_bytes(8, "big"), bytes(8))
    return Sighting(name.text, name, 4500, (Address(host, 4500),))


@pytest.fixture
def register():
    return Register()


def test_strangers_are_bounded_and_push_nobody_out(register):
    register.hear(sighting(0), BOB, T0)
    taken = [register.hear(sighting(number), None, T0) for number in range(1, 1000)]
    assert sum(one is not None for one in taken) == limits.MAX_STRANGERS
    assert register.dropped == 999 - limits.MAX_STRANGERS
    assert register.get(sighting(0).instance).node == BOB


def test_peers_find_room_beside_any_number_of_strangers(register):
    for number in range(1, 1000):
        register.hear(sighting(number), None, T0)
    assert register.hear(sighting(0), BOB, T0) is not None


def test_names_of_one_peer_push_out_its_own_oldest_only(register):
    register.hear(sighting(99), CAROL, T0)
    for number in range(10):
        register.hear(sighting(number, f"192.168.7.{number}"), BOB, T0)
    kept = [seen.instance for seen in register if seen.node == BOB]
    assert kept == [sighting(number).instance for number in range(10)][-limits.MAX_OF_PEER :]
    assert register.hints(BOB)[0] == Address("192.168.7.9", 4500)
    assert register.hints(CAROL) == (Address("192.168.7.2", 4500),)


def test_a_flood_of_new_names_is_looked_at_slowly_and_known_ones_still_are(register):
    register.hear(sighting(0), BOB, T0)
    assert sum(register.admits(f"n{number}", T0) for number in range(1000)) == limits.BURST
    assert register.admits(sighting(0).instance, T0)
    later = Instant(T0 + 1.0)
    assert sum(register.admits(f"m{number}", later) for number in range(1000)) == limits.RATE_PER_S


def test_one_instance_causes_a_dial_once_in_a_while(register):
    seen = register.hear(sighting(1), BOB, T0)
    assert register.may_dial(seen, T0)
    assert not register.may_dial(seen, Instant(T0 + limits.DIAL_INSTANCE_S - 1))
    assert register.may_dial(seen, Instant(T0 + limits.DIAL_INSTANCE_S))


def test_forgetting_and_hearing_again_does_not_help_who_repeats_a_name(register):
    seen = register.hear(sighting(1), BOB, T0)
    assert register.may_dial(seen, T0)
    for _ in range(10):
        register.lose(seen.instance)
        seen = register.hear(sighting(1), BOB, T0)
        assert not register.may_dial(seen, Instant(T0 + 30))
    register.clear()
    assert not register.may_dial(register.hear(sighting(1), BOB, T0), Instant(T0 + 30))


def test_many_recorded_names_of_one_peer_cause_one_dial_in_five_seconds(register):
    dials = 0
    for number in range(600):
        now = Instant(T0 + number * 0.1)
        dials += register.may_dial(register.hear(sighting(number), BOB, now), now)
    assert dials == 60 / limits.DIAL_PEER_S


def test_strangers_cause_no_dial(register):
    assert not register.may_dial(register.hear(sighting(1), None, T0), T0)


def test_a_new_key_makes_a_peer_of_a_stranger_and_a_lost_one_a_stranger_of_a_peer(register):
    first = register.hear(sighting(1), None, T0)
    assert register.reconsider(lambda one: BOB, Instant(T0 + 5))[0].node == BOB
    assert register.reconsider(lambda one: BOB, Instant(T0 + 6)) == []
    (again,) = register.reconsider(lambda one: None, Instant(T0 + 7))
    assert (again.node, again.first, first.first) == (None, T0 + 7, T0)
    assert register.hints(BOB) == ()


def test_a_repeated_announcement_keeps_the_time_of_the_first(register):
    register.hear(sighting(1), None, T0)
    assert register.hear(sighting(1, "192.168.7.9"), None, Instant(T0 + 9)).first == T0


def test_what_was_never_seen_can_be_lost(register):
    assert register.lose("nobody") is None
