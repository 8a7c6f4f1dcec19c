"""Breaks a real node on purpose, again and again, and asks it over its own socket how it is.

    python -m tools.proofs.faults [FAULTS] [SEED]

One node in this process with its real services over a temporary home, some services whose faults are chosen here, and
its owner as a client. Faults come in batches, by seed: drills of every service, essential ones and the socket's own
included; services that raise, hang, return, or lose a child in init, start, check, life or stop; subscribers that
raise or are overrun; floods; events that nobody can print; handlers that raise; clients that talk nonsense or leave.
After each batch `node.state` must answer. Settings allow many restarts at once, since a thousand faults in a minute
are not what the defaults (5 in 60 s) are for; a second node, with the default, shows what happens beyond them.
"""

import json
import os
import random
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from nzcore.base.errors import NzError, UnavailableError
from nzcore.ipc.path import socket_path
from nzcore.kernel.states import State
from nzcore.node.home import Home
from nzcore.node.node import Node
from nzcore.node.operations.table import HANDLERS
from nzcore.node.run import opened, services_of
from nzcore.node.setup import create_home
from nzcore.proto.identity.mnemonic import Mnemonic
from tools.proofs.faulty import (
    ANSWER_S,
    KINDS,
    Faulty,
    Planted,
    Unprintable,
    ask,
    ask_and_leave,
    expect,
    raise_event,
    talk,
)

BATCH = 20
FLOOD = 1000  # events at once
HEAL_S = 30.0  # for everything to run again after a batch
BROKEN = "identity.card"  # the operation whose handler is made to raise

SETTINGS = """
[supervision]
intensity = 1000
period_s = 1.0
backoff_s = 0.005
backoff_max_s = 0.02
[net]
listen = ["tcp://127.0.0.1:{port}"]
mdns = false
"""
QUICK = SETTINGS.replace("intensity = 1000\nperiod_s = 1.0\n", "")


class Campaign:
    """One node under fault; `faults` counts what was really injected, by its name."""

    def __init__(self, node: Node, rng: random.Random, faulty: list[Faulty], nursery: trio.Nursery) -> None:
        self._node, self._rng, self._faulty, self._nursery = node, rng, faulty, nursery
        self.faults: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.answers = 0
        self._kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            self._drill, self._drill, self._service, self._service, self._service, self._subscriber,
            self._overrun, self._unprintable, self._handler, self._nonsense, self._leaver,
        )  # fmt: skip

    async def run(self, count: int) -> None:
        while (done := self.faults.total()) < count:
            for _ in range(min(BATCH, count - done)):
                await self._rng.choice(self._kinds)()
            await self.heal()
            state = await self.ask("node.state")
            assert state["node"] == self._node.identity.certificate.node.text
            self.answers += 1

    async def ask(self, operation: str, args: dict[str, Any] | None = None) -> Any:
        return await trio.to_thread.run_sync(ask, self._node.home.path, operation, args or {})

    async def heal(self) -> None:
        """Waits until every service runs. *Raises* AssertionError with those that don't."""
        with trio.move_on_after(HEAL_S):
            while not self._all_run():
                await self._node.supervisor.wait_change()
            return
        raise AssertionError(f"not healed in {HEAL_S:g} s: {self._node.problems()}")

    def _all_run(self) -> bool:
        return all(info.state is State.RUNNING for info in self._node.supervisor.list())

    async def _running(self, name: str) -> None:
        with trio.fail_after(HEAL_S):
            while self._node.supervisor.info(name).state is not State.RUNNING:
                await self._node.supervisor.wait_change()

    async def _drill(self) -> None:
        """Any service, over the socket; the socket's own service takes the answer with it."""
        name = self._rng.choice([info.name for info in self._node.supervisor.list()])
        await self._running(name)
        await self._running("ipc")
        before = self._node.supervisor.info(name).restarts
        try:
            await self.ask("service.kill", {"name": name, "force": True})
        except NzError as error:
            if error.code == "kernel.not-running":  # it fell with what it requires, meanwhile
                return
            if name != "ipc":
                raise
        with trio.fail_after(HEAL_S):
            while self._node.supervisor.info(name).restarts == before:
                await self._node.supervisor.wait_change()
        self.faults[f"drill of {name}"] += 1
        self.ends[name] += 1

    async def _service(self) -> None:
        one = self._rng.choice(self._faulty)
        phase = self._rng.choice(list(KINDS))
        kind = self._rng.choice(KINDS[phase])
        await self._running(one.name)
        ends = {"init": 2, "start": 2, "stop": 0}.get(phase, 1)  # a life goes before a fault in the next one's start
        told = self._node.supervisor.info(one.name).restarts + ends
        before = one.fired
        one.plan(phase, kind)
        if phase == "stop":
            await self._node.supervisor.restart_service(one.name)
        with trio.fail_after(HEAL_S):
            while one.fired == before or self._node.supervisor.info(one.name).restarts < told:
                await self._node.supervisor.wait_change()
        self.ends[one.name] += ends
        self.faults[f"{kind} in {phase}"] += 1

    async def _subscriber(self) -> None:
        topic, before = "fault.handled", self._node.bus.stats().handler_failures
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._handle, topic)
                self._node.bus.emit(topic)
                with trio.fail_after(ANSWER_S):
                    while self._node.bus.stats().handler_failures == before:
                        await trio.lowlevel.checkpoint()
                scope.cancel()
        self.faults["subscriber raises"] += 1

    async def _handle(self, topic: str, task_status: trio.TaskStatus[None]) -> None:
        await self._node.bus.handle(topic, raise_event, task_status=task_status)

    async def _overrun(self) -> None:
        """A flood, and two subscribers that can't keep up: one loses the oldest, one is told that it lost some."""
        bus = self._node.bus
        async with (
            bus.subscribe("fault.flood", capacity=4, overflow="error") as strict,
            bus.subscribe("fault.**", capacity=4, overflow="drop_oldest") as late,
        ):
            for number in range(FLOOD):
                bus.emit("fault.flood", number)
            try:
                async for _ in strict:
                    pass
            except UnavailableError as error:
                expect("kernel.overrun", error)
            assert late.dropped == FLOOD - 4
        self.faults["flood of events"] += 1

    async def _unprintable(self) -> None:
        self._node.bus.emit("fault.value", Unprintable())
        await trio.lowlevel.checkpoint()
        self.faults["unprintable event"] += 1

    async def _handler(self) -> None:
        await self._running("ipc")
        try:
            await self.ask(BROKEN)
        except NzError as error:
            expect("ipc.internal", error)
            self.faults["handler raises"] += 1
            return
        raise AssertionError("a handler that raised gave an answer")

    async def _nonsense(self) -> None:
        await self._running("ipc")
        await trio.to_thread.run_sync(talk, self._node.home.path, self._rng.randbytes(self._rng.randrange(1, 200)))
        self.faults["client talks nonsense"] += 1

    async def _leaver(self) -> None:
        """Asks for a stream of all events and is gone before the first."""
        await self._running("ipc")
        await trio.to_thread.run_sync(ask_and_leave, self._node.home.path)
        self.faults["client leaves"] += 1


def _handler_that_raises(node: Node, args: Any, send: object) -> object:
    raise Planted("handler")


@contextmanager
def _broken_handler() -> Iterator[None]:
    whole = HANDLERS[BROKEN]
    HANDLERS[BROKEN] = _handler_that_raises
    try:
        yield
    finally:
        HANDLERS[BROKEN] = whole


class Held:
    """What a process holds: tasks and subscriptions while a node runs, threads and descriptors at any time."""

    @staticmethod
    def inside(node: Node) -> dict[str, int]:
        return {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "subscriptions": len(node.bus.stats().subscriptions),
            **Held.outside(),
        }

    @staticmethod
    def outside() -> dict[str, int]:
        """Trio keeps idle worker threads for some seconds: they are its cache, bounded by its own limit."""
        threads = [one for one in threading.enumerate() if not one.name.startswith("Trio thread")]
        return {"threads": len(threads), "descriptors": len(os.listdir("/dev/fd"))}


async def _calm(node: Node, before: dict[str, int]) -> dict[str, int]:
    """What is held once everything that was cut short has gone; waits for it as long as it takes, within bounds."""
    held = Held.inside(node)
    with trio.move_on_after(ANSWER_S):
        while any(held[what] > before[what] for what in before):
            await trio.sleep(0.02)
            held = Held.inside(node)
    return held


async def _under_fault(node: Node, count: int, seed: int, result: dict[str, object]) -> None:
    faulty = [Faulty("faulty-a"), Faulty("faulty-b", ("faulty-a",)), Faulty("faulty-c", ("store",))]
    ready = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: node.run([*services_of(node), *faulty], on_ready=ready.set))
        await ready.wait()
        campaign = Campaign(node, random.Random(f"faults {seed}"), faulty, nursery)
        await campaign.heal()
        await campaign.ask("node.state")
        before = Held.inside(node)
        with _broken_handler():
            await campaign.run(count)
        held = await _calm(node, before)
        assert all(held[what] <= before[what] for what in before), f"leaked: {before} became {held}"
        state = await campaign.ask("node.state")
        assert state["healthy"], state["problems"]
        told = {service["name"]: service["restarts"] for service in state["services"]}
        short = {name: (told[name], ends) for name, ends in campaign.ends.items() if told[name] < ends}
        assert not short, f"ends that state did not count: {short}"
        checks = await campaign.ask("node.doctor")
        wrong = [check for check in checks if not check["ok"] and check["check"] != "events"]
        assert not wrong, wrong  # the journal may have been flooded: that is what "events" then says
        result |= {
            "faults": campaign.faults.total(),
            "answered": campaign.answers,
            "restarts": sum(told.values()),
            "kinds": len(campaign.faults),
            "events": node.bus.stats().emitted,
        }
        await campaign.ask("node.stop")


async def _beyond_intensity(node: Node, result: dict[str, object]) -> None:
    """With the default intensity: the sixth crash is the last, dependants rest, the node says so and serves on."""
    faulty, dependant = Faulty("faulty-a"), Faulty("faulty-b", ("faulty-a",))
    ready = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: node.run([*services_of(node), faulty, dependant], on_ready=ready.set))
        await ready.wait()
        campaign = Campaign(node, random.Random(0), [], nursery)
        crashes = 0
        with trio.fail_after(HEAL_S):
            while node.supervisor.info("faulty-a").state is not State.FAILED:
                if node.supervisor.info("faulty-a").state is State.RUNNING:
                    node.supervisor.crash("faulty-a")
                    crashes += 1
                await node.supervisor.wait_change()
        assert crashes == node.config.supervision.intensity + 1, crashes
        state = await campaign.ask("node.state")
        states = {service["name"]: service["state"] for service in state["services"]}
        assert (states["faulty-a"], states["faulty-b"]) == ("failed", "stopped"), states
        assert not state["healthy"]
        assert any("faulty-a failed" in problem for problem in state["problems"]), state["problems"]
        assert any("faulty-b is stopped because" in problem for problem in state["problems"]), state["problems"]
        await campaign.ask("service.start", {"name": "faulty-a"})
        await campaign.heal()
        state = await campaign.ask("node.state")
        assert state["healthy"], state["problems"]
        result["failed after"] = crashes
        await campaign.ask("node.stop")


def _node_in(folder: Path, settings: str, play: Callable[[Node], Awaitable[None]]) -> None:
    """Makes a home, plays with its node, and looks that nothing stays."""
    with Mnemonic.generate() as mnemonic:
        create_home(folder, name="proof", mnemonic=mnemonic, passphrase=None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Home(folder).config.write_text(settings.format(port=port))
    before = Held.outside()
    with opened(Home(folder), None) as node:
        try:
            trio.run(play, node)
        except BaseExceptionGroup as group:
            raise _first(group) from group
    after = Held.outside()
    assert after == before, f"left behind: {before} became {after}"
    assert not socket_path(folder).exists()


def prove(count: int, seed: int = 1) -> dict[str, object]:
    """Injects `count` faults and shows the limit of restarts; counts what was seen. *Raises* AssertionError."""
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="nzcore-faults-") as folder:
        trio.run(trio.to_thread.run_sync, os.getpid)  # what libraries open once a process is no leak
        _node_in(Path(folder, "a"), SETTINGS, lambda node: _under_fault(node, count, seed, result))
        _node_in(Path(folder, "b"), QUICK, lambda node: _beyond_intensity(node, result))
    return result


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The claim that failed, or what kept it from being tried, as a claim; Ctrl-C as it is."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, AssertionError | KeyboardInterrupt) else AssertionError(repr(error))


if __name__ == "__main__":
    print(json.dumps(prove(*(int(argument) for argument in sys.argv[1:] or ["1000"]))))
