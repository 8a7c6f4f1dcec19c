"""What needs no node: reasons, schema, completion, logs, units and secrets in files."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from nzcore.base.errors import UsageError
from nzcore.base.reasons import catalogue
from nzcore.cli.commands.logs import _following
from nzcore.cli.commands.up import Printer, event_line
from nzcore.cli.errors import OutputClosed
from nzcore.cli.spawn import _poll_for_end, wait_for_end
from nzcore.cli.systemd import notify
from nzcore.cli.unit import unit_text
from nzcore.control.table import OPERATIONS
from nzcore.node import config

from .conftest import WAIT_S, Run, make_home, spawn


def test_every_code_is_explained_offline(run: Run) -> None:
    listed = {entry["code"]: entry for entry in run("explain", "--json").json}
    assert set(listed) == set(catalogue())
    one = run("explain", "ipc.not-running", "--json").json
    assert one == listed["ipc.not-running"]
    assert run("explain", "ipc.not-running").out == f"ipc.not-running: {one['meaning']}\ntry: {one['hint']}\n"


def test_an_unknown_code_is_met_with_near_ones(run: Run) -> None:
    ended = run("explain", "ipc.not-runing", "--json")
    assert (ended.code, ended.error["code"]) == (1, "cli.unknown-code")
    assert "ipc.not-running" in ended.error["hint"]


def test_the_schema_comes_from_the_table(run: Run) -> None:
    assert set(run("schema", "--json").json) == set(OPERATIONS)
    one = run("schema", "service.stop", "--json").json
    assert one["args"]["$defs"]["ServiceForceArgs"]["properties"]["force"]["type"] == "boolean"
    assert json.loads(run("schema", "service.stop").out) == one
    assert "service.stop" in run("schema").out


def test_an_unknown_operation_is_met_with_near_ones(run: Run) -> None:
    ended = run("schema", "service.stopp", "--json")
    assert (ended.code, ended.error["code"]) == (1, "cli.unknown-operation")
    assert "service.stop" in ended.error["hint"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_for_each_shell(run: Run, shell: str) -> None:
    ended = run("completion", shell)
    assert ended.code == 0
    assert "_NZCORE_COMPLETE" in ended.out
    assert run("completion", shell, "--json").json["script"] + "\n" == ended.out


def complete(*words: str, home: str = "/nonexistent") -> list[str]:
    """What bash would be offered for the last of `words`."""
    line = " ".join(("nzcore", *words))
    ended = spawn(_NZCORE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words)), NZCORE_HOME=home)
    assert ended.err == ""
    return [offered.partition(",")[2] for offered in ended.out.splitlines() if offered]


@pytest.mark.real
def test_commands_options_and_codes_are_completed() -> None:
    assert complete("st") == ["state", "status"]
    assert complete("service", "st") == ["start", "stop"]
    assert complete("explain", "ipc.not-r") == ["ipc.not-running"]
    assert "--watch" in complete("state", "--")
    assert complete("schema", "node.st") == ["node.state", "node.stop"]


@pytest.mark.real
def test_names_of_services_and_settings_are_completed_live(home: str) -> None:
    services = spawn("--home", home, "service", "list", "--json").json
    assert complete("service", "show", "", home=home) == [service["name"] for service in services]
    assert complete("config", "get", "log.l", home=home) == ["log.level"]
    assert complete("service", "show", "") == []


def write_log(home: Path, *entries: dict[str, object]) -> Path:
    log = home / "logs" / "node.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
    return log


def test_the_log_s_last_lines_are_shown(run: Run, tmp_path: Path) -> None:
    write_log(tmp_path, *({"at": "2026-01-01T00:00:00Z", "level": "info", "event": f"e{i}", "n": i} for i in range(9)))
    shown = run("--home", tmp_path, "logs", "-n", "2").out
    assert shown == "2026-01-01 00:00:00 info    e7  n=7\n2026-01-01 00:00:00 info    e8  n=8\n"
    lines = run("--home", tmp_path, "--json", "logs").out.splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(9))
    assert run("--home", tmp_path, "logs", "-n", "0").out == ""


def test_half_a_log_line_is_still_shown(run: Run, tmp_path: Path) -> None:
    log = write_log(tmp_path, {"event": "whole"})
    log.write_bytes(log.read_bytes() + b'{"event": "ha\xff')
    lines = [json.loads(line) for line in run("--home", tmp_path, "--json", "logs").out.splitlines()]
    assert lines == [{"event": "whole"}, {"event": '{"event": "ha\N{REPLACEMENT CHARACTER}'}]


def test_a_long_log_is_read_from_its_end(run: Run, tmp_path: Path) -> None:
    write_log(tmp_path, *({"event": "x" * 1000, "n": i} for i in range(500)))
    lines = run("--home", tmp_path, "--json", "logs", "-n", "200").out.splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(300, 500))


def test_a_followed_log_is_followed_over_its_rotation(tmp_path: Path) -> None:
    log = write_log(tmp_path, {"n": 0}, {"n": 1})
    lines = _following(log, 1)
    assert json.loads(next(lines)) == {"n": 1}
    write_log(tmp_path, {"n": 2})
    assert json.loads(next(lines)) == {"n": 2}
    log.rename(tmp_path / "node.log.1")
    write_log(tmp_path, {"n": 3})
    assert json.loads(next(lines)) == {"n": 3}
    log.write_text("")
    log.write_text('{"n":4}\n')
    assert json.loads(next(lines)) == {"n": 4}


def test_a_home_without_a_log_or_a_node_is_told_apart(run: Run, tmp_path: Path) -> None:
    assert run("--home", tmp_path, "--json", "logs").error["code"] == "node.no-home"
    assert spawn("--home", str(tmp_path), "--json", "logs", "--follow").error["code"] == "node.no-home"
    make_home(tmp_path / "home")
    ended = run("--home", tmp_path / "home", "--json", "logs")
    assert (ended.code, ended.error["code"]) == (1, "cli.no-log")


def test_settings_of_a_resting_home_are_written_by_one_at_a_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(tmp_path / "home")
    seen = []

    def store(path: Path, *change: str) -> object:
        other = os.open(path.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        seen.append(change)
        return writes(path, *change)

    writes = config.store
    monkeypatch.setattr(config, "store", store)
    assert run("--home", tmp_path / "home", "--json", "config", "set", "log.keep", "7").json["value"] == 7
    assert seen == [("log.keep", "7")]


def test_a_command_of_a_stopped_node_says_that_it_is_stopped(run: Run, tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    for words in (("state",), ("down",), ("service", "list"), ("events",)):
        ended = run("--home", tmp_path / "home", "--json", *words)
        assert (ended.code, ended.error["code"]) == (3, "ipc.not-running")
        assert ended.error["hint"] == f"start it with: nzcore --home {tmp_path / 'home'} up -d"


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_by_one_datagram(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"nzcore-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(10)
        listener.bind("\0" + name if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        notify("READY=1")
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nonexistent/socket"])
def test_no_systemd_is_no_fault(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_a_unit_is_written_for_systemd_and_not_overwritten(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "my home 100%"
    make_home(home)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = run("--home", home, "service", "install", "--json").json
    unit = Path(made["unit"])
    assert unit.parent == tmp_path / "config/systemd/user"
    assert re.fullmatch(r"nzcore-my-home-100-[0-9a-f]{8}\.service", unit.name)
    text = unit.read_text()
    assert "Type=notify" in text
    assert f'--home "{str(home).replace("%", "%%")}" up' in text
    again = run("--home", home, "service", "install", "--json")
    assert (again.code, again.error["code"]) == (1, "cli.file-exists")
    assert run("--home", home, "service", "install", "--force").code == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param(
            b"caf\xe9",
            "not UTF-8",
            marks=pytest.mark.skipif(sys.platform == "darwin", reason="its file systems hold UTF-8 only"),
        ),
        (b"a\nExecStart=/bin/false", "a line break"),
        (b"a\x1bb", "another control character"),
        (b"a\\", "a backslash"),
        (b"a ", "a blank"),
    ],
)
def test_a_path_that_no_unit_can_hold_is_refused_and_a_link_to_it_is_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes, why: str
) -> None:
    home = tmp_path / os.fsdecode(name)
    make_home(home)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    refused = run("--home", home, "service", "install", "--json")
    assert (refused.code, refused.error["code"]) == (1, "cli.no-unit-path")
    assert why in refused.error["message"]
    assert not (tmp_path / "config").exists()
    (tmp_path / "plain").symlink_to(home)
    unit = Path(run("--home", tmp_path / "plain", "service", "install", "--json").json["unit"])
    assert f"--home {tmp_path / 'plain'} up\n" in unit.read_text()


def test_a_passphrase_file_that_no_unit_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        unit_text(tmp_path, tmp_path / "pass\nExecStartPre=/bin/false")
    assert refused.value.code == "cli.no-unit-path"


def test_homes_that_are_called_alike_have_units_of_their_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    names = []
    for name in ("дом", "家", "bob", "other/bob"):
        make_home(tmp_path / name)
        names.append(Path(run("--home", tmp_path / name, "service", "install", "--json").json["unit"]).name)
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"nzcore-(home|bob)-[0-9a-f]{8}\.service", name) for name in names)


def test_a_home_has_one_unit_however_it_is_reached(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    make_home(tmp_path / "bob")
    (tmp_path / "link").symlink_to(tmp_path / "bob")
    assert run("--home", tmp_path / "bob", "service", "install").code == 0
    for way in ("link", "bob/../bob"):
        assert run("--home", f"{tmp_path}/{way}", "service", "install", "--json").error["code"] == "cli.file-exists"
    make_home(tmp_path / "data" / "nzcore")
    (tmp_path / "usual").symlink_to(tmp_path / "data")
    made = run("--home", tmp_path / "usual" / "nzcore", "service", "install", "--json").json
    assert Path(made["unit"]).name == "nzcore.service"


def test_a_unit_of_a_sealed_home_hands_the_passphrase_as_a_credential(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    make_home(tmp_path / "home", "--passphrase-file", str(secret))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    refused = run("--home", tmp_path / "home", "service", "install", "--json")
    assert refused.error["code"] == "cli.passphrase-needed"
    made = run("--home", tmp_path / "home", "service", "install", "--passphrase-file", secret, "--json").json
    text = Path(made["unit"]).read_text()
    assert f"LoadCredential=passphrase:{secret}" in text
    assert '--passphrase-file "%d/passphrase"' in text
    assert "correct horse" not in text


def test_an_event_is_a_line_for_a_human() -> None:
    assert event_line({"event": "ready", "node": "nzn1x", "listen": []}).startswith(
        "ready: nzn1x, listening on nothing"
    )
    line = event_line({"event": "service.kv.running", "at": 0.0, "value": {"restarts": 1}})
    assert line.endswith("service.kv.running  restarts=1")
    assert event_line({"event": "a.b", "at": 0, "value": "\x1b[2J"}).isprintable()


def test_what_a_reader_left_behind_is_dropped_and_the_rest_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def closed(text: str) -> None:
        done.append(text)
        raise OutputClosed

    monkeypatch.setattr("nzcore.cli.output.write", closed)
    monkeypatch.setattr("nzcore.cli.output.drop", lambda: done.append("dropped"))
    printer = Printer(as_json=True)
    printer.put({"event": "one"})
    printer.put({"event": "two"})
    printer.close()
    assert done == ['{"event":"one"}\n', "dropped"]


def test_events_that_nobody_reads_in_time_are_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, printed = Event(), []

    def slow(text: str) -> None:
        reading.wait(WAIT_S)
        printed.append(json.loads(text))

    monkeypatch.setattr("nzcore.cli.output.write", slow)
    monkeypatch.setattr("nzcore.cli.commands.up._EVENTS_HELD", 2)
    printer = Printer(as_json=True)
    for number in range(9):
        printer.put({"event": "tick", "number": number})
    reading.set()
    printer.close()
    assert printed[0] == {"event": "tick", "number": 0}
    assert printed[-1]["event"] == "lost"
    assert printed[-1]["count"] == 9 - len(printed[:-1]) > 0


def test_a_printer_that_nobody_reads_any_more_goes_on_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(text: str) -> None:
        raise OutputClosed

    monkeypatch.setattr("nzcore.cli.output.write", gone)
    printer = Printer(as_json=False)
    for number in range(3000):
        printer.put({"event": "tick", "number": number})
    printer.close()
    printer._thread.join(WAIT_S)
    assert not printer._thread.is_alive()


@pytest.mark.parametrize("wait", [wait_for_end, _poll_for_end])
def test_the_end_of_a_process_is_seen_whether_it_is_ours_or_not(wait: Callable[[int, float], bool]) -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait(WAIT_S)
    assert wait(child.pid, 0.01)
    assert not wait(os.getpid(), 0.01)
