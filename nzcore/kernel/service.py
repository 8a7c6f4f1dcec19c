"""What a service is (spec/core.md §2, §3): a class to subclass, its policy as a value, what it is handed.

Knows nothing of the supervisor that runs it.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import trio

from nzcore.base.errors import UsageError
from nzcore.base.instant import Instant
from nzcore.kernel.bus import Bus
from nzcore.kernel.policy import Restart

NAME_CHARACTERS = 64
"""Longest name: one word of a topic, one column of a table."""

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class Context(NamedTuple):
    """What one incarnation of a service is handed: its name, the bus, and a nursery that dies with it."""

    name: str
    bus: Bus
    nursery: trio.Nursery

    def now(self) -> Instant:
        """The time of this Trio run, in seconds."""
        return Instant(trio.current_time())


class Service:
    """Base class: set the attributes, override what is needed. One object lives through all its restarts.

    The order in each life: `init`, then `start`; `check` now and then while running; `stop`, and then `start` is
    cancelled. Cleanup belongs into `start`'s own `finally` or `async with`: it also runs when the service crashes.
    Whatever these methods raise ends this service only. Times are seconds.
    """

    name: str = ""
    requires: tuple[str, ...] = ()
    essential: bool = False
    """Stopping it, or what it requires, needs `force`."""
    summary: str = ""
    restart: Restart = Restart.PERMANENT
    init_timeout_s: float = 10.0
    start_timeout_s: float = 10.0
    stop_timeout_s: float = 5.0
    check_interval_s: float = 10.0
    check_timeout_s: float = 5.0

    async def init(self, ctx: Context) -> None:
        """Prepares one life: runs before each start, within `init_timeout_s`."""

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs for the service's life; `task_status.started()` within `start_timeout_s` says that it is ready.

        Returning is a normal end; returning before being ready, or raising anything, is an abnormal one. Tasks in
        `ctx.nursery` are cancelled when it returns.
        """
        task_status.started()
        await trio.sleep_forever()

    async def stop(self) -> None:
        """Finishes what must be, within `stop_timeout_s`; then `start` is cancelled. Called only when ready."""

    async def check(self) -> None:
        """Raising, or taking longer than `check_timeout_s`, counts as hung: the service is restarted by its policy."""

    def status(self) -> Mapping[str, object]:
        """Facts for `service show`; at once, without waiting."""
        return {}


class ServiceSpec(NamedTuple):
    """A service's policy as data, read off its attributes once, when it is added."""

    name: str
    requires: tuple[str, ...] = ()
    essential: bool = False
    summary: str = ""
    restart: Restart = Restart.PERMANENT
    init_timeout_s: float = Service.init_timeout_s
    start_timeout_s: float = Service.start_timeout_s
    stop_timeout_s: float = Service.stop_timeout_s
    check_interval_s: float = Service.check_interval_s
    check_timeout_s: float = Service.check_timeout_s
    checks: bool = False  # whether check() is overridden: without it, no watchdog task
    stops: bool = False  # whether stop() is overridden: without it, start() is cancelled at once

    @classmethod
    def of(cls, service: Service) -> Self:
        """*Raises* UsageError `kernel.bad-name`, `kernel.bad-policy`."""
        values: dict[str, Any] = {field: getattr(service, field) for field in cls._fields[:-2]}
        kind = type(service)
        spec = cls(**values, checks=kind.check is not Service.check, stops=kind.stop is not Service.stop)
        return spec._replace(requires=tuple(dict.fromkeys(spec.requires)))._checked()

    def _checked(self) -> Self:
        if not 0 < len(self.name) <= NAME_CHARACTERS or not _NAME.issuperset(self.name):
            raise UsageError("kernel.bad-name", name=self.name)
        if self.restart not in tuple(Restart):
            raise UsageError("kernel.bad-policy", service=self.name, field="restart", value=self.restart)
        for field in self._fields:
            seconds = getattr(self, field) if field.endswith("_s") else 1.0
            if math.isnan(seconds) or seconds <= 0:
                raise UsageError("kernel.bad-policy", service=self.name, field=field, value=seconds)
        return self._replace(restart=Restart(self.restart))
