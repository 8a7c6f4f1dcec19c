"""The fabric in worlds of whole nodes: their lines, stores and handlers are the real ones, their clock is virtual."""

from typing import Any

import pytest
from trio.testing import MockClock

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.testing.world import World, WorldNode


async def pair(world: World) -> tuple[WorldNode, WorldNode]:
    alice, bob = await world.add("alice"), await world.add("bob")
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    await world.until(lambda: has_line(alice, bob) and has_line(bob, alice))
    return alice, bob


def has_line(one: WorldNode, other: WorldNode) -> bool:
    return one.node.fabric.lines.get(other.id) is not None


async def test_what_is_published_reaches_subscribers_at_both_nodes_in_order(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        async with (
            alice.node.fabric.subscribe("chat.*") as near,
            bob.node.fabric.subscribe("chat.**") as far,
        ):
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            for number in range(100):
                await alice.node.fabric.publish("chat.room", {"number": number})
            heard = [await anext(far) for _ in range(100)]
            assert [one.body for one in heard] == [{"number": number} for number in range(100)]
            assert {(one.topic, one.origin) for one in heard} == {("chat.room", alice.id)}
            assert [(await anext(near)).body for _ in range(100)] == [one.body for one in heard]


async def test_a_request_is_answered_by_the_handler_of_the_other_node(autojump_clock: MockClock) -> None:
    async def double(origin: NodeId, body: Any) -> object:
        return {"from": origin.text, "twice": body * 2}

    async with World() as world:
        alice, bob = await pair(world)
        end = bob.node.fabric.answer("maths.double", double, Scope.MESSAGE)
        answer = await alice.node.fabric.request(bob.id, "maths.double", 21, deadline_s=5)
        assert answer == {"from": alice.id.text, "twice": 42}
        assert await alice.node.fabric.request_at("maths.double@bob", 4, deadline_s=5) == {
            "from": alice.id.text,
            "twice": 8,
        }
        end()
        with pytest.raises(PeerError) as caught:
            await alice.node.fabric.request(bob.id, "maths.double", 21, deadline_s=5)
        assert caught.value.code == "fabric.no-operation"


async def test_a_delivery_arrives_once_though_the_receiver_was_away(autojump_clock: MockClock) -> None:
    got: list[object] = []

    async def take(origin: NodeId, body: object) -> None:
        got.append(body)

    async with World() as world:
        alice, bob = await pair(world)
        await bob.crash()
        await alice.node.fabric.deliver(bob.id, "shop.order", ["tea", 2])
        assert alice.node.fabric.outbox.facts() == {"outbox": 1}
        await bob.start()
        bob.node.fabric.on_delivery("shop.order", take)
        await world.until(lambda: got == [["tea", 2]], within_s=120)
        await world.until(lambda: alice.node.fabric.outbox.facts() == {"outbox": 0})
        await alice.restart()
        await world.until_connected((alice, bob), within_s=120)
        await world.run_for(30)
        assert got == [["tea", 2]]
