"""One life of one service (spec/core.md §3): init, start, checks, stop, each within its bounds, and how it ended.

The crash boundary of services: whatever their code raises ends here as an `Outcome`. The life runs shielded, so that
cancelling the supervisor stops services in order instead of all at once; nothing of the outside is ever swallowed,
because no Cancelled of the outside can arrive in here.
"""

import math
import traceback
from collections.abc import Callable
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.kernel.bus import Bus
from nzcore.kernel.described import describe
from nzcore.kernel.service import Context, Service, ServiceSpec

TRACE_CHARACTERS = 8192
"""Longest traceback in a `service.<name>.crashed` event: its end, where the fault is."""


class Outcome(NamedTuple):
    """How a life ended: `error` is empty after a normal end; `halted` if it was asked to; `interrupt` for Ctrl-C."""

    error: str = ""
    abnormal: bool = False
    interrupt: bool = False
    halted: bool = False
    trace: str = ""


class Incarnation:
    """Runs `service` once. `halt` and `crash` may be called at any time; `run` returns when nothing of it runs."""

    def __init__(self, service: Service, spec: ServiceSpec, bus: Bus, on_ready: Callable[[], None]) -> None:
        self._service, self._spec, self._bus, self._on_ready = service, spec, bus, on_ready
        self._scope = trio.CancelScope(shield=True)
        self._startup = trio.CancelScope()
        self._guard: trio.Nursery | None = None
        self._verdict: NzError | None = None
        self._ready = self._halted = self._returned = self._over = False

    async def run(self) -> Outcome:
        """Lives to the end. Never raises, whatever the service does: not even for SystemExit."""
        error: BaseException | None = None
        try:
            await self._run()
        except BaseException as caught:  # the crash boundary: reported as the outcome, decided by the supervisor
            error = caught
        return self._outcome(error)

    @trio.lowlevel.disable_ki_protection  # so that Ctrl-C ends even a service that never awaits
    async def _run(self) -> None:
        with self._scope:
            async with trio.open_nursery() as guard:
                self._guard = guard
                try:
                    await self._live()
                finally:
                    self._over = True
                if not self._halted:  # else stop() has its time, and ends the scope
                    guard.cancel_scope.cancel()

    def started(self, value: None = None) -> None:
        """The service's `task_status`: it is ready. *Raises* UsageError `kernel.started-twice`."""
        if self._ready:
            raise UsageError("kernel.started-twice", service=self._spec.name)
        self._ready = True
        self._startup.deadline = math.inf
        if self._spec.checks and self._guard is not None:
            self._guard.start_soon(self._watch, name=f"{self._spec.name} check")
        self._on_ready()

    def halt(self) -> None:
        """Asks for the end: stop() if it is ready and has one, then cancellation."""
        if self._halted or self._over:
            return
        self._halted = True
        if self._ready and self._spec.stops and self._guard is not None:
            self._guard.start_soon(self._stop, name=f"{self._spec.name} stop")
        else:
            self._scope.cancel()

    def crash(self, error: NzError) -> None:
        """Ends it at once, as if it had raised `error`."""
        self._verdict = error
        self._scope.cancel()

    def cancel(self) -> None:
        """Ends it at once, as if it had overrun its time to stop."""
        self._halted = True
        self._scope.cancel()

    async def _live(self) -> None:
        service, spec = self._service, self._spec
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(spec.init_timeout_s) as patience:
                await service.init(Context(spec.name, self._bus, nursery))
            if patience.cancelled_caught:
                raise UnavailableError("kernel.init-timeout", service=spec.name)
            self._startup.deadline = trio.current_time() + spec.start_timeout_s
            with self._startup:
                await service.start(task_status=self)
            if self._startup.cancelled_caught:
                raise UnavailableError("kernel.start-timeout", service=spec.name)
            self._returned = True
            nursery.cancel_scope.cancel()

    async def _watch(self) -> None:
        """The watchdog; what check() raises is the error of this life."""
        while True:
            await trio.sleep(self._spec.check_interval_s)
            with trio.move_on_after(self._spec.check_timeout_s) as patience:
                await self._service.check()
            if patience.cancelled_caught:
                raise UnavailableError("kernel.hung", service=self._spec.name)

    async def _stop(self) -> None:
        try:
            with trio.move_on_after(self._spec.stop_timeout_s) as patience:
                await self._service.stop()
            if patience.cancelled_caught:
                raise UnavailableError("kernel.stop-timeout", service=self._spec.name)
        finally:
            self._scope.cancel()

    def _outcome(self, error: BaseException | None) -> Outcome:
        interrupt = _interrupted(error)
        if self._verdict is not None:
            error = self._verdict
        elif error is None and not self._halted and not self._ready:
            error = UnavailableError("kernel.never-ready", service=self._spec.name)
        elif error is None and not self._halted and not self._returned:
            error = UnavailableError("kernel.cut-short", service=self._spec.name)
        if error is None:
            return Outcome(halted=self._halted)
        trace = "" if isinstance(error, NzError) else "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
        return Outcome(describe(error), not self._halted, interrupt, self._halted, trace)


def _interrupted(error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)
