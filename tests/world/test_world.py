"""A world of whole nodes repeats by its seed, holds many of them, and heals from what chance does to it."""

import pytest
import trio

from nzcore.base.errors import NzError
from nzcore.base.scopes import Scope
from nzcore.control.verdict import Principal
from nzcore.net.requests import answering
from nzcore.testing.network import Conditions
from nzcore.testing.seeded import run_seeded
from nzcore.testing.world import World

NODES = 20
FAULTY = {"net.trouble", "stream.handler-failed", "peer.alarm", "bus.dropped"}


async def town(world, count=NODES, friends=3):
    """Nodes in a ring, each knowing the next `friends`; and their pairs."""
    nodes = [await world.add(f"n{number}") for number in range(count)]
    pairs = [(nodes[i], nodes[(i + step) % count]) for i in range(count) for step in range(1, friends + 1)]
    for one, other in pairs:
        await world.introduce(one, other)
    return nodes, pairs


async def trouble(world, nodes, rounds=8):
    """Chance does what chance does."""
    for _ in range(rounds):
        what, node = world.rng.randrange(4), world.rng.choice(nodes)
        if what == 0:
            await node.restart(silent=world.rng.random() < 0.5)
        elif what == 1:
            half = world.rng.sample(nodes, len(nodes) // 2)
            world.partition(half, [one for one in nodes if one not in half])
        elif what == 2:
            other = world.rng.choice([one for one in nodes if one is not node])
            world.network.cut(node.host, other.host)
        else:
            world.heal()
        await world.run_for(world.rng.random() * 40)
    world.heal()


def faults(world):
    """What must not happen, whatever chance does."""
    crashed = [one for one in world.trace if one.topic.startswith("service.") and one.topic.endswith(".crashed")]
    return crashed + [one for one in world.trace if one.topic in FAULTY]


def one_link_a_pair(world, pairs):
    for one, other in pairs:
        assert one.is_connected(other)
        assert other.is_connected(one)
    assert world.network.connections == len(pairs)


def troubled(seed, count=NODES, rounds=8):
    async def main():
        async with World(seed, Conditions(latency_s=0.03, jitter_s=0.05, loss=0.02)) as world:
            nodes, pairs = await town(world, count)
            await world.until_connected(*pairs)
            await trouble(world, nodes, rounds)
            await world.run_for(100)
            await world.until_connected(*pairs, within_s=120)
            await world.run_for(15)
            assert faults(world) == []
            one_link_a_pair(world, pairs)
            return world.trace.digest, len(world.trace)

    return run_seeded(seed, main)


def test_the_same_seed_gives_the_same_trace_and_another_seed_another():
    first, again, other = (troubled(seed, count=8, rounds=4) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first[1] > 100


@pytest.mark.long
def test_the_same_seed_gives_the_same_long_trace():
    first, again = troubled(1), troubled(1)
    assert first == again
    assert first[1] > 400


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 20))])
def test_twenty_nodes_that_crash_and_part_end_with_one_channel_a_pair(seed):
    troubled(seed)


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.long)])
async def test_many_nodes_answer_each_other(count, autojump_clock):
    async with World(1) as world:
        nodes, pairs = await town(world, count, friends=2)
        for node in nodes:
            name = node.name.encode()
            node.node.channels.serve("/test/name/1", answering(lambda peer, request, name=name: name), Scope.MESSAGE)
        await world.until_connected(*pairs)
        heard = {}

        async def ask(one, other):
            heard[one.name, other.name] = await one.node.channels.call(other.id, "/test/name/1", b"")

        async with trio.open_nursery() as nursery:
            for one, other in pairs:
                nursery.start_soon(ask, one, other)
                nursery.start_soon(ask, other, one)
        assert heard == {
            (a.name, b.name): b.name.encode() for one, other in pairs for a, b in ((one, other), (other, one))
        }
        states = [await node.call("node.state") for node in nodes]
        assert all(state["healthy"] and state["channels"] == state["peers"] == 4 for state in states)


async def test_a_node_keeps_its_identity_and_its_peers_through_a_crash(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await world.introduce(alice, bob)
        before = await alice.call("identity.show")
        await alice.crash()
        assert not alice.is_running
        with pytest.raises(NzError) as down:
            await bob.call("peer.ping", peer="alice")
        assert down.value.code in ("net.not-connected", "net.too-slow")
        await alice.start()
        assert await alice.call("identity.show") == before
        assert [peer["name"] for peer in await alice.call("peer.list")] == ["bob"]


async def test_a_node_that_is_stopped_says_goodbye(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await world.introduce(alice, bob)
        await world.until_connected((alice, bob))
        await world.run_for(5)
        await alice.stop()
        await world.run_for(0.1)
        assert [one.value.code for one in world.trace.of("bob", "channel.closed")] == ["channel.going-away"]
        assert not alice.is_running


async def test_several_nodes_of_one_identity_are_different_nodes(autojump_clock):
    async with World(1) as world:
        desk = await world.add("desk")
        phone = await world.add("phone", words_of=desk)
        shown = [await node.call("identity.show") for node in (desk, phone)]
        assert shown[0]["identity"] == shown[1]["identity"]
        assert shown[0]["node"] != shown[1]["node"]
        await world.introduce(desk, phone)
        await world.until_connected((desk, phone))


async def test_operations_are_judged_as_in_a_real_node(autojump_clock):
    async with World(1) as world:
        alice = await world.add("alice")
        with pytest.raises(NzError) as refused:
            await alice.call_as(
                Principal("peer", alice.id.text, frozenset({Scope.ADMIN})), "identity.rotate", mnemonic="x"
            )
        assert refused.value.code == "control.refused"
        await world.settle()
        assert len(world.trace.of("alice", "control.refused")) == 1
        assert (await alice.call("node.doctor"))[-1]["ok"]


async def test_until_says_when_it_never_was_so(autojump_clock):
    async with World(1) as world:
        with pytest.raises(AssertionError, match="not so within 5 s"):
            await world.until(lambda: False, within_s=5)
        assert world.now >= 5
