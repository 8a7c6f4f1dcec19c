"""A thousand seeded faults in services, handlers and subscribers; the supervisor and the innocent serve on."""

import random

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import UnavailableError
from nzcore.kernel import Backoff, Bus, Restart, Service, State, Strategy, Supervisor

FAULTS = 1000


class Faulty(Service):
    """Each life ends in a fault of its own kind, in init, before or after readiness, in check or in stop."""

    restart = Restart.PERMANENT
    init_timeout_s = start_timeout_s = stop_timeout_s = check_interval_s = check_timeout_s = 1.0

    def __init__(self, name: str, requires: tuple[str, ...], rng: random.Random, count) -> None:
        self.name, self.requires, self.rng, self.count = name, requires, rng, count
        self.inside = 0
        self.sick = False

    async def fault(self) -> None:
        self.count()
        match self.rng.randrange(7):
            case 0:
                raise ValueError("fault")
            case 1:
                raise SystemExit(1)
            case 2:
                raise ExceptionGroup("faults", [OSError(), KeyError("a")])
            case 3:
                with trio.fail_after(0.1):
                    await trio.sleep_forever()
            case 4:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    nursery.start_soon(self.child)
            case 5:
                await trio.sleep_forever()  # until a bound or the watchdog ends it
            case 6:
                return

    async def child(self) -> None:
        raise BaseExceptionGroup("child", [GeneratorExit()])

    async def init(self, ctx) -> None:
        self.ctx = ctx
        self.sick = False
        if self.rng.random() < 0.2:
            await self.fault()

    async def start(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        self.inside += 1
        try:
            if self.rng.random() < 0.2:
                await self.fault()
            task_status.started()
            if self.rng.random() < 0.3:
                self.ctx.nursery.start_soon(self.fault)
            await trio.sleep(self.rng.random() * 3)
            self.sick = True
            await self.fault()
        finally:
            self.inside -= 1

    async def check(self) -> None:
        if self.sick or self.rng.random() < 0.1:
            await self.fault()

    async def stop(self) -> None:
        if self.rng.random() < 0.3:
            await self.fault()


class Innocent(Service):
    name = "innocent"
    ticks = 0

    async def start(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            await trio.sleep(1)
            self.ticks += 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ONE, Strategy.REST_FOR_ONE])
def test_a_thousand_faults_later_the_supervisor_serves_on(seed, strategy):
    rng = random.Random(seed)
    faults = 0
    enough = trio.Event()

    def count() -> None:
        nonlocal faults
        faults += 1
        if faults >= FAULTS:
            enough.set()

    innocent = Innocent()
    services = [
        Faulty(f"f{at}", tuple(f"f{below}" for below in range(at) if rng.random() < 0.3), rng, count) for at in range(8)
    ]
    bus = Bus()

    async def raise_now(_event) -> None:
        if rng.random() < 0.1:
            count()
            raise ValueError("handler")

    async def give_up_now_and_then() -> None:
        while True:
            try:
                async with bus.subscribe("service.**", capacity=2, overflow="error") as events:
                    async for _ in events:
                        await trio.sleep(rng.random() * 2)
            except UnavailableError:
                count()

    async def main() -> None:
        supervisor = Supervisor(
            [innocent, *services], strategy=strategy, intensity=10**6, backoff=Backoff(0.05, 1.5, 1.0), bus=bus, rng=rng
        )
        async with trio.open_nursery() as nursery, bus.subscribe("service.innocent.*") as told:
            nursery.start_soon(bus.handle, "service.**", raise_now)
            nursery.start_soon(give_up_now_and_then)
            async with supervisor:
                with trio.fail_after(100_000):
                    await enough.wait()
                before, begun = innocent.ticks, trio.current_time()
                await trio.sleep(10.5)
                assert innocent.ticks - before >= 10, f"the innocent stood still at {begun}"
                info = supervisor.info("innocent")
                assert (info.state, info.restarts) == (State.RUNNING, 0)
                assert all(one.state is not State.FAILED for one in supervisor.list())
            words = [(await told.receive()).topic for _ in range(5)]
            assert [word.rpartition(".")[2] for word in words] == [
                "waiting", "starting", "running", "stopping", "stopped",
            ]  # fmt: skip
            nursery.cancel_scope.cancel()
        assert {one.state for one in supervisor.list()} == {State.STOPPED}
        assert [service.inside for service in services] == [0] * len(services)
        assert bus.stats().subscriptions == ()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert faults >= FAULTS
