"""One life of one service under a supervisor: bounds, watchdog, crash boundary, interrupts."""

import random
import signal

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.kernel import Backoff, Bus, Context, Restart, Service, State, Supervisor

PLAIN = Backoff(initial_s=1.0, factor=1.0, max_s=1.0, jitter=0.0)


class Script(Service):
    """Does what the test says, in each phase."""

    name = "script"
    restart = Restart.TRANSIENT
    check_interval_s = 10.0
    start_timeout_s = 3.0
    init_timeout_s = 2.0
    stop_timeout_s = 4.0

    def __init__(self, body=None, **attributes) -> None:
        self.body = body
        self.lives = 0
        self.ends = 0
        self.ctx: Context | None = None
        for field, value in attributes.items():
            setattr(self, field, value)

    async def init(self, ctx: Context) -> None:
        self.ctx = ctx
        self.lives += 1

    async def start(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        try:
            if self.body:
                await self.body(self, task_status)
            else:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self.ends += 1


def supervise(*services: Service, **options) -> Supervisor:
    return Supervisor(services, backoff=PLAIN, rng=random.Random(7), **{"intensity": 1, **options})


async def failed_with(service: Service) -> str:
    async with supervise(service, intensity=0) as supervisor:
        await trio.sleep(100)
        assert supervisor.info(service.name).state is State.FAILED
        assert not supervisor.healthy
        assert supervisor.problems() == (f"{service.name} failed: {supervisor.info(service.name).last_error}",)
        return supervisor.info(service.name).last_error


async def test_entering_returns_when_everything_is_ready(autojump_clock):
    async def slow(self, task_status) -> None:
        await trio.sleep(2)
        task_status.started()
        await trio.sleep_forever()

    service = Script(slow)
    async with supervise(service) as supervisor:
        assert trio.current_time() == 2
        assert supervisor.info("script").state is State.RUNNING
        assert supervisor.info("script").since == 2
    assert (service.lives, service.ends) == (1, 1)


async def test_readiness_too_late_is_a_failure_and_the_start_is_cancelled(autojump_clock):
    async def never(self, task_status) -> None:
        await trio.sleep_forever()

    service = Script(never)
    assert "kernel.start-timeout" in await failed_with(service)
    assert service.ends == 1


async def test_a_long_life_after_readiness_has_no_deadline(autojump_clock):
    async with supervise(Script()) as supervisor:
        await trio.sleep(10_000)
        assert supervisor.info("script").restarts == 0


async def test_returning_before_ready_is_abnormal(autojump_clock):
    async def hasty(self, task_status) -> None:
        await trio.sleep(1)

    assert "kernel.never-ready" in await failed_with(Script(hasty))


async def test_an_init_that_hangs_or_raises_is_a_failure(autojump_clock):
    class Hanging(Script):
        async def init(self, ctx) -> None:
            await trio.sleep_forever()

    class Raising(Script):
        async def init(self, ctx) -> None:
            raise OSError("no disk")

    assert "kernel.init-timeout" in await failed_with(Hanging())
    assert await failed_with(Raising()) == "OSError: no disk"


async def test_saying_ready_twice_is_a_failure(autojump_clock):
    async def eager(self, task_status) -> None:
        task_status.started()
        task_status.started()

    assert "kernel.started-twice" in await failed_with(Script(eager))


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SystemExit(3), GeneratorExit(), BaseExceptionGroup("both", [ValueError("x"), SystemExit(1)])],
    ids=repr,
)
async def test_whatever_a_service_raises_harms_itself_only(error, autojump_clock):
    async def raising(self, task_status) -> None:
        task_status.started()
        await trio.sleep(1)
        raise error

    async with supervise(Script(raising), Script(name="other"), intensity=0) as supervisor:
        await trio.sleep(50)
        assert supervisor.info("script").state is State.FAILED
        assert supervisor.info("other").state is State.RUNNING
        assert supervisor.info("other").restarts == 0


async def test_a_task_in_the_services_nursery_that_raises_ends_the_service(autojump_clock):
    async def child() -> None:
        await trio.sleep(1)
        raise ValueError("from a child")

    async def parent(self, task_status) -> None:
        self.ctx.nursery.start_soon(child)
        task_status.started()
        await trio.sleep_forever()

    service = Script(parent)
    assert await failed_with(service) == "ValueError: from a child"
    assert service.ends == 1


async def test_a_return_ends_the_services_own_tasks_and_is_normal(autojump_clock):
    ended = []

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async def parent(self, task_status) -> None:
        self.ctx.nursery.start_soon(child)
        task_status.started()
        await trio.sleep(5)

    async with supervise(Script(parent)) as supervisor:
        await trio.sleep(6)
        info = supervisor.info("script")
        assert (info.state, info.last_error, ended) == (State.STOPPED, "", [5])
        assert supervisor.healthy


async def test_a_cancelled_from_another_scope_is_a_crash_not_a_cancellation(autojump_clock):
    kept = []

    async def keeps_a_cancelled(self, task_status) -> None:
        task_status.started()
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                kept.append(cancelled)
        await trio.sleep(1)
        raise kept.pop()

    assert "kernel.cut-short" in await failed_with(Script(keeps_a_cancelled))


async def test_a_service_that_cancels_its_own_nursery_has_not_ended_normally(autojump_clock):
    async def cuts(self, task_status) -> None:
        task_status.started()
        self.ctx.nursery.cancel_scope.cancel()
        await trio.sleep_forever()

    assert "kernel.cut-short" in await failed_with(Script(cuts))


async def test_an_error_whose_text_raises_is_reported_all_the_same(autojump_clock):
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def raising(self, task_status) -> None:
        raise Rude

    assert "RuntimeError" in await failed_with(Script(raising))


async def test_keyboard_interrupt_stops_everything_in_order_and_is_raised_again(autojump_clock):
    async def interrupted(self, task_status) -> None:
        task_status.started()
        await trio.sleep(1)
        raise KeyboardInterrupt

    ends = []

    class Ordered(Script):
        async def start(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                ends.append(self.name)

    with pytest.raises(KeyboardInterrupt):
        async with supervise(Script(interrupted), Ordered(name="a"), Ordered(name="b", requires=("a",))):
            await trio.sleep_forever()
    assert trio.current_time() == 1
    assert ends == ["b", "a"]


async def test_ctrl_c_reaches_the_services_code_and_never_the_supervisors_bookkeeping(autojump_clock):
    protected = []

    class Watched(Script):
        async def start(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
            protected.append(trio.lowlevel.currently_ki_protected())
            await super().start(task_status)

    class Spied(Supervisor):
        def _now(self):
            if trio.lowlevel.current_task().name == "service script":
                protected.append(trio.lowlevel.currently_ki_protected())
            return super()._now()

    async with Spied([Watched(restart=Restart.TEMPORARY)]) as supervisor:
        assert protected == [False, False]  # start(), and started() up to the change it makes
        supervisor.crash("script")
        await supervisor.wait_change()
    assert protected[2:] == [True]


async def test_ctrl_c_during_the_shutdown_cancels_what_is_left_at_once(autojump_clock):
    class Slow(Script):
        stop_timeout_s = 1000.0

        async def stop(self) -> None:
            signal.raise_signal(signal.SIGINT)
            await trio.sleep(900)

    service = Slow()
    with pytest.raises(KeyboardInterrupt):
        async with supervise(service):
            pass
    assert trio.current_time() == 0
    assert service.ends == 1


def test_ctrl_c_that_reaches_the_closing_supervisor_itself_hurries_it_and_leaves_nothing():
    interrupt = trio.lowlevel.enable_ki_protection(lambda: signal.raise_signal(signal.SIGINT))
    first, second = Script(name="first", stop_timeout_s=1000.0), Script(name="second", requires=("first",))

    class Slow(Script):
        stop_timeout_s = 1000.0

        async def stop(self) -> None:
            interrupt()  # a protected frame: Trio hands it to the main task, which is closing the supervisor
            await trio.sleep(900)

    slow = Slow(name="slow", requires=("second",))

    async def main() -> None:
        async with supervise(first, second, slow):
            pass

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert [service.ends for service in (first, second, slow)] == [1, 1, 1]


def test_ctrl_c_in_the_body_stops_in_order_and_leaves_as_it_is():
    service = Script()

    async def main() -> None:
        async with supervise(service):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert service.ends == 1


@pytest.mark.parametrize("fault", ["raises", "hangs"])
async def test_the_watchdog_restarts_a_service_whose_check_fails(fault, autojump_clock):
    class Sick(Script):
        async def check(self) -> None:
            if self.lives == 1:
                if fault == "raises":
                    raise ValueError("sick")
                await trio.sleep_forever()

    service = Sick()
    async with supervise(service) as supervisor:
        await trio.sleep(10.5 if fault == "raises" else 15.5)
        info = supervisor.info("script")
        assert info.state is State.BACKOFF
        assert ("sick" if fault == "raises" else "kernel.hung") in info.last_error
        await trio.sleep(100)
        assert supervisor.info("script").state is State.RUNNING
        assert (service.lives, service.ends) == (2, 1)


async def test_stop_has_its_time_before_the_start_is_cancelled(autojump_clock):
    class Draining(Script):
        async def stop(self) -> None:
            await trio.sleep(3)
            assert self.ends == 0

    service = Draining()
    async with supervise(service) as supervisor:
        await supervisor.stop_service("script")
        assert trio.current_time() == 3
        assert (supervisor.info("script").state, supervisor.info("script").last_error) == (State.STOPPED, "")
        assert supervisor.healthy


async def test_a_start_that_returns_during_stop_leaves_stop_its_time(autojump_clock):
    class Draining(Script):
        async def start(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
            self.asked = trio.Event()
            task_status.started()
            await self.asked.wait()

        async def stop(self) -> None:
            self.asked.set()
            await trio.sleep(2)
            self.drained = trio.current_time()

    service = Draining()
    async with supervise(service):
        pass
    assert service.drained == trio.current_time() == 2


@pytest.mark.parametrize("fault", ["hangs", "raises", "exits"])
async def test_a_stop_that_fails_is_bounded_and_told(fault, autojump_clock):
    class Clinging(Script):
        async def stop(self) -> None:
            if fault == "raises":
                raise ValueError("clings")
            if fault == "exits":
                raise SystemExit
            await trio.sleep_forever()

    service = Clinging()
    async with supervise(service, Script(name="other")) as supervisor:
        await supervisor.stop_service("script")
        assert trio.current_time() == (4 if fault == "hangs" else 0)
        info = supervisor.info("script")
        assert info.state is State.STOPPED
        assert {"hangs": "kernel.stop-timeout", "raises": "clings", "exits": "SystemExit"}[fault] in info.last_error
        assert supervisor.info("other").state is State.RUNNING
    assert service.ends == 1


async def test_stop_is_not_called_on_a_service_that_was_never_ready(autojump_clock):
    async def slow(self, task_status) -> None:
        await trio.sleep_forever()

    class Picky(Script):
        async def stop(self) -> None:
            raise AssertionError("never ready")

    service = Picky(slow, start_timeout_s=1000.0)
    with trio.move_on_after(5):
        async with supervise(service):
            raise AssertionError("never entered")
    assert service.ends == 1
    assert trio.current_time() == 5


async def test_a_service_that_shields_itself_is_named_as_a_problem(autojump_clock):
    async def shielded(self, task_status) -> None:
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    async with supervise(Script(shielded)) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.stop_service, "script")
        await trio.sleep(50)
        assert supervisor.problems() == ("script does not end although cancelled",)
    assert trio.current_time() == 100


async def test_a_drill_is_a_crash_like_any_other(autojump_clock):
    async with supervise(Script()) as supervisor:
        supervisor.crash("script")
        await supervisor.wait_change()
        assert "kernel.drill" in supervisor.info("script").last_error
        with pytest.raises(UsageError) as refusal:
            supervisor.crash("script")
        assert refusal.value.code == "kernel.not-running"
        await trio.sleep(2)
        assert (supervisor.info("script").state, supervisor.info("script").restarts) == (State.RUNNING, 1)


async def test_a_permanent_service_that_returns_is_restarted_and_says_so(autojump_clock):
    async def short(self, task_status) -> None:
        task_status.started()
        await trio.sleep(1)

    async with supervise(Script(short, restart=Restart.PERMANENT)) as supervisor:
        await trio.sleep(1.5)
        assert "kernel.returned" in supervisor.info("script").last_error
        assert not supervisor.healthy


async def test_a_status_that_raises_is_shown_and_harms_nobody():
    class Sulking(Script):
        def status(self):
            raise ValueError("not now")

    class Talking(Script):
        name = "talking"

        def status(self):
            return {"rows": 3}

    async with supervise(Sulking(), Talking()) as supervisor:
        facts = {info.name: info.facts for info in supervisor.list()}
    assert facts == {"script": {"status": "ValueError: not now"}, "talking": {"rows": 3}}


async def test_every_transition_is_told_on_the_bus_and_a_crash_with_its_trace(autojump_clock):
    async def raising(self, task_status) -> None:
        task_status.started()
        raise ValueError("x" * 10_000)

    bus = Bus()
    async with bus.subscribe("service.script.*") as events:
        async with supervise(Script(raising), bus=bus):
            await trio.sleep(10)
        told = [(await events.receive()) for _ in range(bus.stats().subscriptions[0].queued)]
    words = " ".join(event.topic.rpartition(".")[2] for event in told)
    assert words == "waiting starting running crashed backoff waiting starting running crashed failed"
    crashed = told[3].value
    assert crashed.error.startswith("ValueError: xxx")
    assert len(crashed.error) <= 500
    assert len(crashed.trace) <= 8192
    assert told[-1].value.error == crashed.error


async def test_waiting_for_a_start_tells_how_it_went(autojump_clock):
    async def raising(self, task_status) -> None:
        if self.lives == 2:
            raise ValueError("second life")
        task_status.started()
        await trio.sleep_forever()

    async with supervise(Script(raising)) as supervisor:
        await supervisor.stop_service("script")
        with pytest.raises(UnavailableError) as told:
            await supervisor.start_service("script")
        assert told.value.code == "kernel.not-started"
        assert "second life" in told.value.message
        assert told.value.hint.endswith("nzcore service show script")
        await supervisor.start_service("script")
        assert supervisor.info("script").state is State.RUNNING
        await supervisor.restart_service("script")
        assert supervisor.info("script").state is State.RUNNING
        with pytest.raises(UsageError):
            await supervisor.start_service("nobody")


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"name": ""}, "kernel.bad-name"),
        ({"name": "a.b"}, "kernel.bad-name"),
        ({"name": "x" * 65}, "kernel.bad-name"),
        ({"restart": "sometimes"}, "kernel.bad-policy"),
        ({"stop_timeout_s": 0.0}, "kernel.bad-policy"),
        ({"check_interval_s": float("nan")}, "kernel.bad-policy"),
        ({"requires": ("script",)}, "kernel.dependency-cycle"),
        ({"requires": ("nobody",)}, "kernel.unknown-dependency"),
    ],
)
def test_a_senseless_service_is_refused_at_load(attributes, code):
    with pytest.raises(UsageError) as refusal:
        Supervisor([Script(**attributes)])
    assert refusal.value.code == code


def test_a_senseless_supervisor_is_refused():
    for options in ({"strategy": "all_for_none"}, {"intensity": -1}, {"period_s": 0.0}):
        with pytest.raises(UsageError) as refusal:
            Supervisor([], **options)
        assert refusal.value.code == "kernel.bad-policy"
