"""The fabric in worlds of whole nodes: their lines, stores and handlers are the real ones, their clock is virtual."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import PeerError, UnavailableError
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


async def test_a_key_is_carried_out_once_though_the_channel_is_lost_meanwhile(autojump_clock: MockClock) -> None:
    calls = 0

    async def slowly(origin: NodeId, body: object) -> object:
        nonlocal calls
        calls += 1
        await trio.sleep(20)
        return ["done", body]

    async with World() as world:
        alice, bob = await pair(world)
        bob.node.fabric.answer("shop.pay", slowly, Scope.MESSAGE)
        answers: list[object] = []

        async def pay() -> None:
            answers.append(await alice.node.fabric.request(bob.id, "shop.pay", 7, deadline_s=200, key="invoice 7"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pay)
            nursery.start_soon(pay)
            await world.until(lambda: calls == 1)
            world.network.cut(alice.host, bob.host)
        assert answers == [["done", 7]] * 2
        assert calls == 1
        with pytest.raises(PeerError) as caught:
            await alice.node.fabric.request(bob.id, "shop.pay", 8, deadline_s=5, key="invoice 7")
        assert caught.value.code == "fabric.key-reused"


async def test_a_request_without_a_key_is_lost_with_its_channel(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        waits = Waiting()
        bob.node.fabric.answer("shop.wait", waits, Scope.MESSAGE)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(UnavailableError) as caught:
                    await alice.node.fabric.request(bob.id, "shop.wait", None, deadline_s=500)
                assert caught.value.code == "fabric.lost"

            nursery.start_soon(ask)
            await world.until(lambda: waits.begun == 1)
            world.network.cut(alice.host, bob.host)
        await world.until(lambda: waits.cancelled == 1)


class Waiting:
    """A handler that never answers, and knows how often it was begun and cancelled."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0

    async def __call__(self, origin: NodeId, body: object) -> object:
        self.begun += 1
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled += 1


async def test_deadlines_and_cancellation_end_the_handler_at_the_other_side(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        waits = Waiting()
        bob.node.fabric.answer("shop.wait", waits, Scope.MESSAGE)
        began = trio.current_time()
        with pytest.raises(UnavailableError) as caught:
            await alice.node.fabric.request(bob.id, "shop.wait", None, deadline_s=3)
        assert caught.value.code == "fabric.too-slow"
        assert trio.current_time() - began == pytest.approx(3, abs=0.5)
        await world.until(lambda: waits.cancelled == 1)
        with trio.move_on_after(1):
            await alice.node.fabric.request(bob.id, "shop.wait", None, deadline_s=300)
        await world.until(lambda: waits.cancelled == 2)
        assert not bob.node.fabric.lines.get(alice.id).serving  # type: ignore[union-attr]  # connected


async def test_as_many_ask_as_want_and_each_waits_its_turn(autojump_clock: MockClock) -> None:
    async def slow(origin: NodeId, body: object) -> object:
        await trio.sleep(1)
        return body

    async with World() as world:
        alice, bob = await pair(world)
        bob.node.fabric.answer("shop.slow", slow, Scope.MESSAGE)
        answers = []

        async def ask(number: int) -> None:
            answers.append(await alice.node.fabric.request(bob.id, "shop.slow", number, deadline_s=60))

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(ask, number)
        assert sorted(answers) == list(range(200))  # type: ignore[type-var]  # numbers


async def test_a_handler_that_raises_harms_its_request_only_and_tells_nothing_of_itself(
    autojump_clock: MockClock,
) -> None:
    async def fail(origin: NodeId, body: object) -> object:
        raise ValueError("a secret of bob")

    async def odd(origin: NodeId, body: object) -> object:
        return object()

    async def refuse(origin: NodeId, body: object) -> object:
        raise PeerError("node.unknown-peer", "no \x1b[31msuch\x1b[0m thing")

    async with World() as world:
        alice, bob = await pair(world)
        for name, handler in (("x.fail", fail), ("x.odd", odd), ("x.refuse", refuse)):
            bob.node.fabric.answer(name, handler, Scope.MESSAGE)
        codes = []
        for name in ("x.fail", "x.odd", "x.refuse", "x.none"):
            with pytest.raises(PeerError) as caught:
                await alice.node.fabric.request(bob.id, name, None, deadline_s=5)
            assert "secret" not in str(caught.value)
            assert "\x1b" not in str(caught.value)
            codes.append(caught.value.code)
        assert codes == ["fabric.handler-failed", "codec.unencodable", "node.unknown-peer", "fabric.no-operation"]
        assert has_line(alice, bob)


async def test_operations_need_their_own_scope_and_those_of_the_node_pass_its_gate(autojump_clock: MockClock) -> None:
    async def open_door(origin: NodeId, body: object) -> object:
        return "open"

    async with World() as world:
        alice, bob = await pair(world)
        bob.node.fabric.answer("door.open", open_door, Scope.ADMIN)

        async def code_of(operation: str, body: object = None) -> str:
            try:
                await alice.node.fabric.request(bob.id, operation, body, deadline_s=5)
            except PeerError as error:
                return error.code
            return ""

        assert await code_of("door.open") == "fabric.out-of-scope"
        assert await code_of("node.state") == "control.refused"
        bob.node.trust.set(alice.id, set(Scope))
        assert await code_of("door.open") == ""
        assert await code_of("node.state") == ""
        assert await code_of("node.state", {"no": "such"}) == "control.bad-arguments"
        assert await code_of("config.set", {"name": "net.mdns", "value": "true"}) == "control.refused"
        assert await code_of("node.watch") == "fabric.is-stream"
        state: Any = await alice.node.fabric.request(bob.id, "node.state", None, deadline_s=5)
        assert state["node"] == bob.id.text


async def test_a_slow_subscriber_that_may_lose_loses_its_own_oldest_and_holds_up_nobody(
    autojump_clock: MockClock,
) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        async with (
            bob.node.fabric.subscribe("n.*", capacity=10) as slow,
            bob.node.fabric.subscribe("n.*", capacity=5000) as fast,
        ):
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            began = trio.current_time()
            for number in range(3000):
                await alice.node.fabric.publish("n.x", number)
            assert trio.current_time() - began < 1
            assert [(await anext(fast)).body for _ in range(3000)] == list(range(3000))
            assert slow.dropped == 2990
            assert [(await anext(slow)).body for _ in range(10)] == list(range(2990, 3000))


async def test_a_subscriber_that_holds_gets_everything_at_its_own_pace(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        got = []

        async def read(task_status: trio.TaskStatus[None]) -> None:
            async with bob.node.fabric.subscribe("n.*", capacity=1, overflow="block") as arriving:
                task_status.started()
                async for message in arriving:
                    got.append(len(message.body))  # type: ignore[arg-type]  # bytes
                    await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            await nursery.start(read)
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            began = trio.current_time()
            for size in range(200):
                await alice.node.fabric.publish("n.x", bytes(20_000 + size))
            assert trio.current_time() - began > 1, "the publisher was not held up"
            await world.until(lambda: len(got) == 200)
            nursery.cancel_scope.cancel()
        assert got == [20_000 + size for size in range(200)]
        assert alice.node.fabric.topics.facts()["dropped"] == 0


async def test_a_peer_that_holds_and_never_reads_costs_five_seconds_once(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        async with bob.node.fabric.subscribe("n.*", capacity=1, overflow="block"):
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            began = trio.current_time()
            for _ in range(400):
                await alice.node.fabric.publish("n.x", bytes(20_000))
            assert trio.current_time() - began == pytest.approx(5, abs=1)
            assert alice.node.fabric.topics.facts()["dropped"] > 100
            with pytest.raises(PeerError):  # requests pass by what is held up
                await alice.node.fabric.request(bob.id, "shop.none", None, deadline_s=5)


async def test_what_was_published_before_or_after_a_subscription_is_not_heard(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        await alice.node.fabric.publish("n.x", 1)
        async with bob.node.fabric.subscribe("n.x") as arriving:
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            await alice.node.fabric.publish("n.x", 2)
            await alice.node.fabric.publish("other", 3)
            assert (await anext(arriving)).body == 2
        await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 0)
        await alice.node.fabric.publish("n.x", 4)


async def test_who_loses_the_scope_hears_nothing_more_and_is_heard_no_more(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        async with bob.node.fabric.subscribe("n.*") as at_bob, alice.node.fabric.subscribe("n.*") as at_alice:
            await world.until(
                lambda: all(one.node.fabric.topics.facts()["subscribed_peers"] == 1 for one in (alice, bob))
            )
            await alice.node.fabric.publish("n.x", "before")
            await bob.node.fabric.publish("n.x", "before")
            assert [(await anext(at_bob)).body, (await anext(at_bob)).body] == ["before"] * 2
            assert [(await anext(at_alice)).body, (await anext(at_alice)).body] == ["before"] * 2
            bob.node.trust.set(alice.id, {Scope.CONNECT})
            await alice.node.fabric.publish("n.x", "from alice")
            await bob.node.fabric.publish("n.x", "from bob")
            await world.run_for(5)
            await bob.node.fabric.publish("n.y", "end")
            assert [(await anext(at_bob)).body for _ in range(2)] == ["from bob", "end"]
            assert (await anext(at_alice)).body == "from alice"
            with trio.move_on_after(10) as patience:
                await anext(at_alice)
            assert patience.cancelled_caught


async def test_subscriptions_come_back_after_a_crash_and_after_a_restart_of_the_service(
    autojump_clock: MockClock,
) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        async with alice.node.fabric.subscribe("n.*") as arriving:
            for end in ("crash", "service"):
                if end == "crash":
                    await bob.restart()
                else:
                    await bob.call("service.restart", name="fabric")
                await world.until(lambda: has_line(alice, bob) and has_line(bob, alice), within_s=120)
                await world.until(lambda: bob.node.fabric.topics.facts()["subscribed_peers"] == 1)
                await bob.node.fabric.publish("n.x", end)
                assert (await anext(arriving)).body == end


async def test_publications_go_on_when_trust_comes_back(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        async with bob.node.fabric.subscribe("n.*", overflow="block") as arriving:
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            await alice.node.fabric.publish("n.x", "before")
            assert (await anext(arriving)).body == "before"
            scopes = bob.node.trust.scopes(alice.id)
            bob.node.trust.set(alice.id, {Scope.CONNECT})
            for _ in range(5):
                await world.run_for(1)
                await alice.node.fabric.publish("n.x", "unheard")
            bob.node.trust.set(alice.id, scopes)
            await world.run_for(40)
            await alice.node.fabric.publish("n.x", "after")
            assert (await anext(arriving)).body == "after"
            assert 1 <= alice.node.fabric.topics.facts()["dropped"] <= 5


async def test_a_job_given_up_too_late_takes_no_other_with_it(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        seen = []

        async def stubborn(origin: NodeId, body: object) -> object:
            line = bob.node.fabric.lines.get(origin)
            assert line is not None
            for number in list(line.serving):
                line._give_up(number) if body == "first" else None  # as if it came in the middle of a step
            seen.append(body)
            if body != "first":
                await trio.sleep(0.1)
            return body

        bob.node.fabric.answer("x.stubborn", stubborn, Scope.MESSAGE)
        answers: list[object] = []

        async def ask(body: str) -> None:
            try:
                answers.append(await alice.node.fabric.request(bob.id, "x.stubborn", body, deadline_s=5))
            except UnavailableError as error:
                answers.append(error.code)

        for _ in range(3):
            await ask("first")
            await ask("second")
        assert answers == ["first", "second"] * 3


async def test_the_operations_publish_follow_and_call(autojump_clock: MockClock) -> None:
    async def double(origin: NodeId, body: Any) -> object:
        return body * 2

    async with World() as world:
        alice, bob = await pair(world)
        bob.node.fabric.answer("maths.double", double, Scope.MESSAGE)
        items: list[dict[str, Any]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bob.follow, "topic.sub", items, {"pattern": "tea.*"})
            await world.until(lambda: alice.node.fabric.topics.facts()["subscribed_peers"] == 1)
            await alice.call("topic.pub", topic="tea.ready", body={"cups": 2})
            await bob.call("topic.pub", topic="tea.gone")
            await world.until(lambda: len(items) == 2)
            nursery.cancel_scope.cancel()
        by_topic = {item["topic"]: (item["name"], item["body"]) for item in items}
        assert by_topic == {"tea.ready": ("alice", {"cups": 2}), "tea.gone": ("", None)}
        answer = await alice.call("fabric.call", peer="bob", operation="maths.double", body=21)
        assert answer["body"] == 42
        with pytest.raises(PeerError):
            await alice.call("fabric.call", peer="bob", operation="maths.halve", body=21)
        facts = (await bob.call("service.show", name="fabric"))["facts"]
        assert facts["served"] >= 2
