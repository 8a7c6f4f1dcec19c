"""The supervisor's decisions as a machine: no task, no clock, one table."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nzcore.base.errors import UsageError
from nzcore.kernel.director import Director, Halt, Launch
from nzcore.kernel.policy import Backoff, Restart, Strategy
from nzcore.kernel.service import ServiceSpec
from nzcore.kernel.states import NEXT, RESTING, Signal, State, next_state

PLAIN = Backoff(initial_s=1.0, factor=2.0, max_s=10.0, jitter=0.0)


class Rig:
    """A director whose incarnations obey at once: what is launched gets ready, what is halted ends."""

    def __init__(self, *specs, strategy="one_for_one", intensity=5, period_s=30.0, obey=True) -> None:
        self.now = 0.0
        self.obey = obey
        self.log: list[str] = []
        self.alive: set[str] = set()
        self.director = Director(Strategy(strategy), intensity, period_s, PLAIN, random.Random(1).random)
        self.director.add(specs, self.now)

    def up(self) -> "Rig":
        self.director.start_all(self.now)
        return self.pump()

    def pump(self) -> "Rig":
        while actions := self.director.take_actions():
            for action in actions:
                self.log.append(f"{'+' if isinstance(action, Launch) else '-'}{action.name}")
                if isinstance(action, Launch):
                    assert action.name not in self.alive, "two lives at once"
                    self.alive.add(action.name)
                    self.director.ready(action.name, self.now)
                elif self.obey:
                    self.end(action.name, pump=False)
        return self

    def end(self, name, error="", *, abnormal=False, pump=True) -> "Rig":
        self.alive.remove(name)
        self.director.ended(name, self.now, error, abnormal=abnormal)
        return self.pump() if pump else self

    def crash(self, name) -> "Rig":
        self.log.clear()
        return self.end(name, "boom", abnormal=True)

    def pass_time(self, seconds) -> "Rig":
        self.now += seconds
        self.director.wake(self.now)
        return self.pump()

    def states(self) -> str:
        return " ".join(f"{name}:{self.director.cells[name].state}" for name in self.director.registry)


def chain(**changes) -> tuple[ServiceSpec, ...]:
    """c requires b requires a; d stands alone."""
    specs = (ServiceSpec("a"), ServiceSpec("b", ("a",)), ServiceSpec("c", ("b",)), ServiceSpec("d"))
    return tuple(spec._replace(restart=changes.get(spec.name, spec.restart)) for spec in specs)


def test_every_state_and_signal_outside_the_table_is_refused():
    for pair in itertools.product(State, Signal):
        if pair in NEXT:
            assert next_state(*pair) is NEXT[pair]
        else:
            with pytest.raises(UsageError) as refusal:
                next_state(*pair)
            assert refusal.value.code == "kernel.no-transition"


def test_everything_starts_in_dependency_order_and_stops_in_reverse():
    rig = Rig(*chain()).up()
    assert rig.log == ["+a", "+d", "+b", "+c"]
    rig.log.clear()
    rig.director.stop_all(rig.now)
    rig.pump()
    assert [one for one in rig.log if one != "-d"] == ["-c", "-b", "-a"]
    assert rig.director.is_at_rest()


@pytest.mark.parametrize(
    ("strategy", "crashed", "log"),
    [
        ("one_for_one", "a", ["+a"]),
        ("one_for_one", "d", ["+d"]),
        ("one_for_all", "b", ["-c", "-d", "-a", "+a", "+d", "+b", "+c"]),
        ("rest_for_one", "a", ["-c", "-d", "-b", "+a", "+d", "+b", "+c"]),
        ("rest_for_one", "c", ["-d", "+c", "+d"]),
        ("rest_for_one", "d", ["+d"]),
    ],
)
@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
def test_a_crash_restarts_whom_the_strategy_names(strategy, crashed, log, restart):
    rig = Rig(*chain(**{crashed: restart}), strategy=strategy).up()
    rig.crash(crashed)
    assert rig.director.cells[crashed].state is State.BACKOFF
    rig.pass_time(1.0)
    assert sorted(rig.log) == sorted(log)
    down = [one[1:] for one in rig.log if one[0] == "-"]
    again = [one[1:] for one in rig.log if one[0] == "+"]
    for upper, below in (("b", "a"), ("c", "b"), ("c", "a")):
        if upper in down and below in down:
            assert down.index(upper) < down.index(below)
        if upper in again and below in again:
            assert again.index(below) < again.index(upper)
    assert rig.states() == "a:running b:running c:running d:running"


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize(
    ("restart", "abnormal", "state"),
    [
        (Restart.PERMANENT, True, State.BACKOFF),
        (Restart.PERMANENT, False, State.BACKOFF),
        (Restart.TRANSIENT, True, State.BACKOFF),
        (Restart.TRANSIENT, False, State.STOPPED),
        (Restart.TEMPORARY, True, State.FAILED),
        (Restart.TEMPORARY, False, State.STOPPED),
    ],
)
def test_the_restart_type_decides_what_an_end_means(strategy, restart, abnormal, state):
    rig = Rig(ServiceSpec("a", restart=restart), ServiceSpec("b"), strategy=strategy).up()
    rig.end("a", "boom" if abnormal else "", abnormal=abnormal)
    assert rig.director.cells["a"].state is state
    rig.pass_time(60)
    assert (rig.director.cells["a"].state is State.RUNNING) is (state is State.BACKOFF)
    assert rig.director.cells["b"].state is State.RUNNING


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_temporary_mate_ends_with_the_others_and_stays_down_with_its_dependants(strategy):
    rig = Rig(*chain(b=Restart.TEMPORARY), strategy=strategy).up()
    rig.crash("a").pass_time(1)
    assert rig.states() == "a:running b:stopped c:stopped d:running"
    assert rig.director.cells["c"].held_by == "b"


def test_a_mate_that_was_stopped_on_request_is_not_restarted():
    rig = Rig(*chain(), strategy="one_for_all").up()
    rig.director.stop("d", rig.now)
    rig.pump().crash("a").pass_time(1)
    assert rig.states() == "a:running b:running c:running d:stopped"


def test_nothing_of_a_batch_starts_before_all_of_it_has_ended():
    rig = Rig(*chain(), strategy="one_for_all", obey=False).up()
    rig.crash("d")
    assert rig.log == ["-c"]
    rig.pass_time(5)
    rig.end("c")
    rig.end("b")
    assert rig.log == ["-c", "-b", "-a"]
    assert rig.director.cells["d"].state is State.WAITING
    rig.end("a")
    assert rig.log == ["-c", "-b", "-a", "+a", "+d", "+b", "+c"]


def test_overlapping_batches_become_one_and_a_removed_member_blocks_nobody():
    rig = Rig(*chain(), strategy="rest_for_one", obey=False).up()
    rig.crash("c")  # c and d
    rig.crash("a")  # everything
    assert rig.log == ["-b"]
    rig.end("b")
    rig.end("d")
    rig.pass_time(1)
    assert rig.log == ["-b", "+a", "+d", "+b", "+c"]
    rig.director.stop("d", rig.now)
    rig.pump().crash("c").end("d")
    rig.director.remove("d")
    assert rig.pass_time(2).states() == "a:running b:running c:running"


def test_the_restart_beyond_the_intensity_is_not_made():
    rig = Rig(*chain(), intensity=2).up()
    for _ in range(2):
        rig.crash("a").pass_time(5)
    assert rig.states() == "a:running b:running c:running d:running"
    rig.crash("a")
    assert rig.states() == "a:failed b:stopped c:stopped d:running"
    assert rig.log == ["-c", "-b"]
    rig.pass_time(1000)
    assert rig.states() == "a:failed b:stopped c:stopped d:running"


def test_restarts_older_than_the_period_do_not_count():
    rig = Rig(ServiceSpec("a"), intensity=2, period_s=30).up()
    for _ in range(20):
        rig.crash("a").pass_time(10).pass_time(10)
    assert rig.states() == "a:running"
    assert rig.director.cells["a"].restarts == 20


def test_intensity_zero_never_restarts():
    rig = Rig(ServiceSpec("a"), intensity=0).up()
    assert rig.crash("a").states() == "a:failed"


def test_backoff_grows_and_is_forgotten_after_a_long_life():
    rig = Rig(ServiceSpec("a"), intensity=100, period_s=30).up()
    delays = []
    for life in (0, 0, 0, 0, 0, 29, 30, 0):
        rig.now += life
        rig.crash("a")
        delays.append(rig.director.next_deadline() - rig.now)
        rig.pass_time(delays[-1])
    assert delays == [1, 2, 4, 8, 10, 10, 1, 2]


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_backoff_stays_within_its_jitter(streak, spread):
    delay = Backoff(0.1, 2.0, 30.0, 0.2).delay(streak, lambda: spread)
    plain = min(30.0, 0.1 * 2.0 ** min(streak - 1, 20))
    assert plain * 0.8 <= delay <= plain * 1.2


def test_a_start_brings_back_those_whom_the_failure_held_but_not_those_stopped_on_request():
    rig = Rig(*chain(), intensity=0).up()
    rig.director.stop("c", rig.now)
    rig.pump().crash("a")
    assert rig.states() == "a:failed b:stopped c:stopped d:running"
    rig.director.start("a", rig.now)
    assert rig.pump().states() == "a:running b:running c:stopped d:running"


def test_a_start_of_a_held_service_starts_what_it_requires():
    rig = Rig(*chain(), intensity=0).up().crash("a")
    rig.director.start("c", rig.now)
    assert rig.pump().states() == "a:running b:running c:running d:running"


def test_a_normal_end_of_a_dependency_stops_its_dependants():
    rig = Rig(*chain(a=Restart.TRANSIENT)).up()
    assert rig.end("a").states() == "a:stopped b:stopped c:stopped d:running"


def test_a_dependency_in_backoff_keeps_a_new_start_waiting():
    rig = Rig(*chain()).up()
    rig.crash("a").crash("b").pass_time(0.5)
    assert rig.states() == "a:backoff b:backoff c:running d:running"
    rig.director.start("b", rig.now)
    assert rig.pump().states() == "a:backoff b:waiting c:running d:running"
    assert rig.pass_time(0.5).states() == "a:running b:running c:running d:running"


def test_stopping_what_others_require_or_what_is_essential_needs_force():
    rig = Rig(*chain(), ServiceSpec("e", essential=True)).up()
    for name, code in (("a", "kernel.has-dependants"), ("e", "kernel.essential"), ("x", "kernel.unknown-service")):
        with pytest.raises(UsageError) as refusal:
            rig.director.stop(name, rig.now)
        assert refusal.value.code == code
    rig.log.clear()
    rig.director.stop("a", rig.now, force=True)
    rig.director.stop("e", rig.now, force=True)
    rig.pump()
    assert [one for one in rig.log if one != "-e"] == ["-c", "-b", "-a"]
    rig.director.start("a", rig.now)
    assert rig.pump().states() == "a:running b:running c:running d:running e:stopped"


def test_a_start_during_the_stop_lets_it_arrive_and_starts_again():
    rig = Rig(*chain(), obey=False).up()
    rig.log.clear()
    rig.director.stop("b", rig.now, force=True)
    rig.pump()
    assert rig.log == ["-c"]
    rig.director.start("c", rig.now)
    rig.pump().end("c").end("b")
    assert rig.log == ["-c", "-b", "+b", "+c"]


def test_a_service_that_ends_by_itself_while_being_stopped_costs_no_restart():
    rig = Rig(*chain(), obey=False).up()
    rig.director.stop("a", rig.now, force=True)
    rig.pump().crash("a")
    assert rig.director.cells["a"].state is State.STOPPED
    assert rig.director.cells["a"].restarts == 0


def test_a_stop_acknowledges_a_failure():
    rig = Rig(ServiceSpec("a"), intensity=0).up().crash("a")
    rig.director.stop("a", rig.now)
    assert rig.pump().states() == "a:stopped"


def test_a_running_service_is_not_removed():
    rig = Rig(*chain()).up()
    with pytest.raises(UsageError) as refusal:
        rig.director.remove("d")
    assert refusal.value.code == "kernel.still-running"
    rig.director.stop("d", rig.now)
    rig.pump()
    rig.director.remove("d")
    assert "d" not in rig.director.cells


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(Strategy)))
def test_any_history_keeps_the_promises_and_comes_to_rest(seed, strategy):
    rng = random.Random(seed)
    names = [f"s{one}" for one in range(rng.randint(1, 7))]
    specs = [
        ServiceSpec(name, tuple(rng.sample(names[:at], min(at, rng.randint(0, 2)))), restart=rng.choice(list(Restart)))
        for at, name in enumerate(names)
    ]
    rig = Rig(*specs, strategy=strategy, intensity=rng.randint(0, 3), obey=False)
    director = rig.director
    pending: dict[str, str] = {}

    def take() -> None:
        for action in director.take_actions():
            if isinstance(action, Launch):
                assert action.name not in pending
                for below in director.registry[action.name].requires:
                    assert director.cells[below].state is State.RUNNING, "launched before its dependency"
                pending[action.name] = "starting"
            else:
                assert isinstance(action, Halt)
                assert pending[action.name] in ("starting", "running")
                pending[action.name] = "stopping"
        for change in director.take_changes():
            assert change.state in {to for (was, _), to in NEXT.items() if was is change.was}

    def end(name) -> None:
        abnormal = pending.pop(name) != "stopping" and rng.random() < 0.7
        director.ended(name, rig.now, "boom" if abnormal else "", abnormal=abnormal)

    director.start_all(rig.now)
    take()
    for _ in range(60):
        rig.now += rng.random() * 3
        name = rng.choice(names)
        act = rng.randrange(6)
        if act == 0:
            director.start(name, rig.now)
        elif act == 1:
            director.stop(name, rig.now, force=True)
        elif act == 2:
            director.restart(name, rig.now)
        elif act == 3 and pending:
            end(rng.choice(list(pending)))
        elif act == 4:
            for one in [one for one, phase in pending.items() if phase == "starting"]:
                pending[one] = "running"
                director.ready(one, rig.now)
        director.wake(rig.now)
        take()
    director.stop_all(rig.now)
    for _ in range(3 * len(names)):
        take()
        for one in [one for one, phase in pending.items() if phase == "stopping"]:
            end(one)
    take()
    assert not pending
    assert all(cell.state in RESTING for cell in director.cells.values())
