"""What `tools/prove faults` breaks a node with: a service that fails on demand, odd values, ill-behaved clients."""

import socket
import time
from pathlib import Path
from typing import Any

import trio

from nzcore.base.errors import NzError
from nzcore.ipc.doors import open_client
from nzcore.ipc.path import socket_path
from nzcore.kernel import Context, Event, Service

ANSWER_S = 10.0  # for one answer, the socket's own restart included

KINDS = {
    "init": ("raise", "exit", "group", "hang"),
    "start": ("raise", "exit", "group", "hang", "return"),
    "life": ("raise", "exit", "group", "child", "return"),
    "check": ("raise", "group", "hang"),
    "stop": ("raise", "hang"),
}


class Planted(Exception):
    """A fault of ours."""


class Faulty(Service):
    """Runs well until told how to fail next."""

    summary = "fails on purpose"
    init_timeout_s = start_timeout_s = stop_timeout_s = check_timeout_s = 0.05
    check_interval_s = 0.02

    def __init__(self, name: str, requires: tuple[str, ...] = ()) -> None:
        self.name, self.requires = name, requires
        self._plan: tuple[str, str] | None = None
        self._end = trio.Event()
        self.fired = 0

    def plan(self, phase: str, kind: str) -> None:
        """Fails in `phase`, as soon as it comes; a life goes before a fault in the start of the next one."""
        self._plan = (phase, kind)
        if phase in ("init", "start", "life"):
            self._end.set()

    async def init(self, ctx: Context) -> None:
        self._ctx, self._end = ctx, trio.Event()
        await self._meet("init")

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        if await self._meet("start"):
            return
        task_status.started()
        await self._end.wait()
        if not await self._meet("life"):
            raise Planted("the life before a fault in the next start")

    async def check(self) -> None:
        await self._meet("check")

    async def stop(self) -> None:
        await self._meet("stop")

    async def _meet(self, phase: str) -> bool:
        """Commits the planned fault if it is for this phase; True where that is to return."""
        if self._plan is None or self._plan[0] != phase:
            return False
        kind, self._plan = self._plan[1], None
        self.fired += 1
        match kind:
            case "raise":
                raise Planted(phase)
            case "exit":
                raise SystemExit(3)
            case "group":
                raise BaseExceptionGroup("planted", [Planted(phase), OSError(5, "planted")])
            case "child":
                self._ctx.nursery.start_soon(_raise_planted)
                await trio.sleep_forever()
            case "hang":
                await trio.sleep_forever()
        return True


async def _raise_planted(*_: object) -> None:
    raise Planted("child or handler")


class Unprintable:
    """A value of an event that resists being shown."""

    def __repr__(self) -> str:
        raise Planted("repr")


async def raise_event(event: Event) -> None:
    raise Planted(event.topic)


def expect(code: str, error: NzError) -> None:
    if error.code != code:
        raise AssertionError(f"{code} was to be raised, not {error!r}") from error


def ask(home: Path, operation: str, args: dict[str, Any]) -> Any:
    """A call by a client of its own, tried anew while the socket's service restarts."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            with open_client(home, timeout_s=ANSWER_S) as client:
                return client.call(operation, args)
        except NzError as error:
            if error.code not in ("ipc.not-running", "ipc.busy") or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def talk(home: Path, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ANSWER_S)
        sock.connect(str(socket_path(home)))
        sock.sendall(data)


def ask_and_leave(home: Path) -> None:
    with open_client(home, timeout_s=ANSWER_S) as client:
        next(iter(client.stream("node.watch", {})))
