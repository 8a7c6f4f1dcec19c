"""A node whose disk is full goes on talking to its peers."""

from nzcore.base.errors import UnavailableError
from nzcore.proto.channel.hello import Hello
from nzcore.testing.world import World


async def test_a_full_disk_costs_no_channel_and_what_was_noted_is_written_once_there_is_room(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await world.introduce(alice, bob)
        await world.until_connected((alice, bob))
        await world.run_for(5)
        put, alice.kv.put = alice.kv.put, no_room

        alice.node.pairing.greet(bob.id, Hello(time=0, addresses=("tcp://10.9.9.9:1",)))
        await world.run_for(300)
        states = {one.name: (one.state, one.restarts) for one in alice.node.state().services}
        assert states["net"] == ("running", 0)
        assert alice.is_connected(bob)
        assert {one.value.what for one in world.trace.of("alice", "store.trouble")} == {"what was noted of peers"}

        alice.kv.put = put
        await world.run_for(15)
        await alice.restart()
        assert "tcp://10.9.9.9:1" in [one.text for one in alice.node.peers.addresses(bob.id)]


async def no_room(ns, name, value, *, expect=None):
    raise UnavailableError("store.disk-full")
