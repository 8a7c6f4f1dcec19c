"""The supervisor (spec/core.md §5, §6): a thin shell that performs what the director decides.

Its tasks: one per living service (`incarnation.py`), and one timer for back-offs. All are children of one nursery.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import trio

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.base.instant import Instant
from nzcore.kernel.bus import Bus
from nzcore.kernel.described import describe
from nzcore.kernel.director import Director, Goal, Launch
from nzcore.kernel.incarnation import Incarnation
from nzcore.kernel.policy import Backoff, Restart, Strategy
from nzcore.kernel.registry import has_dependants
from nzcore.kernel.service import Service, ServiceSpec
from nzcore.kernel.states import RESTING, State

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

OVERDUE_S = 1.0
"""How long after its time to stop a service is called stuck: it shields itself from cancellation."""


class ServiceInfo(NamedTuple):
    """What can be said of a service now; `since` is when it entered its state, `facts` its own status()."""

    name: str
    state: State
    restarts: int
    since: Instant
    last_error: str
    requires: tuple[str, ...]
    held_by: str
    strategy: Strategy
    restart: Restart
    essential: bool
    summary: str
    facts: Mapping[str, object]


class Crash(NamedTuple):
    """Value of the event `service.<name>.crashed`: how a life ended abnormally, with the end of its traceback."""

    name: str
    error: str
    trace: str


class Supervisor:
    """Starts services in dependency order, restarts them by their policy, stops them in reverse order.

    ```python
    async with Supervisor([Store(), Chat()]) as supervisor:  # open once every service runs, or said why not
        print(supervisor.info("chat").state, supervisor.problems())
        await supervisor.restart_service("chat")
    ```

    A service that fails harms itself and its dependants only; the body is cancelled only from outside, or when a
    service raised KeyboardInterrupt (which is the user's Ctrl-C): then everything stops in order and it is raised
    again. Leaving, also by cancellation, stops everything, dependants first, each within its `stop_timeout_s`, all
    within `shutdown_timeout_s`; after that what is left is cancelled at once.

    `intensity` restarts of one service in `period_s` seconds are made; the next makes it `failed`.
    `rng` spreads the back-off; give a seeded `random.Random` where runs must repeat.
    """

    def __init__(
        self,
        services: Iterable[Service] = (),
        *,
        strategy: str = Strategy.ONE_FOR_ONE,
        intensity: int = 5,
        period_s: float = 30.0,
        backoff: Backoff = Backoff(),  # noqa: B008 - a frozen value
        bus: Bus | None = None,
        rng: random.Random | None = None,
        shutdown_timeout_s: float = 60.0,
    ) -> None:
        """Registers `services`, in any order; nothing starts before `async with`.

        *Raises* UsageError `kernel.bad-name`, `kernel.bad-policy`, `kernel.duplicate-name`,
        `kernel.unknown-dependency`, `kernel.dependency-cycle`.
        """
        if strategy not in tuple(Strategy) or intensity < 0 or not period_s > 0:
            raise UsageError("kernel.bad-policy", strategy=strategy, intensity=intensity, period_s=period_s)
        rng = rng or random.Random()  # noqa: S311 - spreads restarts in time, guards no secret
        self.bus = bus or Bus()
        self._director = Director(Strategy(strategy), intensity, period_s, backoff, rng.random)
        self._services: dict[str, Service] = {}
        self._incarnations: dict[str, Incarnation] = {}
        self._shutdown_timeout_s = shutdown_timeout_s
        self._changed = trio.Event()
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None
        self._timer_scope = trio.CancelScope()
        self._timer_ended = True
        self._closing = self._interrupted = False
        self._register(services, Instant(0.0))

    async def __aenter__(self) -> Self:
        """Starts everything, and returns when nobody is starting any more. *Raises* UsageError `kernel.not-open`."""
        if self._manager is not None:
            raise UsageError("kernel.not-open")
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        try:
            self._timer_ended = False
            self._nursery.start_soon(self._timer, name="supervisor timer")
            self._director.start_all(self._now())
            self._pump()
            await self._wait(self._director.is_settled)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def run(self, task_status: trio.TaskStatus[Self] = trio.TASK_STATUS_IGNORED) -> None:
        """Supervises until cancelled; `task_status.started(self)` when nobody is starting any more."""
        async with self:
            task_status.started(self)
            await trio.sleep_forever()

    def add(self, *services: Service) -> None:
        """Adds services, together or not at all, and starts them when open; `start_service` waits for readiness.

        *Raises* as the constructor does.
        """
        self._register(services, self._now() if self._nursery else Instant(0.0))
        if self._nursery is not None and not self._closing:
            for service in services:
                self._director.start(service.name, self._now())
            self._pump()

    async def remove(self, name: str) -> None:
        """Stops a service, essential or not, and forgets it.

        *Raises* UsageError `kernel.unknown-service`, or `kernel.has-dependants` while another service requires it.
        """
        if users := self._director.registry.dependants(name):
            raise has_dependants(name, users)
        await self.stop_service(name, force=True)
        self._director.remove(name)
        del self._services[name]

    async def start_service(self, name: str) -> None:
        """Starts a service, what it requires, and those that its failure held; returns when it runs.

        *Raises* UnavailableError `kernel.not-started` when this attempt fails, UsageError `kernel.unknown-service`.
        """
        self._require_open()
        self._director.start(name, self._now())
        self._pump()
        await self._wait_running(name)

    async def stop_service(self, name: str, *, force: bool = False) -> None:
        """Stops a service and, with `force`, its dependants before it; returns when it has stopped.

        *Raises* UsageError `kernel.unknown-service`; without `force`: `kernel.has-dependants`, `kernel.essential`.
        """
        self._director.stop(name, self._now(), force=force)
        self._pump()

        def is_over() -> bool:
            cell = self._director.cell(name)
            return cell.state in RESTING or cell.goal is not Goal.DOWN

        await self._wait(is_over)

    async def restart_service(self, name: str) -> None:
        """Stops and starts a service, with whom the strategy says; returns when it runs. *Raises* as starting does."""
        self._require_open()
        self._director.restart(name, self._now())
        self._pump()
        await self._wait_running(name)

    async def wait_change(self) -> None:
        """Waits until a service changes its state."""
        await self._changed.wait()

    def crash(self, name: str) -> None:
        """Fault drill: ends a service at once as if it had raised. *Raises* UsageError `kernel.not-running`."""
        self._director.cell(name)
        if name not in self._incarnations:
            raise UsageError("kernel.not-running", service=name)
        self._incarnations[name].crash(UnavailableError("kernel.drill", service=name))

    @property
    def healthy(self) -> bool:
        """Whether there is no problem."""
        return not self.problems()

    def problems(self) -> tuple[str, ...]:
        """One line for each service that is not as it should be; what was stopped on request is as it should be."""
        lines = []
        for name in self._director.registry:
            cell = self._director.cells[name]
            if cell.state is State.FAILED:
                lines.append(f"{name} failed: {cell.error}")
            elif cell.state is State.BACKOFF:
                lines.append(f"{name} is restarting (restart {cell.restarts}): {cell.error}")
            elif cell.held_by and self._director.cell(cell.held_by).state is State.FAILED:
                lines.append(f"{name} is stopped because {cell.held_by} failed")
            elif cell.state is State.STOPPING and self._now() - cell.since > cell.spec.stop_timeout_s + OVERDUE_S:
                lines.append(f"{name} does not end although cancelled")
        return tuple(lines)

    def info(self, name: str) -> ServiceInfo:
        """*Raises* UsageError `kernel.unknown-service`."""
        cell = self._director.cell(name)
        spec = cell.spec
        facts: Mapping[str, object]
        try:
            facts = dict(self._services[name].status())
        except Exception as error:  # a status() that raises is shown as its own fact, and harms nobody who asks
            facts = {"status": describe(error)}
        return ServiceInfo(
            name, cell.state, cell.restarts, cell.since, cell.error, spec.requires, cell.held_by,
            self._director.strategy, spec.restart, spec.essential, spec.summary, facts,
        )  # fmt: skip

    def list(self) -> tuple[ServiceInfo, ...]:
        """All services in start order."""
        return tuple(map(self.info, self._director.registry))

    def _register(self, services: Iterable[Service], now: Instant) -> None:
        services = tuple(services)
        self._director.add([ServiceSpec.of(service) for service in services], now)
        self._services.update((service.name, service) for service in services)

    def _require_open(self) -> None:
        if self._nursery is None or self._closing:
            raise UsageError("kernel.not-open")

    def _now(self) -> Instant:
        return Instant(trio.current_time())

    @trio.lowlevel.enable_ki_protection
    def _pump(self) -> None:
        """Performs the director's actions and tells its changes."""
        for action in self._director.take_actions():
            if isinstance(action, Launch):
                assert self._nursery is not None, "nothing is launched before __aenter__"
                self._nursery.start_soon(self._live, action.name, name=f"service {action.name}")
                self._incarnations[action.name] = self._incarnation(action.name)
            else:
                self._incarnations[action.name].halt()
        changes = self._director.take_changes()
        for change in changes:
            self.bus.emit(f"service.{change.name}.{change.state}", change)
        if changes:
            self._tell_change()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _incarnation(self, name: str) -> Incarnation:
        def on_ready() -> None:
            self._director.ready(name, self._now())
            self._pump()

        return Incarnation(self._services[name], self._director.cell(name).spec, self.bus, on_ready)

    @trio.lowlevel.enable_ki_protection
    async def _live(self, name: str) -> None:
        outcome = await self._incarnations[name].run()
        del self._incarnations[name]
        if outcome.abnormal:
            self.bus.emit(f"service.{name}.crashed", Crash(name, outcome.error, outcome.trace))
        if outcome.interrupt and self._nursery is not None:
            self._interrupted = True
            self._nursery.cancel_scope.cancel()
        error = outcome.error
        if not error and self._director.cell(name).spec.restart is Restart.PERMANENT and not outcome.halted:
            error = str(UnavailableError("kernel.returned"))
        self._director.ended(name, self._now(), error, abnormal=outcome.abnormal)
        self._pump()

    @trio.lowlevel.enable_ki_protection
    async def _timer(self) -> None:
        try:
            with self._timer_scope:
                while True:
                    with trio.move_on_at(self._director.next_deadline() or math.inf):
                        await self._changed.wait()
                    self._director.wake(self._now())
                    self._pump()
        finally:
            self._timer_ended = True
            self._tell_change()

    async def _wait(self, is_met: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        while not is_met():
            await self._changed.wait()

    async def _wait_running(self, name: str) -> None:
        def is_known() -> bool:
            cell = self._director.cell(name)
            return cell.goal is Goal.DOWN or (cell.goal is Goal.UP and cell.state in (State.RUNNING, State.BACKOFF))

        await self._wait(is_known)
        cell = self._director.cell(name)
        if cell.state is not State.RUNNING:
            hint = f"see how it ended: nzcore service show {name}"
            raise UnavailableError("kernel.not-started", cell.error, hint=hint, service=name, state=cell.state)

    @trio.lowlevel.enable_ki_protection
    async def _close(self) -> None:
        """Stops everything in order, whatever was cancelled; then ends the nursery, which has no task left.

        A Ctrl-C meanwhile, or the end of `shutdown_timeout_s`, cancels at once what is left.
        """
        assert self._manager is not None, "only called after __aenter__"
        self._closing = True
        patience_s = self._shutdown_timeout_s
        with trio.CancelScope(shield=True):
            self._timer_scope.cancel()
            self._director.stop_all(self._now())
            self._pump()
            while not self._is_over():
                try:
                    with trio.move_on_after(patience_s):
                        await self._wait(self._is_over)
                except KeyboardInterrupt:
                    self._interrupted = True
                if not self._is_over():
                    patience_s = math.inf
                    for incarnation in self._incarnations.values():
                        incarnation.cancel()
        await self._manager.__aexit__(None, None, None)  # not the body's error: it leaves as it is, in no group
        if self._interrupted:
            raise KeyboardInterrupt

    def _is_over(self) -> bool:
        return self._timer_ended and self._director.is_at_rest()
