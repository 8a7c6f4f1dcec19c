"""The doctor's ladder to a peer ends at the step that fails, whatever fails."""

import pytest

from nzcore.base.scopes import Scope
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.testing.world import World

STEPS = ["name", "address", "tcp", "handshake", "trust", "scope"]


async def climbed(node, name="bob"):
    """The steps taken, and the last check."""
    checks = await node.call("peer.doctor", peer=name)
    assert [check["ok"] for check in checks[:-1]] == [True] * (len(checks) - 1)
    return [check["check"] for check in checks], checks[-1]


async def know(node, other, addresses):
    certificate = Card.parse_text(await other.card()).certificate
    await node.node.peers.add(certificate, addresses, petname=other.name)


@pytest.fixture
async def world():
    async with World(1) as world:
        await world.add("alice")
        await world.add("bob")
        yield world


async def test_all_is_well_up_to_the_top(world, autojump_clock):
    alice, bob = world.nodes.values()
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    steps, last = await climbed(alice)
    assert steps == STEPS
    assert last["ok"]
    assert "message" in last["detail"]


async def test_it_connects_where_it_can(world, autojump_clock):
    alice, bob = world.nodes.values()
    await know(alice, bob, (Address(bob.host, 4500),))
    await know(bob, alice, ())
    steps, last = await climbed(alice)
    assert steps == STEPS
    assert last["ok"]
    assert alice.is_connected(bob)


async def test_an_unknown_name_is_the_culprit(world, autojump_clock):
    alice, bob = world.nodes.values()
    await world.introduce(alice, bob)
    steps, last = await climbed(alice, "carol")
    assert steps == STEPS[:1]
    assert "bob" in last["detail"]
    assert last["hint"]


async def test_a_missing_address_is_the_culprit(world, autojump_clock):
    alice, bob = world.nodes.values()
    await know(alice, bob, ())
    steps, last = await climbed(alice)
    assert steps == STEPS[:2]
    assert "address" in last["detail"]


@pytest.mark.parametrize("port", [4999, 4500])
async def test_an_address_where_nobody_answers_is_the_culprit(world, port, autojump_clock):
    alice, bob = world.nodes.values()
    await know(alice, bob, (Address(bob.host, port),))
    if port == 4500:
        world.network.vanish(bob.host)
    steps, last = await climbed(alice)
    assert steps == STEPS[:3]
    assert f"tcp://{bob.host}:{port}" in last["detail"]


async def test_another_node_at_the_address_is_the_culprit(world, autojump_clock):
    alice, bob = world.nodes.values()
    carol = await world.add("carol")
    await know(alice, bob, (Address(carol.host, 4500),))
    steps, last = await climbed(alice)
    assert steps == STEPS[:4]
    assert "compare cards" in last["hint"]


async def test_a_peer_that_does_not_know_this_node_is_the_culprit(world, autojump_clock):
    alice, bob = world.nodes.values()
    await know(alice, bob, (Address(bob.host, 4500),))
    steps, last = await climbed(alice)
    assert steps == STEPS[:4]
    assert "does not let this node connect" in last["detail"]


async def test_trust_that_was_taken_back_here_is_the_culprit(world, autojump_clock):
    alice, bob = world.nodes.values()
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    certificate = alice.node.peers.certificate(bob.id)
    await alice.node.peers.add(certificate, scopes={Scope.MESSAGE})
    assert not alice.is_connected(bob)
    steps, last = await climbed(alice)
    assert steps == STEPS[:5]
    assert "does not trust" in last["detail"]
    await world.run_for(300)
    assert not alice.is_connected(bob), "nobody brings back what was cut"


async def test_a_peer_without_the_scope_that_is_needed_shows_at_the_top(world, autojump_clock):
    alice, bob = world.nodes.values()
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    await alice.node.peers.add(alice.node.peers.certificate(bob.id), scopes={Scope.CONNECT})
    steps, last = await climbed(alice)
    assert steps == STEPS
    assert "connect" in last["detail"]
    assert "message" not in last["detail"]
