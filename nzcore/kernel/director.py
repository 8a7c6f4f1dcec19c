"""The supervisor's decisions as a machine (spec/core.md §5): ends and requests with the time go in, actions come out.

Nothing waits and nothing runs here: the supervisor performs the actions and tells how they ended.
Each service has a goal; `_settle` moves every service towards its goal until nothing moves, one table row at a time.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

from nzcore.base.errors import UsageError
from nzcore.base.instant import Instant
from nzcore.kernel.policy import Backoff, Restart, Strategy
from nzcore.kernel.registry import Registry, has_dependants
from nzcore.kernel.service import ServiceSpec
from nzcore.kernel.states import ALIVE, RESTING, Change, Signal, State, next_state


class Goal(Enum):
    """Where a service is led."""

    UP = "up"
    DOWN = "down"
    AGAIN = "again"  # down, then up


class Launch(NamedTuple):
    """Run a new incarnation; report `ready` and `ended`."""

    name: str


class Halt(NamedTuple):
    """Stop the incarnation; report `ended`."""

    name: str


class Cell:
    """What the director knows of one service."""

    __slots__ = (
        "error", "goal", "held_by", "next_try", "restarts", "restarts_at", "running_since", "since", "spec", "state",
        "streak",
    )  # fmt: skip

    def __init__(self, spec: ServiceSpec, now: Instant) -> None:
        self.spec = spec
        self.state, self.goal, self.since = State.STOPPED, Goal.DOWN, now
        self.held_by = ""  # the dependency whose end stopped it; it comes back with it
        self.error = ""  # how its last life ended, if not as it should
        self.restarts = 0
        self.streak = 0  # restarts in a row, without a life of `period_s` between
        self.restarts_at: deque[Instant] = deque()
        self.running_since: Instant | None = None
        self.next_try = now


class Director:
    """Decides for a registry of services; see spec/core.md §5 for each rule. Owned by one supervisor."""

    def __init__(
        self,
        strategy: Strategy,
        intensity: int,
        period_s: float,
        backoff: Backoff,
        rng: Callable[[], float],
    ) -> None:
        self.strategy, self.intensity, self.period_s, self.backoff = strategy, intensity, period_s, backoff
        self.registry = Registry()
        self.cells: dict[str, Cell] = {}
        self._rng = rng
        self._batches: list[set[str]] = []  # restarted together: none starts before all have ended
        self._actions: list[Launch | Halt] = []
        self._changes: list[Change] = []
        self._now = Instant(0.0)

    def add(self, specs: Iterable[ServiceSpec], now: Instant) -> None:
        """Adds stopped services. *Raises* what `Registry.add` raises, and then adds none."""
        specs = tuple(specs)
        self.registry.add(*specs)
        self.cells.update((spec.name, Cell(spec, now)) for spec in specs)

    def remove(self, name: str) -> None:
        """*Raises* UsageError `kernel.still-running`, or what `Registry.remove` raises."""
        if self.cell(name).state not in RESTING:
            raise UsageError("kernel.still-running", service=name)
        self.registry.remove(name)
        del self.cells[name]
        for batch in self._batches:
            batch.discard(name)

    def cell(self, name: str) -> Cell:
        """*Raises* UsageError `kernel.unknown-service`."""
        self.registry[name]
        return self.cells[name]

    def start(self, name: str, now: Instant) -> None:
        """Wants a service and what it requires; those held by any of them come back too."""
        self._now = now
        self.cell(name)
        wanted = [*self.registry.all_requirements(name), name]
        for one in wanted:
            self._want(one)
        if self.cells[name].state is State.BACKOFF:
            self._move(name, Signal.WANT)
        self._revive()
        self._settle()

    def start_all(self, now: Instant) -> None:
        self._now = now
        for name in self.registry:
            self._want(name)
        self._settle()

    def stop(self, name: str, now: Instant, *, force: bool = False) -> None:
        """Stops a service, and with `force` its dependants before it.

        *Raises* UsageError `kernel.has-dependants`, `kernel.essential`: without `force`, for itself and its dependants.
        """
        self._now = now
        cell = self.cell(name)
        users = [one for one in self.registry.all_dependants(name) if self.cells[one].goal is not Goal.DOWN]
        if not force:
            if cell.spec.essential:
                raise UsageError("kernel.essential", service=name)
            if users:
                raise has_dependants(name, users)
        self._lower(name, "")
        for one in users:
            self._lower(one, name)
        self._settle()

    def stop_all(self, now: Instant) -> None:
        """Stops everything, dependants first; what has failed stays failed."""
        self._now = now
        for name, cell in self.cells.items():
            if cell.state is not State.FAILED:
                self._lower(name, "")
        self._settle()

    def restart(self, name: str, now: Instant) -> None:
        """Ends and starts a service again, with whom the strategy says; costs none of its intensity."""
        self._now = now
        if self.cell(name).state not in ALIVE or self.cells[name].goal is Goal.DOWN:
            self.start(name, now)
            return
        self.cells[name].goal = Goal.AGAIN
        self._restart_mates(name)
        self._settle()

    def ready(self, name: str, now: Instant) -> None:
        """An incarnation reported readiness; ignored when it is being stopped already."""
        self._now = now
        cell = self.cells[name]
        if cell.state is State.STARTING:
            cell.running_since = now
            self._move(name, Signal.READY)
            self._settle()

    def ended(self, name: str, now: Instant, error: str, *, abnormal: bool) -> None:
        """An incarnation is over; `error` is how, empty after a normal end."""
        self._now = now
        cell = self.cells[name]
        if cell.running_since is not None and now - cell.running_since >= self.period_s:
            cell.streak = 0
        cell.running_since = None
        cell.error = error
        abnormal = abnormal or cell.state is State.STARTING  # never got ready
        if cell.goal is not Goal.UP and cell.state is not State.STOPPING:
            self._move(name, Signal.HALT)  # it ended by itself while waiting for its dependants to end
        if cell.state is State.STOPPING:
            self._move(name, Signal.REST if cell.goal is Goal.DOWN else Signal.AGAIN)
            cell.goal = Goal.DOWN if cell.goal is Goal.DOWN else Goal.UP
        elif cell.spec.restart is Restart.PERMANENT or (abnormal and cell.spec.restart is Restart.TRANSIENT):
            self._retry(name)
        else:
            self._retire(name, Signal.GIVE_UP if abnormal else Signal.FINISH)
        self._settle()

    def wake(self, now: Instant) -> None:
        """Ends the back-offs whose time has come."""
        self._now = now
        for name, cell in self.cells.items():
            if cell.state is State.BACKOFF and cell.next_try <= now:
                self._move(name, Signal.WANT)
        self._settle()

    def next_deadline(self) -> Instant | None:
        """When to `wake`, if at all."""
        return min((cell.next_try for cell in self.cells.values() if cell.state is State.BACKOFF), default=None)

    def take_actions(self) -> list[Launch | Halt]:
        actions, self._actions = self._actions, []
        return actions

    def take_changes(self) -> list[Change]:
        changes, self._changes = self._changes, []
        return changes

    def is_settled(self) -> bool:
        """Whether nobody is starting or stopping."""
        return all(
            cell.state not in (State.STARTING, State.STOPPING) and (cell.goal is Goal.UP or cell.state not in ALIVE)
            for cell in self.cells.values()
        )

    def is_at_rest(self) -> bool:
        """Whether no code of a service runs, or will."""
        return all(cell.state in RESTING for cell in self.cells.values())

    def _want(self, name: str) -> None:
        cell = self.cells[name]
        cell.held_by = ""
        if cell.state in RESTING:
            cell.goal = Goal.UP
            cell.streak, cell.error = 0, ""
            cell.restarts_at.clear()
            self._move(name, Signal.WANT)
        elif cell.goal is Goal.DOWN:
            cell.goal = Goal.AGAIN  # it is on its way down: let it arrive

    def _revive(self) -> None:
        """Wants again who was held by a dependency, once all it requires is wanted."""
        for name in self.registry:
            cell = self.cells[name]
            if cell.held_by and all(self.cells[one].goal is not Goal.DOWN for one in cell.spec.requires):
                self._want(name)

    def _lower(self, name: str, held_by: str) -> None:
        cell = self.cells[name]
        cell.goal, cell.held_by = Goal.DOWN, held_by
        if cell.state is State.FAILED:
            self._move(name, Signal.HALT)  # asked to stop: the failure is acknowledged

    def _retry(self, name: str) -> None:
        cell = self.cells[name]
        recent = cell.restarts_at
        while recent and self._now - recent[0] >= self.period_s:
            recent.popleft()
        if len(recent) >= self.intensity:
            self._retire(name, Signal.GIVE_UP)
            return
        recent.append(self._now)
        cell.restarts += 1
        cell.streak += 1
        cell.next_try = Instant(self._now + self.backoff.delay(cell.streak, self._rng))
        self._move(name, Signal.CRASH)
        self._restart_mates(name)

    def _retire(self, name: str, signal: Signal) -> None:
        """It stays down, and with it all that require it."""
        self.cells[name].goal = Goal.DOWN
        self._move(name, signal)
        self._hold_dependants(name)

    def _hold_dependants(self, name: str) -> None:
        for one in self.registry.all_dependants(name):
            if self.cells[one].goal is not Goal.DOWN:
                self._lower(one, name)

    def _restart_mates(self, name: str) -> None:
        """Whom the strategy restarts with `name`: they end in reverse order, then all start in order."""
        if self.strategy is Strategy.ONE_FOR_ONE:
            return
        mates = self.registry if self.strategy is Strategy.ONE_FOR_ALL else self.registry.after(name)
        batch = {name}
        for mate in mates:
            cell = self.cells[mate]
            if mate == name or cell.goal is Goal.DOWN:
                continue
            batch.add(mate)
            if cell.state in ALIVE:
                cell.goal = Goal.AGAIN
                if cell.spec.restart is Restart.TEMPORARY:  # ended with the others, never started again
                    cell.goal = Goal.DOWN
                    self._hold_dependants(mate)
        for old in self._batches:
            if old & batch:
                batch |= old
        self._batches = [*(old for old in self._batches if not old & batch), batch]

    def _settle(self) -> None:
        moved = True
        while moved:
            self._batches = [batch for batch in self._batches if any(self._is_ending(one) for one in batch)]
            moved = False
            for name in self.registry:
                moved = self._step(name) or moved

    def _step(self, name: str) -> bool:
        """Moves one service by one row towards its goal, if it may."""
        cell = self.cells[name]
        if cell.goal is Goal.UP:
            if cell.state is not State.WAITING or not self._may_launch(name):
                return False
            self._move(name, Signal.LAUNCH)
            self._actions.append(Launch(name))
            return True
        if cell.state in (State.WAITING, State.BACKOFF):
            if cell.goal is Goal.DOWN:
                self._move(name, Signal.HALT)
            else:
                cell.goal = Goal.UP
            return True
        if cell.state in (State.STARTING, State.RUNNING) and not self._must_outlast(name):
            self._move(name, Signal.HALT)
            self._actions.append(Halt(name))
            return True
        return False

    def _must_outlast(self, name: str) -> bool:
        """Whether dependants have still to end before it; through dead ones, too: what is left of a chain keeps its
        order."""
        users = map(self.cells.__getitem__, self.registry.all_dependants(name))
        return any(cell.state in ALIVE and cell.goal is not Goal.UP for cell in users)

    def _may_launch(self, name: str) -> bool:
        if any(name in batch for batch in self._batches):
            return False
        required = map(self.cells.__getitem__, self.cells[name].spec.requires)
        return all(cell.state is State.RUNNING and cell.goal is Goal.UP for cell in required)

    def _is_ending(self, name: str) -> bool:
        cell = self.cells[name]
        return cell.state is State.BACKOFF or (cell.state in ALIVE and cell.goal is not Goal.UP)

    def _move(self, name: str, signal: Signal) -> None:
        cell = self.cells[name]
        was, cell.state = cell.state, next_state(cell.state, signal)
        cell.since = self._now
        error = cell.error if cell.state in (State.BACKOFF, State.FAILED, State.STOPPED) else ""
        self._changes.append(Change(name, was, cell.state, error, cell.restarts))
