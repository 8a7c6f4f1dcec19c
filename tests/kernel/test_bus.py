"""The bus: bounded queues, named overflow, counted losses, nothing left behind."""

import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.kernel import Bus, Event
from nzcore.kernel.bus import BREATH, ROUTES


def queued(bus: Bus) -> list[int]:
    return [one.queued for one in bus.stats().subscriptions]


async def test_every_matching_subscriber_gets_every_event_in_order():
    bus = Bus()
    async with bus.subscribe("a.*") as narrow, bus.subscribe("**") as wide:
        for number in range(3):
            bus.emit("a.b", number)
            bus.emit("c", number)
        assert [(await narrow.receive()).value for _ in range(3)] == [0, 1, 2]
        assert [(await wide.receive()).topic for _ in range(6)] == ["a.b", "c"] * 3


async def test_an_event_carries_the_time_of_the_runs_clock(autojump_clock):
    bus = Bus()
    async with bus.subscribe("a") as events:
        await trio.sleep(5)
        bus.emit("a")
        assert await events.receive() == ("a", None, trio.current_time())


async def test_events_are_frozen_and_refuse_mutable_values():
    bus = Bus()
    for value in ([], {}, set(), bytearray()):
        with pytest.raises(UsageError) as refusal:
            bus.emit("a", value)
        assert refusal.value.code == "kernel.mutable-event"
        with pytest.raises(UsageError):
            await bus.publish("a", value)
    async with bus.subscribe("a") as events:
        bus.emit("a", (1, 2))
        event = await events.receive()
    assert isinstance(event, Event)
    with pytest.raises(AttributeError):
        event.value = 3


async def test_drop_oldest_keeps_the_newest_and_counts_the_rest():
    bus = Bus()
    async with bus.subscribe("a", capacity=2, overflow="drop_oldest") as events:
        for number in range(5):
            bus.emit("a", number)
        assert [(await events.receive()).value for _ in range(2)] == [3, 4]
        assert events.dropped == 3
    assert bus.stats().dropped == 3


async def test_losses_are_told_at_powers_of_two_and_never_echo():
    bus = Bus()
    async with (
        bus.subscribe("bus.dropped") as reports,
        bus.subscribe("**", capacity=1, overflow="drop_oldest", name="slow"),
    ):
        for _ in range(9):
            bus.emit("a")
        told = [await reports.receive() for _ in range(queued(bus)[0])]
    assert all(event.value.subscriber == "slow" for event in told)
    counts = [event.value.dropped for event in told]
    assert counts[0] == 1
    assert all(count & (count - 1) == 0 for count in counts)
    assert len(told) <= 5


async def test_an_error_subscriber_gets_what_it_holds_and_then_the_error():
    bus = Bus()
    async with bus.subscribe("a", capacity=2, overflow="error") as strict, bus.subscribe("a") as other:
        for number in range(4):
            bus.emit("a", number)
        assert [(await strict.receive()).value for _ in range(2)] == [0, 1]
        bus.emit("a", 4)  # room again, but a gap would be silent
        for _ in range(2):
            with pytest.raises(UnavailableError) as told:
                await strict.receive()
            assert told.value.code == "kernel.overrun"
        assert strict.dropped == 3
        assert [(await other.receive()).value for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_emit_to_a_full_block_subscriber_is_counted_not_awaited():
    bus = Bus()
    async with bus.subscribe("a", capacity=2) as events:
        for number in range(3):
            bus.emit("a", number)
        assert events.dropped == 1
        assert [(await events.receive()).value for _ in range(2)] == [0, 1]


async def test_publish_waits_for_a_block_subscriber_and_loses_nothing(nursery):
    bus = Bus()
    publishers = 5

    async def publish(first: int) -> None:
        for number in range(first, first + 100):
            await bus.publish("a", number)

    async with bus.subscribe("a", capacity=3) as events:
        for index in range(publishers):
            nursery.start_soon(publish, index * 100)
        await wait_all_tasks_blocked()
        assert queued(bus) == [3 + publishers]
        got = [(await events.receive()).value for _ in range(publishers * 100)]
        assert events.dropped == 0
    assert sorted(got) == list(range(publishers * 100))
    for index in range(publishers):  # one publisher's events keep their order
        mine = [value for value in got if value // 100 == index]
        assert mine == sorted(mine)


async def test_publish_does_not_wait_for_those_who_drop_or_break():
    bus = Bus()
    async with (
        bus.subscribe("a", capacity=1, overflow="drop_oldest") as newest,
        bus.subscribe("a", capacity=1, overflow="error") as strict,
    ):
        for number in range(3):
            await bus.publish("a", number)
        assert (await newest.receive()).value == 2
        assert (await strict.receive()).value == 0
        assert (newest.dropped, strict.dropped) == (2, 2)


async def test_cancelled_publishers_leave_nothing_over_capacity(autojump_clock):
    bus = Bus()
    async with bus.subscribe("a", capacity=2) as events:
        bus.emit("a", "first")
        bus.emit("a", "second")
        for number in range(50):
            with trio.move_on_after(0.1) as patience:
                await bus.publish("a", number)
            assert patience.cancelled_caught
        assert queued(bus) == [2]
        assert [(await events.receive()).value for _ in range(2)] == ["first", "second"]


async def test_a_publisher_cancelled_at_one_full_queue_takes_its_event_back_from_all(nursery):
    bus = Bus()
    async with bus.subscribe("a", capacity=1), bus.subscribe("a", capacity=1), bus.subscribe("a", capacity=9):
        bus.emit("a", 0)
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_blocked, scope)
            await bus.publish("a", 1)
        assert queued(bus) == [1, 1, 2]


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_publishers_whose_events_were_taken_go_on_when_later_ones_are_cancelled(nursery):
    bus = Bus()
    done = []

    async def publish(number: int, scope: trio.CancelScope) -> None:
        with scope:
            await bus.publish("a", number)
            done.append(number)

    async with bus.subscribe("a", capacity=2) as events:
        bus.emit("a", 0)
        bus.emit("a", 1)
        scopes = [trio.CancelScope() for _ in range(3)]
        for number, scope in enumerate(scopes, start=2):
            nursery.start_soon(publish, number, scope)
            await wait_all_tasks_blocked()
        assert [(await events.receive()).value for _ in range(3)] == [0, 1, 2]
        assert done == []
        for scope in scopes[1:]:
            scope.cancel()
        await wait_all_tasks_blocked()
        assert (queued(bus), done) == ([0], [2])


async def test_a_subscriber_that_leaves_frees_the_publishers_it_held(nursery):
    bus = Bus()
    done = trio.Event()

    async def publish() -> None:
        await bus.publish("a", 1)
        done.set()

    async with bus.subscribe("a", capacity=1):
        bus.emit("a", 0)
        nursery.start_soon(publish)
        await wait_all_tasks_blocked()
        assert not done.is_set()
    await done.wait()
    assert bus.stats().subscriptions == ()


async def test_a_cancelled_receiver_loses_no_event(nursery):
    bus = Bus()
    async with bus.subscribe("a") as events:
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_blocked, scope)
            await events.receive()
        assert scope.cancelled_caught
        bus.emit("a", 1)
        assert (await events.receive()).value == 1


async def test_iterating_a_full_queue_yields_to_others_now_and_then(nursery):
    bus = Bus()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with bus.subscribe("a", capacity=BREATH * 8) as events:
        for number in range(BREATH * 8):
            bus.emit("a", number)
        nursery.start_soon(count_turns)
        for _ in range(BREATH * 8):
            await events.receive()
        nursery.cancel_scope.cancel()
    assert 4 <= turns <= 12


async def test_publishing_to_nobody_yields_now_and_then_and_can_be_cancelled():
    bus = Bus()
    with trio.CancelScope() as scope:
        scope.cancel()
        for _ in range(BREATH + 1):
            await bus.publish("a")
    assert scope.cancelled_caught


async def test_two_readers_of_one_subscription_are_refused(nursery):
    bus = Bus()
    async with bus.subscribe("a") as events:
        nursery.start_soon(events.receive)
        await wait_all_tasks_blocked()
        with pytest.raises(UsageError) as refusal:
            await events.receive()
        assert refusal.value.code == "kernel.busy-subscription"
        with pytest.raises(UsageError):
            await events.__aenter__()
        bus.emit("a")
        await wait_all_tasks_blocked()


async def test_a_subscription_outside_its_block_is_refused(nursery):
    bus = Bus()
    events = bus.subscribe("a")
    for _ in range(2):
        with pytest.raises(UsageError) as refusal:
            await events.receive()
        assert refusal.value.code == "kernel.not-subscribed"
        if not bus.stats().emitted:
            async with events:
                bus.emit("a")


async def test_a_waiting_reader_learns_that_its_subscription_closed():
    bus = Bus()
    codes = []

    async def read(events) -> None:
        try:
            await events.receive()
        except UsageError as refusal:
            codes.append(refusal.code)

    async with trio.open_nursery() as nursery, bus.subscribe("a") as events:
        nursery.start_soon(read, events)
        await wait_all_tasks_blocked()
    assert codes == ["kernel.not-subscribed"]


def test_senseless_subscriptions_are_refused():
    bus = Bus()
    for arguments, code in (
        ({"capacity": 0}, "kernel.bad-capacity"),
        ({"overflow": "lose"}, "kernel.bad-overflow"),
    ):
        with pytest.raises(UsageError) as refusal:
            bus.subscribe("a", **arguments)
        assert refusal.value.code == code
    with pytest.raises(UsageError):
        bus.subscribe("a..b")


async def test_invented_topics_do_not_fill_memory_and_new_subscribers_see_old_topics():
    bus = Bus()
    for number in range(ROUTES + 10):
        bus.emit(f"a.{number}")
    assert len(bus._routes) <= ROUTES
    bus.emit("b")
    async with bus.subscribe("b") as events:
        bus.emit("b", 1)
        assert (await events.receive()).value == 1
    bus.emit("b", 2)


async def test_a_raising_handler_harms_one_event_only(nursery):
    bus = Bus()
    seen = []

    async def handler(event: Event) -> None:
        seen.append(event.value)
        if event.topic == "a" and event.value % 2:
            raise ValueError("odd")

    async with bus.subscribe("bus.handler-failed") as failures:
        await nursery.start(lambda task_status: bus.handle("a", handler, name="odd", task_status=task_status))
        for number in range(6):
            bus.emit("a", number)
        told = [await failures.receive() for _ in range(3)]
        assert seen == list(range(6))
        assert {event.value for event in told} == {("a", "odd", "ValueError: odd")}
    assert bus.stats().handler_failures == 3
    nursery.cancel_scope.cancel()


async def test_a_handler_whose_error_has_no_text_harms_one_event_only(nursery):
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def handler(event: Event) -> None:
        raise Mute

    bus = Bus()
    async with bus.subscribe("bus.handler-failed") as failures:
        await nursery.start(lambda task_status: bus.handle("a", handler, task_status=task_status))
        for _ in range(2):
            bus.emit("a")
            assert (await failures.receive()).value.error == "Mute: (its text raised RuntimeError)"
    nursery.cancel_scope.cancel()


async def test_a_handler_of_failures_that_fails_does_not_echo(nursery):
    bus = Bus()

    async def handler(event: Event) -> None:
        raise ValueError

    await nursery.start(lambda task_status: bus.handle("**", handler, task_status=task_status))
    bus.emit("a")
    await wait_all_tasks_blocked()
    assert bus.stats().handler_failures == 2
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(20))
async def test_random_cancellations_leave_no_event_no_waiter_and_no_subscription(seed, autojump_clock):
    rng = random.Random(seed)
    bus = Bus()
    taken: list[int] = []
    published: set[int] = set()

    async def publish(first: int) -> None:
        for number in range(first, first + 30):
            with trio.move_on_after(rng.choice([0.01, 1, 100])):
                await bus.publish("a", number)
                published.add(number)

    async def read(events) -> None:
        while True:
            with trio.move_on_after(rng.choice([0.005, 0.5])):
                taken.append((await events.receive()).value)
            if rng.random() < 0.3:
                await trio.sleep(rng.random() / 10)

    async with bus.subscribe("a", capacity=rng.randint(1, 4)) as events:
        async with trio.open_nursery() as reader:
            reader.start_soon(read, events)
            async with trio.open_nursery() as nursery:
                for index in range(4):
                    nursery.start_soon(publish, index * 30)
            await trio.sleep(60)
            assert queued(bus) == [0]
            reader.cancel_scope.cancel()
        assert events.dropped == 0
        assert not events._publishers
        assert events._waiter is None
    assert len(taken) == len(set(taken))
    assert published <= set(taken)
    assert bus.stats().subscriptions == ()
