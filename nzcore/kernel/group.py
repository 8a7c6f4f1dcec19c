"""A supervisor as a service of another (spec/core.md §6): a tree, with a strategy for each branch."""

import random
from collections.abc import Iterable, Mapping

import trio

from nzcore.base.errors import UnavailableError
from nzcore.kernel.policy import Backoff, Strategy
from nzcore.kernel.service import Context, Service
from nzcore.kernel.states import State
from nzcore.kernel.supervisor import Supervisor


class Group(Service):
    """Services with their own strategy and intensity, supervised together as the one service `name`.

    Ready when nobody inside is starting. A member that fails ends the whole group abnormally (`kernel.group-failed`),
    so that the supervisor above decides: what a branch can't mend climbs, as in Erlang/OTP. Events of members use the
    bus above. Stopping the group stops its members in reverse order within `shutdown_timeout_s`.
    """

    def __init__(
        self,
        name: str,
        services: Iterable[Service],
        *,
        requires: tuple[str, ...] = (),
        strategy: str = Strategy.ONE_FOR_ALL,
        intensity: int = 5,
        period_s: float = 30.0,
        backoff: Backoff = Backoff(),  # noqa: B008 - a frozen value
        rng: random.Random | None = None,
        start_timeout_s: float = 60.0,
        shutdown_timeout_s: float = 60.0,
    ) -> None:
        self.name, self.requires, self.start_timeout_s = name, requires, start_timeout_s
        self._services = tuple(services)
        self._strategy, self._intensity, self._period_s, self._backoff = strategy, intensity, period_s, backoff
        self._rng, self._shutdown_timeout_s = rng, shutdown_timeout_s
        self._supervisor: Supervisor | None = None

    async def init(self, ctx: Context) -> None:
        """A fresh supervisor for each life of the group: members begin with clean counts."""
        self._supervisor = Supervisor(
            self._services,
            strategy=self._strategy,
            intensity=self._intensity,
            period_s=self._period_s,
            backoff=self._backoff,
            bus=ctx.bus,
            rng=self._rng,
            shutdown_timeout_s=self._shutdown_timeout_s,
        )

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        assert self._supervisor is not None, "init() comes first"
        async with self._supervisor as inner:
            self._refuse_failed()
            task_status.started()
            while True:
                await inner.wait_change()
                self._refuse_failed()

    def status(self) -> Mapping[str, object]:
        """The members' states by name."""
        if self._supervisor is None:
            return {}
        return {info.name: str(info.state) for info in self._supervisor.list()}

    def _refuse_failed(self) -> None:
        assert self._supervisor is not None, "init() comes first"
        for info in self._supervisor.list():
            if info.state is State.FAILED:
                message = f"{info.name} failed: {info.last_error}"
                raise UnavailableError("kernel.group-failed", message, group=self.name, service=info.name)
