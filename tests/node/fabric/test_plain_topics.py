"""Topics that steer terminals: chosen by nobody here, and heard from a peer without harm to its line."""

import pytest
from trio.testing import MockClock

from nzcore.base.errors import UsageError
from nzcore.base.ids import NodeId
from nzcore.testing.world import World

from .test_fabric_world import has_line, pair

CONTROL = ("kitchen\x1b", "a.\x00", "a\x7f.b", "a.\x9b2J")


@pytest.mark.parametrize("topic", CONTROL, ids=["escape", "null", "delete", "c1"])
async def test_a_topic_or_pattern_of_our_own_has_no_control_characters(topic: str, autojump_clock: MockClock) -> None:
    async def take(origin: NodeId, body: object) -> None:
        raise AssertionError

    async with World() as world:
        alice, bob = await pair(world)
        fabric = alice.node.fabric
        with pytest.raises(UsageError) as caught:
            await fabric.publish(topic, None)
        assert caught.value.code == "fabric.bad-topic"
        assert "escape" in caught.value.hint
        with pytest.raises(UsageError):
            await fabric.deliver(bob.id, topic, None)
        with pytest.raises(UsageError):
            fabric.on_delivery(topic, take)
        with pytest.raises(UsageError):
            async with fabric.subscribe(f"{topic}.**"):
                raise AssertionError


@pytest.mark.parametrize("topic", CONTROL, ids=["escape", "null", "delete", "c1"])
async def test_a_peer_that_chooses_control_characters_is_heard_and_keeps_its_line(
    topic: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        async with bob.node.fabric.subscribe("**") as heard:
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            with monkeypatch.context() as patch:  # alice is of a build that does not look
                patch.setattr("nzcore.node.fabric.topics.require_plain", lambda text: None)
                await alice.node.fabric.publish(topic, 1)
                async with alice.node.fabric.subscribe(f"{topic}.*"):
                    await world.settle()
            await alice.node.fabric.publish("plain", 2)
            assert [(one.topic, one.body) for one in (await anext(heard), await anext(heard))] == [
                (topic, 1),
                ("plain", 2),
            ]
        assert has_line(bob, alice)
