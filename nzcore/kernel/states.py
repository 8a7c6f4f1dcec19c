"""The life of a service as a table (spec/core.md §4): a missing row is the refusal.

    waiting ──launch──▶ starting ──ready──▶ running ──finish──▶ stopped
       ▲                   │ crash              │ crash            │
       └─────want───── backoff ◀────────────────┘                  │
       └─────want──────────────────────────────────────────────────┘

`give_up` leads to `failed`; `halt` leads through `stopping` to `stopped`, or by `again` back to `waiting`.
"""

from enum import StrEnum
from typing import NamedTuple

from nzcore.base.errors import UsageError


class State(StrEnum):
    """Where a service is in its life."""

    WAITING = "waiting"  # wanted; what it requires is not running yet
    STARTING = "starting"  # init() and start() up to readiness
    RUNNING = "running"
    BACKOFF = "backoff"  # ended; to be started again at a known time
    STOPPING = "stopping"
    STOPPED = "stopped"  # not wanted, ended as it should, or held by a dependency that ended
    FAILED = "failed"  # ended abnormally and is not started again by itself


class Signal(StrEnum):
    """What moves a service from state to state."""

    WANT = "want"  # asked for, back-off over, or its dependency is back
    LAUNCH = "launch"  # all it requires is running
    READY = "ready"  # start() reported readiness
    CRASH = "crash"  # ended, and is to be restarted
    FINISH = "finish"  # ended normally, and is not to be restarted
    GIVE_UP = "give_up"  # ended abnormally and is not restarted: too often, or temporary
    HALT = "halt"  # asked to stop
    REST = "rest"  # has stopped
    AGAIN = "again"  # has stopped in order to start again


NEXT: dict[tuple[State, Signal], State] = {
    (State.WAITING, Signal.LAUNCH): State.STARTING,
    (State.WAITING, Signal.HALT): State.STOPPED,
    (State.STARTING, Signal.READY): State.RUNNING,
    (State.STARTING, Signal.CRASH): State.BACKOFF,
    (State.STARTING, Signal.GIVE_UP): State.FAILED,
    (State.STARTING, Signal.HALT): State.STOPPING,
    (State.RUNNING, Signal.CRASH): State.BACKOFF,
    (State.RUNNING, Signal.FINISH): State.STOPPED,
    (State.RUNNING, Signal.GIVE_UP): State.FAILED,
    (State.RUNNING, Signal.HALT): State.STOPPING,
    (State.BACKOFF, Signal.WANT): State.WAITING,
    (State.BACKOFF, Signal.HALT): State.STOPPED,
    (State.STOPPING, Signal.REST): State.STOPPED,
    (State.STOPPING, Signal.AGAIN): State.WAITING,
    (State.STOPPED, Signal.WANT): State.WAITING,
    (State.FAILED, Signal.WANT): State.WAITING,
    (State.FAILED, Signal.HALT): State.STOPPED,
}

ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
"""States in which code of the service may be running."""

RESTING = frozenset({State.STOPPED, State.FAILED})
"""States that only a request, or the return of a dependency, ends."""


class Change(NamedTuple):
    """One transition: value of the event `service.<name>.<state>`. `error` is text, empty after a normal end."""

    name: str
    was: State
    state: State
    error: str
    restarts: int


def next_state(state: State, signal: Signal) -> State:
    """*Raises* UsageError `kernel.no-transition` for a row that the table does not have."""
    try:
        return NEXT[state, signal]
    except KeyError:
        raise UsageError("kernel.no-transition", state=state, signal=signal) from None
