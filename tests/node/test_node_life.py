"""A node starts, is interrupted at any time, serves whoever asks, and stops in order, within bounds."""

import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.kernel import Bus, Service
from nzcore.kernel.states import State
from nzcore.node import run as running
from nzcore.node.config import Log, Monitor
from nzcore.node.home import Home
from nzcore.node.node import Node
from nzcore.node.plain import plain
from nzcore.node.run import _told, run_node, run_offline
from nzcore.node.services import JournalService, MonitorService, StoreService, clock_problem, disk_problem
from nzcore.store.inline import InlineKV


class Slow(Service):
    """Needs long to start, and longer to stop."""

    name = "slow"
    start_timeout_s = stop_timeout_s = 60.0

    def __init__(self, *, start_s: float = 0.0, stop_s: float = 0.0) -> None:
        self._start_s, self._stop_s = start_s, stop_s
        self.cleaned = False

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await trio.sleep(self._start_s)
            task_status.started()
            await trio.sleep_forever()
        finally:
            self.cleaned = True

    async def stop(self) -> None:
        await trio.sleep(self._stop_s)


class Broken(Service):
    name = "broken"
    essential = True

    async def init(self, ctx: object) -> None:
        raise ValueError("planted")


async def test_a_stop_while_services_start_ends_the_node_at_once(node: Node, autojump_clock: object) -> None:
    slow, was_ready = Slow(start_s=30), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: node.run([slow], on_ready=was_ready.set))
        await trio.sleep(1)
        assert [one.state for one in node.state().services] == ["starting"]
        node.request_stop()
        node.request_stop()
    assert trio.current_time() < 5
    assert slow.cleaned
    assert not was_ready.is_set()
    assert not node.is_ready
    with pytest.raises(UnavailableError) as caught:
        node.state()
    assert caught.value.code == "node.not-up"


async def test_a_stop_before_the_start_starts_nothing(node: Node, autojump_clock: object) -> None:
    node.request_stop()
    slow = Slow(start_s=30)
    await node.run([slow])
    assert trio.current_time() < 1


async def test_a_stop_gives_services_their_time_and_hurrying_takes_it(node: Node, autojump_clock: object) -> None:
    slow, ready = Slow(stop_s=50), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: node.run([slow], on_ready=ready.set))
        await ready.wait()
        node.request_stop()
        await trio.sleep(10)
        assert node.supervisor.info("slow").state is State.STOPPING
        await node.hurry()
        assert trio.current_time() < 12
    assert slow.cleaned


async def test_an_essential_service_that_does_not_start_is_one_sentence(node: Node, autojump_clock: object) -> None:
    with pytest.raises(UnavailableError) as caught:
        await node.run([Broken(), Slow()])
    assert caught.value.code == "node.not-ready"
    assert "broken did not start: ValueError: planted" in caught.value.message


async def test_a_store_whose_ground_has_gone_is_opened_anew(node: Node, autojump_clock: object) -> None:
    lost = trio.Event()
    store = StoreService(lambda: InlineKV(node.identity.data_key), requires=(), wait_lost=lost.wait)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run, [store])
        await trio.sleep(1)
        before = store.kv
        lost.set()
        await trio.sleep(0.01)
        with pytest.raises(UnavailableError) as caught:
            _ = store.kv
        assert caught.value.code == "node.service-down"
        lost = trio.Event()
        store._wait_lost = lost.wait
        await trio.sleep(5)
        assert store.kv is not before
        node.request_stop()


# --- the journal and the monitor


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_what_was_queued_is_logged_before_the_journal_stops(node: Node, autojump_clock: object) -> None:
    log, ready = node.home.log, trio.Event()
    node.home.make_folders()
    journal = JournalService(node.bus, log, Log())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: node.run([journal, Slow()], on_ready=ready.set))
        await ready.wait()
        for number in range(1000):
            node.bus.emit("test.value", number)
        node.bus.emit("test.bytes", b"\xff")
        node.request_stop()
    written = lines(log)
    assert [line["value"] for line in written if line["event"] == "test.value"] == list(range(1000))
    assert next(line["value"] for line in written if line["event"] == "test.bytes") == "ff"
    assert "service.slow.stopped" in [line["event"] for line in written]
    assert log.stat().st_mode & 0o077 == 0


async def test_a_full_disk_is_a_problem_and_neither_a_crash_nor_a_traceback(
    node: Node, autojump_clock: object, capfd: pytest.CaptureFixture[str]
) -> None:
    node.home.make_folders()
    node.home.log.symlink_to("/dev/full")
    journal, ready = JournalService(node.bus, node.home.log, Log()), trio.Event()
    node.watchers.append(lambda: journal.problems)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: node.run([journal], on_ready=ready.set))
        await ready.wait()
        for _ in range(50):
            node.bus.emit("test.value", 1)
        await trio.sleep(1)
        state = node.state()
        assert (state.healthy, state.services[0].state, state.services[0].restarts) == (False, "running", 0)
        assert "No space left" in state.problems[0]
        assert journal.status()["lost"] >= 50
        node.request_stop()
    assert capfd.readouterr() == ("", "")


async def test_the_log_goes_on_when_the_disk_takes_lines_again(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus()
    journal = JournalService(bus, tmp_path / "node.log", Log())
    with monkeypatch.context() as patched:
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.start)
            patched.setattr(logging.StreamHandler, "emit", _full)
            bus.emit("test.lost")
            await trio.sleep(1)
            assert journal.problems
            patched.undo()
            bus.emit("test.kept", ("a", 1))
            await trio.sleep(1)
            assert not journal.problems
            nursery.cancel_scope.cancel()
    assert [(one["event"], one["level"]) for one in lines(tmp_path / "node.log")] == [
        ("journal.resumed", "warning"),
        ("test.kept", "info"),
    ]


def _full(self: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        self.handleError(record)


@pytest.mark.parametrize(
    ("topic", "level"),
    [("service.x.failed", "error"), ("channel.alarm", "error"), ("bus.dropped", "warning"), ("node.stopping", "info")],
)
async def test_what_is_bad_is_loud(tmp_path: Path, autojump_clock: object, topic: str, level: str) -> None:
    bus = Bus()
    journal = JournalService(bus, tmp_path / "node.log", Log(level="warning"))
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.start)
        bus.emit(topic)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [one["level"] for one in lines(tmp_path / "node.log")] == ([] if level == "info" else [level])


async def test_the_log_is_rotated_by_size_and_kept_private(tmp_path: Path, autojump_clock: object) -> None:
    bus = Bus()
    journal = JournalService(bus, tmp_path / "node.log", Log(max_bytes=65_536, keep=2))
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.start)
        for _ in range(5):
            for _ in range(500):
                bus.emit("test.value", "x" * 100)
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    found = [tmp_path / name for name in sorted(os.listdir(tmp_path))]
    assert [path.name for path in found] == ["node.log", "node.log.1", "node.log.2"]
    assert all(path.stat().st_size <= 65_536 and path.stat().st_mode & 0o077 == 0 for path in found)


class Sulking:
    def __repr__(self) -> str:
        raise SystemError


def test_anything_has_a_plain_form() -> None:
    loop: list[object] = []
    loop.append(loop)
    for value in (Sulking(), loop, {Sulking(): 1}, object(), float("nan"), b"", (1, (2,)), {1: {2: {3}}}):
        plain(value)
    assert len(str(plain(type("Long", (), {"__repr__": lambda self: "x" * 10**6})()))) <= 500


async def test_the_monitor_tells_when_something_begins_and_ends(tmp_path: Path, autojump_clock: object) -> None:
    bus = Bus()
    well, unwell = (
        MonitorService(bus, tmp_path, Monitor()),
        MonitorService(bus, tmp_path, Monitor(min_free_bytes=1 << 60)),
    )
    async with bus.subscribe("node.*") as events:
        well.look()
        unwell.look()
        unwell.look()
        unwell._settings = Monitor(min_free_bytes=0)
        unwell.look()
        bus.emit("node.end")
        told = [(await events.receive()).topic for _ in range(3)]
    assert told == ["node.unwell", "node.well", "node.end"]
    assert "cannot look" in disk_problem(tmp_path / "nowhere", 0)
    assert clock_problem(0)


# --- the process


def test_several_errors_become_the_first_ctrl_c_itself_and_a_bug_stays_one() -> None:
    ours, other = UnavailableError("node.not-ready"), UsageError("node.unknown-setting")
    assert _told(BaseExceptionGroup("", [ExceptionGroup("", [ours]), other])) is ours
    assert isinstance(_told(BaseExceptionGroup("", [ours, KeyboardInterrupt()])), KeyboardInterrupt)
    assert _told(BaseExceptionGroup("", [ours, ValueError()])) is None


def told_until_ready(home: Home, then: Callable[[], None], **options: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []

    def on_event(event: dict[str, Any]) -> None:
        told.append(event)
        if event["event"] == "ready":
            then()

    assert run_node(home.path, passphrase=None, on_event=on_event, **options) == 0
    return told


@pytest.mark.real
@pytest.mark.parametrize(
    "which", [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)]
)
def test_signals_stop_a_node_in_order_however_many_there_are(home: Home, which: tuple[signal.Signals, ...]) -> None:
    told = told_until_ready(home, lambda: [os.kill(os.getpid(), one) for one in which] and None)
    assert told[0]["event"] == "ready"
    assert told[0]["node"].startswith("nzn1")
    topics = [one["event"] for one in told]
    assert "node.stopping" in topics
    assert not (home.run / "nzcore.sock").exists()
    logged = [line["event"] for line in lines(home.log)]
    assert "node.stopping" in logged
    assert "service.bridge.stopped" in logged or len(which) > 1  # who hurries it does not wait for the log's last line
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.real
def test_a_listener_of_events_that_raises_harms_nobody(home: Home) -> None:
    seen: list[str] = []

    def on_event(event: dict[str, Any]) -> None:
        seen.append(event["event"])
        if event["event"] == "ready":
            os.kill(os.getpid(), signal.SIGTERM)
            return
        raise ValueError("planted")

    assert run_node(home.path, passphrase=None, on_event=on_event) == 0
    assert len(seen) > 1
    assert "bus.handler-failed" in [line["event"] for line in lines(home.log)]


@pytest.mark.real
def test_what_was_overruled_for_a_run_is_not_written_or_taken_for_a_change(home: Home) -> None:
    told = told_until_ready(home, lambda: os.kill(os.getpid(), signal.SIGTERM), listen=("tcp://127.0.0.1:0",))
    assert "127.0.0.1" in told[0]["listen"][0]
    assert "listen" not in home.config.read_text()
    with pytest.raises(UsageError) as caught:
        run_node(home.path, passphrase=None, on_event=print, listen=("nonsense",))
    assert caught.value.code == "node.bad-setting"


def test_operations_on_a_home_at_rest_go_through_the_same_gate(home: Home) -> None:
    shown = run_offline(home.path, passphrase=None, operation="identity.show", args={})
    assert shown["name"] == "tester"
    for operation, args, code in (
        ("node.state", {}, "node.needs-running"),
        ("nonsense", {}, "node.needs-running"),
        ("identity.sign", {"digest": "x"}, "control.bad-arguments"),
        ("identity.apply", {"certificate": "x"}, "identity.bad-text"),
    ):
        with pytest.raises(NzError) as caught:
            run_offline(home.path, passphrase=None, operation=operation, args=args)
        assert caught.value.code == code
    with running.opened(home, None), pytest.raises(UnavailableError) as busy:
        run_offline(home.path, passphrase=None, operation="identity.show", args={})
    assert busy.value.code == "store.home-busy"
    assert busy.value.facts["pid"] == os.getpid()
