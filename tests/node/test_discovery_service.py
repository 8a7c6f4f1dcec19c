"""Peers find each other on a link in memory, by names that nobody else can tell apart; nothing heard is believed."""

import pytest
import trio

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.base.scopes import Scope
from nzcore.control.verdict import Principal
from nzcore.node.discovery import ECHO_S, LOOK_S, RETRY_S, ROTATE_S
from nzcore.node.discovery_keys import NAMESPACE, OWN_NAME, OWN_NAMESPACE
from nzcore.node.dispatch import Dispatcher
from nzcore.node.key_exchange import PROTOCOL
from nzcore.proto.discovery.pseudonym import Pseudonym, recognise
from nzcore.proto.discovery.sighting import SERVICE
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.testing.lan import MemoryLan
from nzcore.testing.world import World

HOUR = ROTATE_S * 1.25 + 1


class Watched(World):
    """A world that remembers who dialled where."""

    def __init__(self):
        super().__init__(1)
        self.dials = []

    def transport(self, host):
        inner = super().transport(host)
        world = self

        class Transport:
            async def dial(self, address, spawn):
                world.dials.append((host, address))
                return await inner.dial(address, spawn)

            def listen(self, address, spawn):
                return inner.listen(address, spawn)

        return Transport()


@pytest.fixture
async def world():
    async with Watched() as world:
        await world.add("alice")
        await world.add("bob")
        await world.add("carol")
        yield world


@pytest.fixture
def lan():
    return MemoryLan()


async def know(node, other, key=True):
    """`node` knows `other` without an address, and has its discovery key, as from an earlier channel."""
    await other.node.discovery_keys.load()
    await node.node.discovery_keys.load()
    certificate = Card.parse_text(await other.card()).certificate
    await node.node.peers.add(certificate, (), petname=other.name)
    node.node.channels.keep(other.id)
    if key:
        node.node.discovery_keys.learn(other.id, other.node.discovery_keys.greeting)


async def acquainted(one, other):
    await know(one, other)
    await know(other, one)


async def nearby(node):
    return {item["name"] or item["instance"]: item for item in await node.call("peer.discover", listen_s=2)}


def instances(lan):
    return [service.removesuffix(f".{SERVICE}") for service in lan.announced]


async def test_peers_without_an_address_find_each_other_and_connect(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await acquainted(alice, bob)
    await world.run_for(100)
    assert not alice.is_connected(bob)
    await lan.join(alice)
    await lan.join(bob)
    await world.until_connected((alice, bob))
    assert (await nearby(alice))["bob"]["connected"]
    worked = [one.address for one in alice.node.peers.get(bob.id).addresses]
    assert worked == [] or worked == [f"tcp://{bob.host}:4500"], "kept only where a handshake succeeded"


async def test_strangers_are_listed_and_left_alone(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    await lan.join(bob)
    await world.run_for(100)
    (item,) = (await nearby(alice)).values()
    assert item["instance"] in instances(lan)
    assert (item["known"], item["name"], item["node"], item["pairing"]) == (False, None, None, False)
    assert item["addresses"] == [f"tcp://{bob.host}:4500"]
    assert 90 < item["first_seen_s"] < 110
    assert world.dials == []


async def test_a_repeated_name_wastes_a_dial_now_and_then_and_teaches_nothing(world, lan, autojump_clock):
    alice, bob, carol = world.nodes.values()
    await acquainted(alice, bob)
    await lan.join(alice)
    name = Pseudonym.make(bob.node.discovery_keys.own, bytes(8), 4500).text
    await world.run_for(1)
    before = alice.node.peers.get(bob.id).addresses
    for _ in range(600):  # carol says for ten minutes that she is bob
        lan.say(name, 4500, [carol.host])
        await world.run_for(0.5)
        lan.drop(name)
        await world.run_for(0.5)
    to_carol = [address for host, address in world.dials if host == alice.host]
    assert set(to_carol) == {Address(carol.host, 4500)}
    assert 5 <= len(to_carol) <= 40
    assert alice.node.peers.get(bob.id).addresses == before
    assert not alice.is_connected(bob)
    assert not alice.is_connected(carol)


async def test_announcements_of_far_places_cause_nothing(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await acquainted(alice, bob)
    await lan.join(alice)
    await world.run_for(1)
    name = Pseudonym.make(bob.node.discovery_keys.own, bytes(8), 4500).text
    lan.say(name, 4500, ["203.0.113.5", "192.168.3.3", "127.0.0.1", "255.255.255.255", "fe80::1%eth0", "nonsense"])
    lan.say(name, 4500, [bob.host], v="2")
    lan.say("x" * 200, 4500, [bob.host])
    lan.say("printer", 0, [bob.host])
    await world.run_for(60)
    assert await nearby(alice) == {}
    assert world.dials == []


async def test_a_flood_of_strangers_leaves_room_for_peers(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await acquainted(alice, bob)
    service = await lan.join(alice)
    await world.run_for(1)
    for number in range(2000):
        lan.say(Pseudonym(number.to_bytes(8, "big"), bytes(8)).text, 4500, [f"10.1.{number >> 8}.{number & 255}"])
    await world.run_for(10)
    assert len(service.register) == 128
    assert service.register.dropped > 1800
    await lan.join(bob)
    await world.until_connected((alice, bob))


async def test_a_name_lives_an_hour_and_ends_before_the_next_begins(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    await lan.join(alice)
    seen = set()
    for _ in range(3):
        await world.run_for(1)
        (name,) = instances(lan)
        seen.add(name)
        await world.run_for(HOUR)
    assert len(seen) == 3
    assert len(lan.said) in (4, 5)


async def test_a_change_of_links_or_addresses_brings_a_new_name(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    await lan.join(alice)
    await world.run_for(1)
    (first,) = instances(lan)
    alice.node.channels.listen(Address(alice.host, 4600))
    alice.node.channels.stop_listening(Address(alice.host, 4500))
    await world.run_for(LOOK_S + 1)
    (second,) = instances(lan)
    assert lan.said[-1].port == 4600
    lan.lan = lan.lan._replace(speak_on=("another",))
    await world.run_for(LOOK_S + 1)
    (third,) = instances(lan)
    assert len({first, second, third}) == 3


async def test_whoever_is_removed_recognises_no_name_from_then_on_and_the_others_all(world, lan, autojump_clock):
    alice, bob, carol = world.nodes.values()
    for node in world.nodes.values():
        await lan.join(node)
    await world.introduce(alice, bob)
    await world.introduce(alice, carol)
    await world.until_connected((alice, bob), (alice, carol))
    await world.run_for(1)
    assert {item for item in await nearby(bob) if len(item) < 26} == {"alice"}
    (old,) = [name for name, item in (await nearby(alice)).items() if name == "bob"]
    await alice.call("peer.remove", peer=old)
    await world.run_for(5)
    assert [item for item in await nearby(bob) if len(item) < 26] == []
    assert [item for item in await nearby(carol) if len(item) < 26] == ["alice"]
    assert [item for item in await nearby(alice) if len(item) < 26] == ["carol"]
    own = alice.node.discovery_keys.own
    assert dict(carol.node.discovery_keys)[alice.id] == own
    assert dict(bob.node.discovery_keys)[alice.id] != own
    assert (await alice.kv.get(OWN_NAMESPACE, OWN_NAME)).value == own.reveal()
    assert await alice.kv.list(NAMESPACE) == [carol.id.text]


async def test_losing_a_scope_but_not_connect_changes_no_name(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    own = alice.node.discovery_keys.own
    await alice.node.peers.add(alice.node.peers.certificate(bob.id), scopes={Scope.CONNECT})
    assert alice.node.discovery_keys.own == own
    await alice.node.peers.add(alice.node.peers.certificate(bob.id), scopes={Scope.MESSAGE})
    assert alice.node.discovery_keys.own != own


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(1000)])
async def test_what_is_no_key_is_refused_and_changes_nothing(world, lan, key, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    await lan.join(bob)
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    before = dict(alice.node.discovery_keys)
    with pytest.raises(NzError):
        await bob.node.channels.call(alice.id, PROTOCOL, key, max_bytes=0)
    await world.run_for(1)
    assert dict(alice.node.discovery_keys) == before
    assert alice.is_connected(bob)


async def test_keys_outlive_a_crash(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    await lan.join(bob)
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    own, theirs = alice.node.discovery_keys.own, bob.node.discovery_keys.own
    await world.run_for(1)
    await alice.restart()
    await alice.node.discovery_keys.load()
    assert alice.node.discovery_keys.own == own
    assert dict(alice.node.discovery_keys) == {bob.id: theirs}


async def test_a_crash_right_after_a_removal_does_not_leave_the_old_key_in_use(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    await lan.join(bob)
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    await world.run_for(1)
    old = (await alice.kv.get(OWN_NAMESPACE, OWN_NAME)).value
    await alice.node.supervisor.stop_service("discovery")
    await alice.call("peer.remove", peer="bob")  # nobody writes keys now
    assert (await alice.kv.get(OWN_NAMESPACE, OWN_NAME)).value == old
    await alice.restart()
    await alice.node.discovery_keys.load()
    assert alice.node.discovery_keys.own.reveal() != old
    assert (await alice.kv.get(OWN_NAMESPACE, OWN_NAME)).value == alice.node.discovery_keys.own.reveal()


async def test_a_passive_node_finds_and_is_not_found(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await acquainted(alice, bob)
    await lan.join(alice, passive=True)
    await world.run_for(HOUR)
    assert lan.said == []
    await lan.join(bob)
    await world.until_connected((alice, bob))
    alice.node.discovery.announce(b"alice-2345")
    await world.run_for(1)
    assert "alice-2345" in instances(lan)


async def test_a_window_is_found_by_its_name_and_only_while_it_is_open(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    await lan.join(bob)
    finder, host = alice.node.pairing.window.finder, bob.node.pairing.window.finder
    for name in ("bob", "Bob-K3F7"):
        host.announce(b"bob-k3f7")
        found = await finder.find(name)
        assert found == (b"bob-k3f7", (Address(bob.host, 4500),))
        assert (await nearby(alice))["bob-k3f7"]["pairing"]
        host.withdraw()
        await world.run_for(1)
        assert "bob-k3f7" not in await nearby(alice)
    with trio.move_on_after(60) as scope:
        await finder.find("bob")
    assert scope.cancelled_caught


async def test_the_own_window_is_nobody_elses(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    service = await lan.join(alice)
    service.announce(b"alice-2345")
    await world.run_for(1)
    assert await nearby(alice) == {}


async def test_two_windows_of_one_name_are_told_apart_by_the_whole_name(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    service = await lan.join(alice)
    await world.run_for(1)
    lan.say("bob-aaaa", 4500, ["10.0.0.2"])
    lan.say("bob-bbbb", 4500, ["10.0.0.3"])
    await world.run_for(1)
    with pytest.raises(UsageError) as caught:
        await service.find("bob")
    assert sorted(caught.value.facts["candidates"]) == ["bob-aaaa", "bob-bbbb"]
    assert (await service.find("bob-bbbb")).addresses == (Address("10.0.0.3", 4500),)


@pytest.mark.parametrize("instance", [b"", b"a" * 64, b"\xff", b"mfrggzdfmztwq2lkmfrggzdfmy"])
async def test_a_window_that_no_name_can_say_is_refused(world, lan, instance, autojump_clock):
    service = await lan.join(world.nodes["alice"])
    with pytest.raises(UsageError):
        service.announce(instance)


async def test_strangers_become_peers_by_three_words_through_discovery(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    words = {}

    async def pair(node, other):
        async def step(item):
            if item.event == "words":
                words[node.name] = item.words
                await node.call("pair.confirm", accept=True)

        args = {"name": other.name}
        await Dispatcher(node.node)(Principal("owner", "world"), "pair.phrase", args, step)

    await lan.join(alice)
    await lan.join(bob)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair, alice, bob)
        nursery.start_soon(pair, bob, alice)
    assert words["alice"] == words["bob"]
    await world.until_connected((alice, bob))
    assert len(instances(lan)) == 2, "no window is shown any more"


async def test_the_stream_of_sightings_says_who_comes_is_recognised_connects_and_goes(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    items = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.follow, "peer.sightings", items, {})
        await lan.join(bob)
        await world.run_for(1)
        await world.introduce(alice, bob)
        await world.until_connected((alice, bob))
        await world.run_for(1)
        await bob.node.supervisor.stop_service("discovery")
        await world.run_for(1)
        nursery.cancel_scope.cancel()
    seen = [(item["name"], item["connected"], item["gone"]) for item in items]
    assert seen[0] == (None, False, False)
    assert ("bob", True, False) in seen
    assert seen[-1] == ("bob", True, True)


async def doctor(node):
    (check,) = [one for one in await node.call("node.doctor") if one["check"] == "discovery"]
    return check


async def test_the_doctor_says_what_goes_on(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    assert "switched off" in (await doctor(alice))["detail"]
    with pytest.raises(UnavailableError) as caught:
        await alice.call("peer.discover")
    assert caught.value.code == "discovery.off"
    await lan.join(alice)
    await world.run_for(ECHO_S + 1)
    check = await doctor(alice)
    assert check["ok"]
    assert instances(lan)[0] in check["detail"]


async def test_the_doctor_notices_that_the_own_announcement_is_not_heard(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    lan.deaf = True
    await lan.join(alice)
    await world.run_for(1)
    assert (await doctor(alice))["ok"], "it is too early to say"
    await world.run_for(ECHO_S)
    check = await doctor(alice)
    assert not check["ok"]
    assert "container" in check["hint"]
    assert "tickets" in check["hint"]


async def test_multicast_that_fails_is_said_once_and_tried_again(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    lan.broken = True
    service = await lan.join(alice)
    await world.run_for(RETRY_S * 5)
    assert not (await doctor(alice))["ok"]
    with pytest.raises(NzError) as caught:
        await service.find("bob")
    assert caught.value.code == "pair.not-found"
    assert len(world.trace.of("alice", "discovery.trouble")) == 1
    lan.broken = False
    await world.run_for(RETRY_S + 1)
    assert (await doctor(alice))["ok"]
    assert len(instances(lan)) == 1


async def test_a_lost_thread_is_replaced_within_seconds(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    await lan.join(alice)
    await world.run_for(1)
    (before,) = instances(lan)
    lan.lost = True
    await world.run_for(LOOK_S + 0.5)
    assert instances(lan) == []
    lan.lost = False
    await world.run_for(LOOK_S * 2)
    (after,) = instances(lan)
    assert after != before
    assert (await doctor(alice))["ok"]


async def test_a_machine_without_a_link_is_said_to_have_none(world, lan, autojump_clock):
    alice = world.nodes["alice"]
    lan.lan = lan.lan._replace(speak_on=())
    await lan.join(alice)
    await world.run_for(LOOK_S)
    check = await doctor(alice)
    assert (check["ok"], check["detail"]) == (False, UnavailableError("discovery.no-link").message)


async def test_names_are_those_of_the_node_and_of_nobody_else(world, lan, autojump_clock):
    alice, bob, _ = world.nodes.values()
    await lan.join(alice)
    await lan.join(bob)
    await world.run_for(HOUR * 2)
    keys = [(node.name, node.node.discovery_keys.own) for node in (alice, bob)]
    owners = [recognise(Pseudonym.parse(one.service.removesuffix(f".{SERVICE}")), one.port, keys) for one in lan.said]
    assert set(owners) == {"alice", "bob"}
    assert len({one.service for one in lan.said}) == len(lan.said) >= 6
