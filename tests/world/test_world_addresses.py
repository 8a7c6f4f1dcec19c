"""What nodes tell each other of their addresses when a channel opens, and what is kept of it."""

import pytest

from nzcore.node.addresses import MAX_ADDRESSES, KnownAddress
from nzcore.proto.channel.hello import Hello
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.testing.world import World


async def strangers_by_card(world):
    """Alice knows bob's address, bob knows alice without any."""
    alice, bob = await world.add("alice"), await world.add("bob")
    await bob.node.peers.add(alice.identity.certificate)
    await alice.call("peer.add", card=await bob.card())
    await world.until_connected((alice, bob))
    return alice, bob


def greet(world, node, peer, *addresses):
    node.node.pairing.greet(peer.id, Hello(time=0, addresses=addresses))


def known(node, peer):
    return [one.text for one in node.node.peers.addresses(peer.id)]


async def test_a_peer_learns_the_addresses_of_whoever_dialled_it(autojump_clock):
    async with World(1) as world:
        alice, bob = await strangers_by_card(world)
        assert known(bob, alice) == alice.node.listening()
        await bob.restart()
        await world.until(lambda: known(bob, alice) == alice.node.listening())


async def test_what_has_worked_stays_in_front_of_what_is_claimed(autojump_clock):
    async with World(2) as world:
        alice, bob = await strangers_by_card(world)
        greet(world, alice, bob, "tcp://10.1.1.1:1", "tcp://10.1.1.2:1")
        assert known(alice, bob) == [*bob.node.listening(), "tcp://10.1.1.1:1", "tcp://10.1.1.2:1"]


async def test_claims_are_bounded_and_the_newest_are_kept(autojump_clock):
    async with World(3) as world:
        alice, bob = await strangers_by_card(world)
        for batch in range(6):
            greet(world, alice, bob, *(f"tcp://10.1.{batch}.{n}:1" for n in range(1, 9)))
        kept = known(alice, bob)
        assert len(kept) == MAX_ADDRESSES
        assert kept[0] == bob.node.listening()[0]
        assert kept[1] == "tcp://10.1.5.1:1"


@pytest.mark.parametrize(
    "claim",
    [
        "tcp://127.0.0.1:7001",
        "tcp://[::1]:7001",
        "tcp://localhost:7001",
        "tcp://0x7f000001:7001",
        "tcp://a.localhost:1",
        "quic://10.1.1.1:1",
        "tcp://0.0.0.0:1",
        "tcp://canary.example.org:7001",
        "tcp://bob:7001",
        "",
    ],
)
async def test_what_would_lead_elsewhere_or_nowhere_is_not_kept(autojump_clock, claim):
    async with World(4) as world:
        alice, bob = await strangers_by_card(world)
        before = known(alice, bob)
        greet(world, alice, bob, claim)
        assert known(alice, bob) == before


class Watched(World):
    """A world that knows which hosts were dialled."""

    def __init__(self, seed):
        super().__init__(seed)
        self.dialled = set()

    def transport(self, host):
        transport = super().transport(host)
        dial = transport.dial

        async def watched(address, spawn):
            self.dialled.add(address.host)
            return await dial(address, spawn)

        transport.dial = watched
        return transport


async def test_a_name_is_dialled_only_where_a_person_gave_it(autojump_clock):
    async with Watched(9) as world:
        alice, bob = await strangers_by_card(world)
        await alice.node.peers.add(bob.identity.certificate, [Address("bob.example.org", 7001)])
        greet(world, alice, bob, "tcp://canary.example.org:7001", "tcp://bob.example.org:7001", "tcp://10.1.1.1:1")
        await bob.crash(silent=False)
        await world.until(lambda: {bob.host, "bob.example.org", "10.1.1.1"} <= world.dialled)
        await world.run_for(600)
        assert "canary.example.org" not in world.dialled
        assert "tcp://bob.example.org:7001" in known(alice, bob)


async def test_loopback_is_kept_where_the_channel_itself_came_over_loopback(autojump_clock):
    async with World(5) as world:
        alice, bob = await strangers_by_card(world)
        link = alice.node.channels.links.get(bob.id).link
        link.remote = "tcp://127.0.0.1:50000"
        greet(world, alice, bob, "tcp://127.0.0.1:7001")
        assert "tcp://127.0.0.1:7001" in known(alice, bob)


async def test_strangers_teach_nothing(autojump_clock):
    async with World(6) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        greet(world, alice, bob, "tcp://10.1.1.1:1")
        assert alice.node.peers.get(bob.id) is None


async def test_an_address_that_failed_is_not_made_new_by_being_claimed_again(autojump_clock):
    async with World(7) as world:
        alice, bob = await strangers_by_card(world)
        greet(world, alice, bob, "tcp://10.1.1.1:1")
        for _ in range(3):
            alice.node.peers.note_dial(bob.id, Address("10.1.1.1", 1), worked=False)
        greet(world, alice, bob, "tcp://10.1.1.1:1")
        assert KnownAddress("tcp://10.1.1.1:1", 0.0, 3, given=False) in alice.node.peers.get(bob.id).addresses


async def test_a_refused_stranger_hears_neither_addresses_nor_that_a_channel_opened(autojump_clock):
    async with World(8) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        card = Card.parse_text(await alice.card())
        await bob.node.peers.add(card.certificate, card.addresses)
        heard = []
        bob.node.channels.links.on_greeted = lambda node, hello: heard.append(hello)
        with pytest.raises(Exception, match="not-admitted"):
            await bob.node.channels.connect(alice.id)
        assert heard == []
        assert world.trace.of("bob", "channel.opened") == world.trace.of("bob", "channel.closed") == []
