"""The supervisor as a whole: order, runtime changes, cancellation, what leaves the block."""

import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from nzcore.base.errors import UsageError
from nzcore.kernel import Backoff, Group, Service, State, Strategy, Supervisor


class Ordered(Service):
    """Writes its beginning and end into a shared log, and takes some time for both."""

    def __init__(self, name: str, *requires: str, log: list[str] | None = None, delay: float = 0.0) -> None:
        self.name, self.requires, self.log, self.delay = name, requires, [] if log is None else log, delay

    async def start(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        await trio.sleep(self.delay)
        self.log.append(f"+{self.name}")
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self.log.append(f"-{self.name}")

    async def stop(self) -> None:
        await trio.sleep(self.delay)


def run(main, *args):
    return trio.run(main, *args, clock=MockClock(autojump_threshold=0))


graphs = st.lists(
    st.tuples(st.sets(st.integers(0, 7), max_size=3), st.floats(0, 2)), min_size=1, max_size=8
)  # each: whom of those before it it requires, and its delay


def services_of(graph, log) -> list[Ordered]:
    return [
        Ordered(f"s{at}", *(f"s{below}" for below in sorted(requires) if below < at), log=log, delay=delay)
        for at, (requires, delay) in enumerate(graph)
    ]


def assert_ordered(log, services) -> None:
    for service in services:
        for below in service.requires:
            if f"+{service.name}" in log:
                assert log.index(f"+{below}") < log.index(f"+{service.name}")
                assert log.index(f"-{service.name}") < log.index(f"-{below}")


@settings(max_examples=60, deadline=None)
@given(graphs, st.randoms(use_true_random=False))
def test_any_graph_starts_dependencies_first_and_stops_them_last(graph, rng):
    log: list[str] = []
    services = services_of(graph, log)
    shuffled = list(services)
    rng.shuffle(shuffled)

    async def main() -> None:
        async with Supervisor(shuffled) as supervisor:
            assert {info.state for info in supervisor.list()} == {State.RUNNING}

    run(main)
    assert len(log) == 2 * len(services)
    assert_ordered(log, services)


@settings(max_examples=100, deadline=None)
@given(graphs, st.floats(0, 6), st.integers(0, 12), st.sampled_from(list(Strategy)), st.integers(0, 2**32))
def test_cancelling_anywhere_stops_in_order_and_leaks_nothing(graph, at, ticks, strategy, seed):
    log: list[str] = []
    services = services_of(graph, log)
    rng = random.Random(seed)

    async def faults(supervisor: Supervisor) -> None:
        while True:
            await trio.sleep(rng.random())
            running = [info.name for info in supervisor.list() if info.state is State.RUNNING]
            if running:
                supervisor.crash(rng.choice(running))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(services, strategy=strategy, rng=rng, backoff=Backoff(0.05))
            nursery.start_soon(supervisor.run)
            nursery.start_soon(faults, supervisor)
            await trio.sleep(at)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert nursery.cancel_scope.cancelled_caught
        assert {info.state for info in supervisor.list()} <= {State.STOPPED, State.FAILED}
        assert supervisor.bus.stats().subscriptions == ()
        for service in services:
            assert log.count(f"+{service.name}") == log.count(f"-{service.name}")

    run(main)


async def test_independent_services_start_and_stop_at_the_same_time(autojump_clock):
    async with Supervisor([Ordered(f"s{at}", delay=3.0) for at in range(20)]):
        assert trio.current_time() == 3
    assert trio.current_time() == 6


async def test_cancellation_stops_in_order_and_passes_through(autojump_clock):
    log: list[str] = []
    services = [Ordered("a", log=log, delay=1.0), Ordered("b", "a", log=log, delay=1.0)]
    with trio.CancelScope() as scope:
        async with Supervisor(services):
            scope.cancel()
            try:
                await trio.sleep_forever()
            finally:
                assert log == ["+a", "+b"]
    assert scope.cancelled_caught
    assert log == ["+a", "+b", "-b", "-a"]
    assert trio.current_time() == 4


async def test_the_bodys_error_leaves_as_it_is(autojump_clock):
    with pytest.raises(ValueError, match="mine"):
        async with Supervisor([Ordered("a")]):
            raise ValueError("mine")


async def test_the_whole_shutdown_is_bounded(autojump_clock):
    class Slow(Ordered):
        stop_timeout_s = 1000.0

    services = [Slow("a", delay=0.0), Slow("b", "a", delay=0.0)]
    async with Supervisor(services, shutdown_timeout_s=7.0):
        for service in services:
            service.delay = 500.0
    assert trio.current_time() == 7


async def test_a_failure_stops_dependants_and_the_rest_serves_on(autojump_clock):
    services = [Ordered("store"), Ordered("chat", "store"), Ordered("ui", "chat"), Ordered("clock")]
    async with Supervisor(services, intensity=0) as supervisor:
        supervisor.crash("store")
        await trio.sleep(1)
        assert [str(info.state) for info in supervisor.list()] == ["failed", "stopped", "stopped", "running"]
        assert supervisor.info("ui").held_by == "store"
        failed, *held = supervisor.problems()
        assert failed.startswith("store failed: ")
        assert held == ["chat is stopped because store failed", "ui is stopped because store failed"]
        await supervisor.start_service("store")
        await trio.sleep(1)
        assert supervisor.healthy
        assert {info.state for info in supervisor.list()} == {State.RUNNING}


async def test_services_come_and_go_at_runtime(autojump_clock):
    async with Supervisor([Ordered("a")]) as supervisor:
        supervisor.add(Ordered("c", "b"), Ordered("b", "a"))
        await supervisor.start_service("c")
        assert [info.name for info in supervisor.list()] == ["a", "b", "c"]
        with pytest.raises(UsageError) as refusal:
            await supervisor.remove("b")
        assert refusal.value.code == "kernel.has-dependants"
        with pytest.raises(UsageError):
            supervisor.add(Ordered("d", "nobody"))
        with pytest.raises(UsageError):
            supervisor.add(Ordered("d"), Ordered("a"))
        await supervisor.remove("c")
        await supervisor.remove("b")
        assert [info.name for info in supervisor.list()] == ["a"]


async def test_a_supervisor_is_opened_once_and_refuses_work_when_closed():
    supervisor = Supervisor([Ordered("a")])
    with pytest.raises(UsageError) as refusal:
        await supervisor.start_service("a")
    assert refusal.value.code == "kernel.not-open"
    async with supervisor:
        with pytest.raises(UsageError):
            await supervisor.__aenter__()
    for ask in (supervisor.start_service, supervisor.restart_service):
        with pytest.raises(UsageError) as refusal:
            await ask("a")
        assert refusal.value.code == "kernel.not-open"


async def test_asking_for_what_is_so_already_returns(autojump_clock):
    async with Supervisor([Ordered("a")]) as supervisor:
        await supervisor.start_service("a")
        await supervisor.stop_service("a")
        await supervisor.stop_service("a")
        assert supervisor.healthy
        await supervisor.restart_service("a")
        assert supervisor.info("a").state is State.RUNNING


async def test_a_seeded_generator_makes_runs_repeat():
    def one(seed: int) -> list[tuple[str, float]]:
        async def main() -> list[tuple[str, float]]:
            supervisor = Supervisor([Ordered("a")], rng=random.Random(seed))
            async with supervisor.bus.subscribe("service.**") as events, supervisor:
                for _ in range(3):
                    supervisor.crash("a")
                    await trio.sleep(5)
                return [(event.topic, event.at) for event in [await events.receive() for _ in range(15)]]

        return await_in_thread(main)

    def await_in_thread(main):
        return run(main)

    results = await trio.to_thread.run_sync(lambda: [one(1), one(1), one(2)])
    assert results[0] == results[1]
    assert results[0] != results[2]


async def test_a_group_mends_itself_and_passes_on_what_it_cannot_mend(autojump_clock):
    log: list[str] = []
    members = [Ordered("store", log=log), Ordered("index", "store", log=log)]
    group = Group("data", members, intensity=1, backoff=Backoff(1.0, jitter=0.0))
    chat = Ordered("chat", "data", log=log)
    async with Supervisor([chat, group], backoff=Backoff(10.0, jitter=0.0)) as supervisor:
        assert log == ["+store", "+index", "+chat"]
        inner = group._supervisor
        inner.crash("store")
        await trio.sleep(2)
        assert log[3:] == ["-store", "-index", "+store", "+index"] or log[3:] == [
            "-index",
            "-store",
            "+store",
            "+index",
        ]
        assert supervisor.info("data").restarts == 0
        assert supervisor.info("data").facts == {"store": "running", "index": "running"}
        inner.crash("store")
        await trio.sleep(5)
        assert supervisor.info("data").state is State.BACKOFF
        assert "store failed" in supervisor.info("data").last_error
        await trio.sleep(10)
        assert supervisor.info("data").state is State.RUNNING
        del log[:]
    assert log == ["-chat", "-index", "-store"]


async def test_a_group_whose_member_cannot_start_is_not_ready(autojump_clock):
    class Broken(Service):
        name = "broken"

        async def init(self, ctx) -> None:
            raise OSError("no disk")

    async with Supervisor([Group("data", [Broken()], intensity=0)], intensity=0) as supervisor:
        await trio.sleep(1)
        assert supervisor.info("data").state is State.FAILED
        assert "no disk" in supervisor.info("data").last_error
        assert Group("idle", []).status() == {}
