"""The demo is real, says what failed, and leaves no process and no folder behind."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from nzcore.cli.demo.play import play
from nzcore.cli.demo.stage import Stage, failed
from nzcore.cli.demo.steps import STEPS, Step
from nzcore.cli.spawn import own_command, own_environment, wait_for_end

from .conftest import WAIT_S, Run, spawn
from .terminal import Terminal

pytestmark = pytest.mark.real


def test_the_demo_goes_well_and_leaves_nothing(tmp_path: Path) -> None:
    ended = spawn("demo", "--json", TMPDIR=str(tmp_path))
    assert ended.code == 0, ended.out
    result = ended.json
    assert set(result) == {"ok", "steps", "pids"}
    assert result["ok"] is True
    assert [step["name"] for step in result["steps"]] == [step.name for step in STEPS]
    assert all(step["ok"] and step["detail"] and step["seconds"] >= 0 for step in result["steps"])
    assert len(set(result["pids"])) == 4  # three players, one of whom was killed and came back
    assert all(wait_for_end(pid, 0) for pid in result["pids"])
    assert list(tmp_path.iterdir()) == []


def test_the_demo_is_told_line_by_line_where_nothing_is_drawn(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    short = STEPS[:1]
    monkeypatch.setattr("nzcore.cli.demo.steps.STEPS", short)
    ended = run("demo", "--keep")
    lines = ended.out.splitlines()
    assert [line.split()[:2] for line in lines[: len(short)]] == [["ok", step.name] for step in short]
    (folder,) = tmp_path.iterdir()
    assert f"nzcore --home {folder}/alice up -d" in ended.out
    assert run("--home", f"{folder}/alice", "--json", "identity", "show").json["name"] == "alice"


def test_a_demo_in_a_terminal_is_a_table_and_ctrl_c_takes_its_processes_along(tmp_path: Path) -> None:
    with Terminal("demo", TMPDIR=str(tmp_path)) as terminal:
        terminal.expect("what came of it")
        while not (found := re.search(r"process (\d+) *\r?\n", terminal.shown)):
            terminal.expect("\n")
        terminal.press(b"\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.shown
    assert wait_for_end(int(found[1]), 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_demo_takes_its_processes_along(tmp_path: Path, number: signal.Signals) -> None:
    child = subprocess.Popen(
        [*own_command(), "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=own_environment() | {"TMPDIR": str(tmp_path)},
    )
    assert child.stdout
    up = next(line for line in child.stdout if line.split()[1] == "up")
    pid = int(up.split("process")[1])
    child.send_signal(number)
    child.send_signal(signal.SIGTERM)  # whoever is impatient doesn't leave more behind
    _, err = child.communicate(timeout=WAIT_S)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert wait_for_end(pid, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_killed_demo_takes_its_nodes_along(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [*own_command(), "demo"], stdout=subprocess.PIPE, text=True, env=own_environment() | {"TMPDIR": str(tmp_path)}
    )
    assert child.stdout
    up = next(line for line in child.stdout if line.split()[1] == "up")
    pid = int(up.split("process")[1])
    child.kill()
    child.communicate(timeout=WAIT_S)
    try:
        assert wait_for_end(pid, WAIT_S)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_node_whose_demo_died_before_it_began_does_not_begin() -> None:
    late = [sys.executable, "-P", "-m", "nzcore.cli.demo.companion", "-1", "--version"]  # of a parent that is none
    ended = subprocess.run(late, env=own_environment(), capture_output=True, timeout=WAIT_S, check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")


def test_a_failed_step_ends_the_play_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def breaks(_: Stage) -> str:
        raise failed("it broke")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[int] = []
    steps = (*STEPS[:2], Step("break", "fails", breaks), *STEPS[2:])
    with Stage() as stage:
        result = play(stage, steps, lambda outcomes: seen.append(len(outcomes)))
        assert not wait_for_end(result["pids"][0], 0)
    assert result["ok"] is False
    assert [(step["name"], step["ok"]) for step in result["steps"]] == [("init", True), ("up", True), ("break", False)]
    assert result["steps"][-1]["detail"] == "it broke"
    assert seen == [1, 2, 3]
    assert wait_for_end(result["pids"][0], 0)
    assert not stage.folder.exists()


def test_a_node_that_does_not_start_is_a_failed_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Stage() as stage:
        STEPS[0].act(stage)
        (stage.folder / "alice" / "vault").write_bytes(b"nonsense")
        result = play(stage, STEPS[1:], lambda _: None)
    assert [(step["name"], step["ok"]) for step in result["steps"]] == [("up", False)]
    assert "alice did not start" in result["steps"][0]["detail"]
    assert json.dumps(result)
    assert os.listdir(tmp_path) == []
