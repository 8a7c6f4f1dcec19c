"""The services that every node runs. Each owns one resource for its life; others reach it through the service."""

import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import trio

from nzcore.base.errors import UnavailableError
from nzcore.base.units import size
from nzcore.ipc.connection import Dispatch, Trouble
from nzcore.ipc.home import serve_home
from nzcore.kernel import Bus, Event, Service
from nzcore.node.config import Log, Monitor
from nzcore.node.home import Home
from nzcore.node.log import NodeLog
from nzcore.node.plain import plain
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.kv import KV

if TYPE_CHECKING:
    from nzcore.kernel.bus import Subscription

BUILT_AT = 1_790_000_000
"""Seconds since 1970 when this version was made: a clock that shows less is wrong."""

JOURNAL_EVENTS = 4096
"""Events that wait for a slow disk before the oldest are dropped and counted."""


class BridgeService(Service):
    """The one asyncio thread, for the libraries that need one."""

    name = "bridge"
    summary = "runs asyncio libraries in one thread"
    essential = True

    def __init__(self) -> None:
        self._bridge: AsyncioBridge | None = None

    @property
    def bridge(self) -> AsyncioBridge:
        """*Raises* UnavailableError `node.service-down`."""
        if self._bridge is None:
            raise UnavailableError("node.service-down", service=self.name)
        return self._bridge

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with AsyncioBridge() as bridge:
            self._bridge = bridge
            try:
                task_status.started()
                await bridge.wait_down()
            finally:
                self._bridge = None

    def status(self) -> Mapping[str, object]:
        return self._bridge.statistics() if self._bridge else {}


class OpenKV(Protocol):
    """Opens the store for the length of an `async with`; called anew at each start of the service."""

    def __call__(self) -> AbstractAsyncContextManager[KV]: ...


class StoreService(Service):
    """The sealed store. What `kv` returns is good until the service restarts: ask again, don't keep it."""

    name = "store"
    summary = "keeps settings and peers, sealed on disk"
    essential = True

    def __init__(
        self,
        open_kv: OpenKV,
        *,
        requires: tuple[str, ...] = ("bridge",),
        wait_lost: Callable[[], Awaitable[None]] = trio.sleep_forever,
    ) -> None:
        """`wait_lost` returns or raises when what the open store stands on has gone: it must then be opened anew."""
        self.requires = requires
        self._open = open_kv
        self._wait_lost = wait_lost
        self._kv: KV | None = None

    @property
    def kv(self) -> KV:
        """*Raises* UnavailableError `node.service-down`."""
        if self._kv is None:
            raise UnavailableError("node.service-down", service=self.name)
        return self._kv

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self._open() as kv:
            self._kv = kv
            try:
                task_status.started()
                await self._wait_lost()
                raise UnavailableError("store.bridge-down")
            finally:
                self._kv = None

    async def check(self) -> None:
        """A read that has to go all the way to the disk's thread and back."""
        await self.kv.get("node", "check")


class DoorService(Service):
    """Lets peers use a protocol for as long as it runs."""

    requires = ("net",)

    def __init__(self, open_door: Callable[[], Callable[[], None]]) -> None:
        """`open_door` begins to serve the protocol; what it returns ends that."""
        self._open = open_door

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        shut = self._open()
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            shut()


SAVE_AGAIN_S = 10.0
"""Seconds before what could not be written is tried again."""


class Unsaved(NamedTuple):
    """Value of `store.trouble`: something could not be written; it is kept and tried again."""

    what: str
    error: str


async def save_patiently(save: Callable[[], Awaitable[None]], bus: Bus, what: str) -> None:
    """Runs `save`, which writes notes until cancelled: they can wait for a disk that is full, channels need not end."""
    while True:
        try:
            await save()
        except UnavailableError as error:
            bus.emit("store.trouble", Unsaved(what, error.message))
            await trio.sleep(SAVE_AGAIN_S)


class JournalService(Service):
    """Writes what goes over the bus to the node's log; what a full disk does not take is counted and told."""

    name = "journal"
    summary = "writes events to logs/node.log"

    stop_timeout_s = 15.0  # longer than what it outlasts

    def __init__(self, bus: Bus, path: Path, settings: Log, *, outlasts: Callable[[], bool] = lambda: False) -> None:
        """`outlasts` says whether others are about to stop, whose end is still to be logged."""
        self._bus = bus
        self._path = path
        self._settings = settings
        self._outlasts = outlasts
        self._events: Subscription | None = None
        self._lost = 0
        self.problems: tuple[str, ...] = ()

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with NodeLog(self._path, self._settings) as log:
            subscription = self._bus.subscribe("**", capacity=JOURNAL_EVENTS, overflow="drop_oldest", name=self.name)
            async with subscription as self._events:
                task_status.started()
                async for event in self._events:
                    self._write(log, event)

    async def stop(self) -> None:
        """Lets what happens until the others have stopped be written."""
        async with self._bus.subscribe("service.**", name="journal stopping") as changes:
            while self._outlasts():
                await changes.receive()
        while self._events is not None and self._events.stats().queued:
            await trio.lowlevel.checkpoint()

    def status(self) -> Mapping[str, object]:
        return {"path": str(self._path), "lost": self._lost}

    def _write(self, log: NodeLog, event: Event) -> None:
        try:
            if self.problems:
                log.write("warning", "journal.resumed", lost=self._lost)
                self.problems = ()
            log.write(level_of(event), event.topic, value=plain(event.value))
        except UnavailableError as error:  # not a crash: a disk that stays full would use up the restarts
            self._lost += 1
            self.problems = (f"events are not logged: {error.message}",)


def level_of(event: Event) -> str:
    """How loud an event is in the log."""
    last = event.topic.rpartition(".")[2]
    if last in ("failed", "crashed", "handler-failed", "alarm"):
        return "error"
    if last in ("dropped", "refused", "backoff", "unwell", "trouble"):
        return "warning"
    return "info"


class Vitals(NamedTuple):
    """Value of the events `node.unwell` and `node.well`."""

    problems: tuple[str, ...]


class MonitorService(Service):
    """Looks now and then at what the node depends on, and says when that changes."""

    name = "monitor"
    summary = "watches disk and clock"

    def __init__(self, bus: Bus, home: Path, settings: Monitor) -> None:
        self._bus = bus
        self._home = home
        self._settings = settings
        self.problems: tuple[str, ...] = ()

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        while True:
            self.look()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(self._settings.interval_s)

    def look(self) -> None:
        """Takes the vitals once; emits an event where they differ from last time."""
        problems = tuple(filter(None, (self._disk(), clock_problem(time.time()))))
        if problems != self.problems:
            self.problems = problems
            self._bus.emit("node.unwell" if problems else "node.well", Vitals(problems))

    def status(self) -> Mapping[str, object]:
        return {"problems": self.problems}

    def _disk(self) -> str:
        return disk_problem(self._home, self._settings.min_free_bytes)


def disk_problem(path: Path, min_free_bytes: int) -> str:
    """What is wrong with the disk that holds `path`; empty when nothing is."""
    try:
        free = shutil.disk_usage(path).free
    except OSError as error:
        return f"cannot look at the disk of {path}: {error.strerror}"
    return f"the disk has only {size(free)} free" if free < min_free_bytes else ""


def clock_problem(now: float) -> str:
    """What is wrong with the clock; empty when nothing is known to be."""
    return "the clock shows a time before this version was made" if now < BUILT_AT else ""


class IpcTrouble(NamedTuple):
    """Value of the event `ipc.trouble`: what went wrong in which operation, if in one."""

    what: str
    operation: str
    error: str


class IpcService(Service):
    """Answers the owner's processes on the local socket."""

    name = "ipc"
    summary = "answers commands on a local socket"
    essential = True

    def __init__(self, home: Home, dispatch: Dispatch, bus: Bus) -> None:
        self._home = home
        self._dispatch = dispatch
        self._bus = bus
        self._path: Path | None = None

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_home, self._home.path, self._dispatch, report=self._report)
            self._path = await nursery.start(serve)
            task_status.started()

    def status(self) -> Mapping[str, object]:
        return {"path": str(self._path)}

    def _report(self, trouble: Trouble) -> None:
        error = f"{type(trouble.error).__name__}: {trouble.error}" if trouble.error else ""
        self._bus.emit("ipc.trouble", IpcTrouble(trouble.what, trouble.operation, error))
