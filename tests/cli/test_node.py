"""A real node is started, asked, hurt and stopped by commands."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nzcore.cli.spawn import own_command, own_environment, wait_for_end
from nzcore.store.lock import holder

from .conftest import WAIT_S, Ended, Run, make_home, spawn, start_node
from .terminal import Terminal

LOCAL = "tcp://127.0.0.1:0"

pytestmark = pytest.mark.real


def pid_of(home: str | Path) -> int:
    """The process of the node that runs in `home`."""
    pid = holder(Path(home) / "lock")
    assert pid
    return pid


def start(home: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    """A node in the foreground, with its output piped."""
    return subprocess.Popen(
        [*own_command(), "--home", str(home), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=own_environment() | environment,
    )


def test_state_tells_all_that_the_table_promises(run: Run, home: str, node: dict[str, Any]) -> None:
    state = run("--home", home, "state", "--json").json
    assert {"node", "identity", "name", "version", "uptime_s", "listen", "services", "peers", "channels"} <= set(state)
    assert (state["node"], state["identity"], state["name"]) == (node["node"], node["identity"], "tester")
    assert state["services"]
    for service in state["services"]:
        assert {"name", "state", "restarts", "since_s"} <= set(service)
    assert run("--home", home, "status", "--json").json["node"] == node["node"]


def test_the_first_human_line_says_healthy(run: Run, home: str) -> None:
    assert run("--home", home, "state").out.startswith("healthy\n")


def test_watching_shows_the_state_at_once(run: Run, home: str, node: dict[str, Any]) -> None:
    ended = run("--home", home, "--timeout", "0.1", "--json", "state", "--watch")
    assert json.loads(ended.out.splitlines()[0])["node"] == node["node"]
    assert ended.code == 5


def test_services_are_listed_and_shown(run: Run, home: str) -> None:
    listed = run("--home", home, "--json", "service", "list").json
    for service in listed:
        assert {"strategy", "requires", "last_error"} <= set(service)
        assert run("--home", home, "--json", "service", "show", service["name"]).json["name"] == service["name"]
        shown = run("--home", home, "service", "show", service["name"]).out
        assert service["name"] in shown
        assert "['" not in shown  # a list is shown as people write one
    assert run("--home", home, "service", "list").out.startswith("SERVICE")


def spared(run: Run, home: str) -> str:
    """A service that nothing needs."""
    listed = run("--home", home, "--json", "service", "list").json
    needed = {name for service in listed for name in service["requires"]}
    return next(str(s["name"]) for s in listed if not s["essential"] and s["name"] not in needed)


def test_a_service_is_stopped_started_restarted_and_killed(run: Run, home: str) -> None:
    name = spared(run, home)
    steps = (("stop", "stopped"), ("start", "running"), ("restart", "running"))
    for verb, state in steps:
        assert run("--home", home, "--json", "service", verb, name).json["state"] == state
    assert run("--home", home, "service", "kill", name).code == 0
    events = run("--home", home, "--json", "state").json["services"]
    assert name in [service["name"] for service in events]


def test_an_essential_service_needs_force(run: Run, home: str) -> None:
    listed = run("--home", home, "--json", "service", "list").json
    essential = [service["name"] for service in listed if service["essential"]]
    assert essential
    for verb in ("stop", "restart"):
        ended = run("--home", home, "--json", "service", verb, essential[0])
        assert ended.code == 4
        assert "--force" in ended.error["hint"]


def test_the_service_that_takes_commands_is_not_stopped_from_under_its_node(run: Run, home: str) -> None:
    ended = run("--home", home, "--json", "service", "stop", "ipc", "--force")
    assert ended.code == 4
    assert "nzcore down" in ended.error["hint"]
    assert run("--home", home, "state").code == 0


def test_the_service_that_takes_commands_says_itself_that_it_was_restarted(run: Run, home: str) -> None:
    ended = run("--home", home, "--json", "service", "restart", "ipc", "--force")
    assert (ended.code, ended.json["name"], ended.json["state"]) == (0, "ipc", "running")
    assert run("--home", home, "service", "restart", "ipc").code == 4


def test_an_unknown_service_is_an_error_with_a_hint(run: Run, home: str) -> None:
    ended = run("--home", home, "--json", "service", "show", "nonsense")
    assert ended.code == 1
    assert ended.error["hint"]


def test_events_are_shown_as_they_happen(run: Run, home: str) -> None:
    watcher = start(Path(home), "--json", "events", "service.**", "--count", "2")
    name = spared(run, home)
    while watcher.poll() is None:  # until the watcher has subscribed, what happens passes it by
        assert run("--home", home, "service", "restart", name).code == 0
    out, err = watcher.communicate(timeout=WAIT_S)
    assert (watcher.returncode, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert len(events) == 2
    assert all(event["topic"].startswith(f"service.{name}.") and event["at"] > 0 for event in events)


def test_settings_are_read_and_written_typed(run: Run, home: str) -> None:
    names = [setting["name"] for setting in run("--home", home, "--json", "config", "list").json]
    assert "log.level" in names
    assert run("--home", home, "--json", "config", "set", "log.level", "debug").json["value"] == "debug"
    assert run("--home", home, "config", "get", "log.level").out == "debug\n"
    for key, value in (("log.level", "loud"), ("log.keep", "many"), ("log.nonsense", "1")):
        ended = run("--home", home, "--json", "config", "set", key, value)
        assert ended.code == 1
        assert ended.error["hint"]


def test_the_doctor_finds_nothing_wrong(run: Run, home: str) -> None:
    ended = run("--home", home, "--json", "doctor")
    assert ended.code == 0, ended.out
    assert all(set(check) == {"check", "ok", "detail", "hint"} for check in ended.json)
    assert run("--home", home, "doctor").out.startswith("all well\n")


def test_the_doctor_fails_where_there_is_no_node(run: Run, tmp_path: Path) -> None:
    ended = run("--home", tmp_path / "nowhere", "--json", "doctor")
    assert ended.code == 1
    assert any(not check["ok"] and check["hint"] for check in ended.json)


def test_the_log_of_a_running_node_is_shown(run: Run, home: str) -> None:
    lines = run("--home", home, "--json", "logs").out.splitlines()
    assert lines
    assert all({"at", "level", "event"} <= set(json.loads(line)) for line in lines)


def test_a_second_node_on_one_home_is_refused_with_the_first_one_s_process(run: Run, home: str) -> None:
    for words in (("up",), ("up", "-d")):
        ended = spawn("--home", home, "--json", *words)
        assert ended.code == 1
        assert str(pid_of(home)) in ended.error["message"] + ended.error["hint"]
    assert run("--home", home, "state").code == 0


def test_a_node_in_the_foreground_says_ready_then_events_and_ends_on_a_signal_with_0(tmp_path: Path) -> None:
    made = make_home(tmp_path / "home")
    for ending in (signal.SIGTERM, signal.SIGHUP):  # SIGINT: in a terminal, below
        child = start(tmp_path / "home", "--json", "up")
        assert child.stdout
        ready = json.loads(child.stdout.readline())
        assert (ready["event"], ready["node"]) == ("ready", made["node"])
        assert isinstance(ready["listen"], list)
        child.send_signal(ending)
        out, err = child.communicate(timeout=WAIT_S)
        assert (child.returncode, err) == (0, "")
        assert all("event" in json.loads(line) for line in out.splitlines())


def test_a_reader_who_leaves_does_not_take_the_node_with_him(run: Run, tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    child = start(tmp_path / "home", "--json", "up")
    assert child.stdout
    child.stdout.readline()
    child.stdout.close()
    for _ in range(3):
        assert run("--home", tmp_path / "home", "--json", "state").json["healthy"]
    assert run("--home", tmp_path / "home", "down").code == 0
    assert child.stderr
    with child.stderr:
        assert (child.wait(WAIT_S), child.stderr.read()) == (0, "")


def test_systemd_hears_that_the_node_is_ready_and_that_it_stops(tmp_path: Path) -> None:
    import socket

    make_home(tmp_path / "home")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(WAIT_S)
        listener.bind(str(tmp_path / "notify"))
        with start(tmp_path / "home", "up", NOTIFY_SOCKET=str(tmp_path / "notify")) as child:
            assert listener.recv(100) == b"READY=1"
            child.terminate()
            assert listener.recv(100) == b"STOPPING=1"
            child.communicate(timeout=WAIT_S)


def test_a_detached_node_goes_on_without_us_and_goes_down_on_command(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = make_home(home)
    started = spawn("--home", str(home), "up", "-d", "--json")
    assert started.code == 0, started.err
    assert started.json["event"] == "ready"
    assert started.json["node"] == made["node"]
    pid = pid_of(home)
    assert os.getsid(pid) != os.getsid(0)
    stopped = spawn("--home", str(home), "down", "--json")
    assert stopped.code == 0, stopped.err
    assert stopped.json["stopped"] is True
    assert wait_for_end(pid, 0)
    assert spawn("--home", str(home), "--json", "down").code == 3


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a passphrase, which is beside it in `passphrase`; `wrong` holds another. To be copied."""
    folder = tmp_path_factory.mktemp("pattern")
    for name, text in (("passphrase", "correct horse"), ("wrong", "battery staple")):
        (folder / name).write_text(text + "\n")
        (folder / name).chmod(0o600)
    make_home(folder / "home", "--passphrase-file", str(folder / "passphrase"))
    return folder


@pytest.fixture
def sealed(pattern: Path, tmp_path: Path) -> Path:
    """A copy of the sealed home, with its passphrases beside it."""
    return Path(shutil.copytree(pattern, tmp_path, dirs_exist_ok=True)) / "home"


def passphrase(home: Path, name: str = "passphrase") -> tuple[str, str]:
    return "--passphrase-file", str(home.parent / name)


def test_a_sealed_node_starts_detached_with_the_passphrase_only_in_a_pipe(sealed: Path) -> None:
    started = spawn("--home", str(sealed), "up", "-d", *passphrase(sealed))
    assert started.code == 0, started.err
    process = Path(f"/proc/{pid_of(sealed)}")
    if process.exists():
        for name in ("cmdline", "environ"):
            assert b"correct horse" not in (process / name).read_bytes()
    assert spawn("--home", str(sealed), "down").code == 0


def test_a_passphrase_with_blanks_is_the_same_from_a_file_a_prompt_and_a_pipe(tmp_path: Path) -> None:
    typed = "  correct\x0chorse\u2028 "
    for name, end in (("passphrase", "\n"), ("windows", "\r\nand more\r\n")):
        (tmp_path / name).write_text(typed + end, newline="")
        (tmp_path / name).chmod(0o600)
    home = tmp_path / "home"
    make_home(home, "--passphrase-file", str(tmp_path / "passphrase"))
    up = ("up", "-d", "--listen", LOCAL, "--no-mdns")  # by pipe; the other opens the vault by itself
    for words, shown in ((("identity", "card"), "nzc:"), (up, "ready")):
        with Terminal("--home", str(home), *words) as person:
            person.expect("passphrase:")
            person.enter(typed)
            person.expect(shown)
            assert person.end() == 0
    assert spawn("--home", str(home), "down").code == 0
    assert spawn("--home", str(home), "identity", "card", *passphrase(home, "windows")).code == 0


def test_settings_of_a_sealed_home_at_rest_need_no_passphrase(run: Run, sealed: Path) -> None:
    assert run("--home", sealed, "--json", "config", "set", "log.keep", "7").json["value"] == 7
    assert run("--home", sealed, "config", "get", "log.keep").out == "7\n"
    listed = {one["name"]: one["value"] for one in run("--home", sealed, "--json", "config", "list").json}
    assert listed["log.keep"] == 7
    wrong = run("--home", sealed, "--json", "config", "set", "log.keep", "many")
    assert (wrong.code, wrong.error["code"]) == (1, "node.bad-setting")


def test_an_operation_on_a_sealed_home_at_rest_takes_the_passphrase(run: Run, sealed: Path) -> None:
    shown = run("--home", sealed, "--json", "identity", "show", *passphrase(sealed))
    assert shown.code == 0, shown.err
    assert shown.json["name"] == "tester"
    assert run("--home", sealed, "--json", "identity", "show", *passphrase(sealed, "wrong")).code == 1


@pytest.mark.parametrize("detach", [(), ("-d",)])
def test_a_wrong_passphrase_is_one_sentence_and_a_hint(sealed: Path, detach: tuple[str, ...]) -> None:
    ended = spawn("--home", str(sealed), "--json", "up", *detach, *passphrase(sealed, "wrong"))
    assert (ended.code, ended.out) == (1, "")
    assert ended.error["code"] == "store.wrong-passphrase"
    assert ended.error["hint"]


def test_without_a_terminal_a_sealed_home_asks_for_a_file(sealed: Path) -> None:
    for words in (("up",), ("up", "-d"), ("identity", "card")):
        ended = spawn("--home", str(sealed), "--json", *words)
        assert (ended.code, ended.error["code"]) == (2, "cli.passphrase-needed")


def test_in_a_terminal_a_person_is_asked_for_the_passphrase(sealed: Path) -> None:
    with Terminal("--home", str(sealed), "up") as terminal:
        terminal.expect("passphrase: ")
        terminal.enter("correct horse")
        terminal.expect("ready: nzn1")
        terminal.press(b"\x03")
        assert terminal.end() == 0
        assert "horse" not in terminal.shown
        assert "Traceback" not in terminal.shown


def test_up_without_a_home_says_how_to_make_one(run: Run, tmp_path: Path) -> None:
    for words in (("up",), ("up", "-d")):
        ended = run("--home", tmp_path / "nowhere", "--json", *words)
        assert (ended.code, ended.error["code"]) == (3, "node.no-home")
    assert not (tmp_path / "nowhere").exists()


def damaged(home: Path) -> Ended:
    return spawn("--home", str(home), "--json", "up", "-d")


def test_a_damaged_home_is_one_sentence_and_a_hint(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    for name in ("config.toml", "vault"):
        path = tmp_path / "home" / name
        good = path.read_bytes()
        path.write_bytes(b"\xffnonsense")
        ended = damaged(tmp_path / "home")
        assert (ended.code, ended.out) == (1, ""), name
        assert ended.error["code"] not in ("cli.bug", "cli.not-ready")
        assert ended.error["hint"]
        path.write_bytes(good)


def test_a_store_that_is_gone_is_told_and_an_empty_one_is_meant(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    start_node(home, "forgetful")
    (home / "store.db").unlink()
    ended = run("--home", home, "--json", "service", "restart", "store", "--force")  # not even under a running node
    assert ended.code == 1
    assert "store file" in run("--home", home, "doctor").out
    assert run("--home", home, "down").code == 0
    assert not (home / "store.db").exists()
    for words in (("up",), ("up", "-d")):
        ended = run("--home", home, "--json", *words)
        assert (ended.code, ended.error["code"]) == (1, "node.missing-store")
        assert "nzcore up --empty-store" in ended.error["hint"]
    found = {one["check"]: one for one in run("--home", home, "--json", "doctor").json}
    assert not found["store file"]["ok"]
    local = ("--listen", LOCAL, "--no-mdns")
    assert spawn("--home", str(home), "up", "-d", "--empty-store", *local).code == 0
    assert run("--home", home, "doctor").code == 0
    assert run("--home", home, "down").code == 0
    ended = spawn("--home", str(home), "--json", "up", "-d", "--empty-store", *local)
    assert (ended.code, ended.error["code"]) == (1, "node.store-exists")


def test_a_node_that_hangs_is_a_timeout(run: Run, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nzcore.ipc.client.GRACE_S", 0)
    monkeypatch.setattr("nzcore.ipc.client.FAREWELL_S", 0)
    pid = pid_of(home)
    os.kill(pid, signal.SIGSTOP)
    try:
        ended = run("--home", home, "--json", "--timeout", "0.05", "state")
        assert (ended.code, ended.error["code"]) == (5, "ipc.timeout")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert run("--home", home, "state").code == 0


def test_a_detached_node_that_is_not_ready_in_time_is_not_left_running(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    ended = spawn("--home", str(tmp_path / "home"), "--json", "--timeout", "0.001", "up", "-d")
    assert (ended.code, ended.out, ended.error["code"]) == (5, "", "cli.timeout")
    for words in ("logs", "up -d --no-modules"):
        assert f"nzcore --home {tmp_path / 'home'} {words}" in ended.error["hint"]


def test_a_second_node_is_refused_before_the_passphrase_is_asked_for(run: Run, sealed: Path) -> None:
    assert spawn("--home", str(sealed), "up", "-d", "--listen", LOCAL, "--no-mdns", *passphrase(sealed)).code == 0
    for words in (("up",), ("up", "-d")):
        ended = run("--home", sealed, "--json", *words)
        assert (ended.code, ended.error["code"]) == (1, "store.home-busy")
        assert f"nzcore --home {sealed} down" in ended.error["hint"]
    assert run("--home", sealed, "down").code == 0
    again = run("--home", sealed, "--json", "state")
    assert again.error["hint"] == f"start it with: nzcore --home {sealed} up -d"
