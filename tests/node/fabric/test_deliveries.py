"""Deliveries in worlds of whole nodes: kept, sent again, handled once, whatever happens in between."""

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.node.fabric import inbox as inbox_module
from nzcore.node.fabric import outbox as outbox_module
from nzcore.node.fabric.inbox import Delivery
from nzcore.store.kv import Put
from nzcore.testing.world import World, WorldNode

TOPIC = "shop.order"


async def pair(world: World) -> tuple[WorldNode, WorldNode]:
    alice, bob = await world.add("alice"), await world.add("bob")
    await world.introduce(alice, bob)
    await world.until(lambda: both(alice, bob))
    return alice, bob


def both(one: WorldNode, other: WorldNode) -> bool:
    """Whether there is a line between them."""
    return (
        one.is_running
        and other.is_running
        and all(a.node.fabric.lines.get(b.id) is not None for a, b in ((one, other), (other, one)))
    )


def waiting(one: WorldNode) -> int:
    return one.node.fabric.outbox.facts()["outbox"]


class Taker:
    """A handler that keeps what it got, and fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.got: list[object] = []
        self.failures = failures

    async def __call__(self, origin: NodeId, body: object) -> None:
        await trio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise ValueError("not now")
        self.got.append(body)


async def test_deliveries_wait_for_a_handler_and_come_in_their_order(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        for number in range(150):
            await alice.node.fabric.deliver(bob.id, TOPIC, number)
        await world.run_for(2)
        entries: list[dict[str, object]] = []
        await alice.follow("outbox.list", entries, {})
        assert len(entries) == 150
        assert entries[0]["refused"] == "fabric.no-handler"
        assert entries[0]["name"] == "bob"
        taker = Taker()
        bob.node.fabric.on_delivery(TOPIC, taker)
        assert await alice.call("outbox.retry") == {"deliveries": 150}
        await world.until(lambda: len(taker.got) == 150)
        assert taker.got == list(range(150))
        await world.until(lambda: waiting(alice) == 0)
        assert await alice.kv.list("outbox", "entry/") == []
        assert await bob.kv.list("deliveries", "entry/") == []


async def test_what_is_refused_is_sent_again_by_itself_and_holds_up_no_other_topic(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        other, taker = Taker(), Taker()
        bob.node.fabric.on_delivery("other", other)
        await alice.node.fabric.deliver(bob.id, TOPIC, 1)
        await alice.node.fabric.deliver(bob.id, "other", 2)
        await world.until(lambda: other.got == [2])
        bob.node.fabric.on_delivery(TOPIC, taker)
        took = await world.until(lambda: taker.got == [1], within_s=30)
        assert took > 2, "it was not sent again at once"


async def test_a_handler_that_raises_is_called_again_and_others_pass(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        taker = Taker(failures=3)
        bob.node.fabric.on_delivery(TOPIC, taker)
        for number in range(4):
            await alice.node.fabric.deliver(bob.id, TOPIC, number)
        await world.until(lambda: len(taker.got) == 4, within_s=30)
        assert sorted(taker.got) == [0, 1, 2, 3]  # type: ignore[type-var]  # numbers
        assert waiting(alice) == 0


async def test_a_commit_happens_once_though_the_node_dies_at_any_moment_around_it(autojump_clock: MockClock) -> None:
    """Crashes, at both sides and at many moments, while a handler counts in the store what it was given."""
    async with World(seed=3) as world:
        alice, bob = await pair(world)

        def take() -> None:
            node = bob.node

            async def count(delivery: Delivery) -> None:
                name = str(delivery.body)
                known = await bob.kv.get("counts", name)
                await trio.sleep(world.rng.random() / 50)
                await delivery.commit([Put("counts", name, b"%d" % (1 + int(known.value if known else b"0")))])
                await trio.sleep(world.rng.random() / 50)

            node.fabric.on_delivery_commit(TOPIC, count)

        take()
        for number in range(300):
            if not both(alice, bob) and number % 10 == 0:
                await world.until(lambda: both(alice, bob), within_s=200)
            await alice.node.fabric.deliver(bob.id, TOPIC, number)
            await trio.sleep(world.rng.random() / 20)
            if world.rng.random() < 0.05:
                victim = world.rng.choice([alice, bob])
                await victim.restart(silent=False)
                take() if victim is bob else None
        await world.until(lambda: waiting(alice) == 0, within_s=600)
        await world.until(lambda: bob.node.fabric.facts()["inbox"] == 0, within_s=600)
        counts = {int(name): (await bob.kv.get("counts", name)) for name in await bob.kv.list("counts")}
        assert sorted(counts) == list(range(300))
        assert {entry.value for entry in counts.values() if entry} == {b"1"}


async def test_a_delivery_is_handled_once_where_its_acknowledgement_was_lost(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        taker = Taker()
        bob.node.fabric.on_delivery(TOPIC, taker)
        line = bob.node.fabric.lines.get(alice.id)
        assert line is not None
        line.session.acknowledge = lambda outbox, number: None  # type: ignore[method-assign]  # lost on its way
        await alice.node.fabric.deliver(bob.id, TOPIC, "tea")
        await world.until(lambda: taker.got == ["tea"])
        assert waiting(alice) == 1
        world.network.cut(alice.host, bob.host)
        await world.until(lambda: waiting(alice) == 0, within_s=100)
        await world.run_for(10)
        assert taker.got == ["tea"]


async def test_deliveries_pass_a_partition_when_it_heals(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        taker = Taker()
        bob.node.fabric.on_delivery(TOPIC, taker)
        world.partition([alice], [bob])
        for number in range(20):
            await alice.node.fabric.deliver(bob.id, TOPIC, number)
        await world.run_for(300)
        assert taker.got == []
        world.heal()
        await world.until(lambda: len(taker.got) == 20, within_s=300)
        assert taker.got == list(range(20))


async def test_the_outbox_is_bounded_and_what_is_dropped_never_comes(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        await bob.crash()
        ids = [await alice.node.fabric.deliver(bob.id, TOPIC, number) for number in range(outbox_module.WAITING)]
        with pytest.raises(UnavailableError) as caught:
            await alice.node.fabric.deliver(bob.id, TOPIC, "one more")
        assert caught.value.code == "fabric.outbox-full"
        assert await alice.call("outbox.drop", ids=ids[1:]) == {"deliveries": outbox_module.WAITING - 1}
        with pytest.raises(UsageError) as refused:
            await alice.call("outbox.drop", ids=ids[1:2])
        assert refused.value.code == "fabric.no-delivery"
        taker = Taker()
        await bob.start()
        bob.node.fabric.on_delivery(TOPIC, taker)
        await alice.call("outbox.retry")
        await world.until(lambda: taker.got == [0], within_s=200)
        await alice.restart()
        await world.until(lambda: both(alice, bob), within_s=200)
        await world.run_for(30)
        assert taker.got == [0]
        big = bytes(1_000_000)
        fits = outbox_module.WAITING_BYTES // 1_000_005
        for _ in range(fits):
            await alice.node.fabric.deliver(bob.id, "other", big)
        with pytest.raises(UnavailableError):
            await alice.node.fabric.deliver(bob.id, "other", big)
        assert waiting(alice) == fits


async def test_a_flood_of_deliveries_fills_the_receivers_inbox_to_its_bound(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "WAITING", 20)
    async with World() as world:
        alice, bob = await pair(world)
        started = trio.Event()

        async def hang(origin: NodeId, body: object) -> None:
            started.set()
            await trio.sleep_forever()

        end = bob.node.fabric.on_delivery(TOPIC, hang)
        for number in range(50):
            await alice.node.fabric.deliver(bob.id, TOPIC, number)
        await started.wait()
        await world.run_for(3)
        assert bob.node.fabric.facts()["inbox"] == 20
        assert {one.code for one in alice.node.fabric.outbox.all()} == {"fabric.inbox-full"}
        end()
        taker = Taker()
        bob.node.fabric.on_delivery(TOPIC, taker)
        await world.until(lambda: len(taker.got) == 50, within_s=2000)
        assert sorted(taker.got) == list(range(50))  # type: ignore[type-var]  # numbers


async def test_a_store_that_was_put_back_begins_a_numbering_of_its_own(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        taker = Taker()
        bob.node.fabric.on_delivery(TOPIC, taker)
        before = await alice.node.fabric.deliver(bob.id, TOPIC, "before")
        await world.until(lambda: taker.got == ["before"])
        for name in await alice.kv.list("outbox"):  # as in a copy of the store from before the delivery
            await alice.kv.delete("outbox", name)
        await alice.restart()
        await world.until(lambda: both(alice, bob), within_s=200)
        after = await alice.node.fabric.deliver(bob.id, TOPIC, "after")
        assert after.partition("-")[0] != before.partition("-")[0]
        await world.until(lambda: taker.got == ["before", "after"])
        alice.disk = b"another disk"
        await alice.restart()
        await world.until(lambda: both(alice, bob), within_s=200)
        assert (await alice.node.fabric.deliver(bob.id, TOPIC, "copy")).partition("-")[0] != after.partition("-")[0]
        await world.until(lambda: taker.got[2:] == ["copy"])


async def test_who_may_not_send_messages_delivers_nothing_until_it_may(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        taker = Taker()
        bob.node.fabric.on_delivery(TOPIC, taker)
        scopes = bob.node.trust.scopes(alice.id)
        bob.node.trust.set(alice.id, {Scope.CONNECT})
        await alice.node.fabric.deliver(bob.id, TOPIC, "tea")
        await world.run_for(3)
        assert [one.code for one in alice.node.fabric.outbox.all()] == ["fabric.out-of-scope"]
        bob.node.trust.set(alice.id, scopes)
        await world.until(lambda: taker.got == ["tea"])


async def test_a_store_that_fails_keeps_nothing_and_acknowledges_nothing(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        taker = Taker()
        bob.node.fabric.on_delivery(TOPIC, taker)
        write = bob.kv.write

        async def fail(*args: object) -> list[int]:
            await trio.lowlevel.checkpoint()
            raise UnavailableError("store.closed")

        bob.kv.write = fail  # type: ignore[method-assign,assignment]  # the disk is full
        await alice.node.fabric.deliver(bob.id, TOPIC, "tea")
        await world.run_for(3)
        assert [one.code for one in alice.node.fabric.outbox.all()] == ["fabric.not-kept"]
        bob.kv.write = write  # type: ignore[method-assign]
        await world.until(lambda: taker.got == ["tea"])
        await world.until(lambda: waiting(alice) == 0)


@pytest.mark.parametrize(("topic", "body"), [("a.*", 1), ("", 1), ("a", {1: 2}), ("a", object())])
async def test_what_cannot_be_delivered_is_refused_at_once(topic: str, body: object, autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        with pytest.raises(UsageError):
            await alice.node.fabric.deliver(bob.id, topic, body)
        with pytest.raises(NzError) as caught:
            await alice.node.fabric.deliver(NodeId(bytes(32)), "a", 1)
        assert caught.value.code == "fabric.unknown-peer"
        assert waiting(alice) == 0


async def test_one_handler_takes_a_topic_and_commits_once(autojump_clock: MockClock) -> None:
    async with World() as world:
        alice, bob = await pair(world)
        errors: list[NzError] = []

        async def twice(delivery: Delivery) -> None:
            await delivery.commit()
            try:
                await delivery.commit()
            except UsageError as error:
                errors.append(error)

        end = bob.node.fabric.on_delivery_commit(TOPIC, twice)
        with pytest.raises(UsageError):
            bob.node.fabric.on_delivery(TOPIC, Taker())
        await alice.node.fabric.deliver(bob.id, TOPIC, 1)
        await world.until(lambda: bool(errors))
        assert errors[0].code == "fabric.already-committed"
        end()
        bob.node.fabric.on_delivery(TOPIC, Taker())
