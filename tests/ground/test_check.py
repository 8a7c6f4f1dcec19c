"""`tools/test` fails when one of its steps does, and still tells about the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check

ROOT = Path(__file__).resolve().parents[2]


def step(name: str, code: int, *, after: str = "") -> check.Step:
    script = f"import sys; print('said by {name}'); sys.exit({code})"
    return check.Step(name, ((sys.executable, "-S", "-c", script),), after=after)


def test_all_steps_run_and_one_failure_fails_the_whole(monkeypatch, capsys):
    steps = (step("first", 0), step("second", 3), step("third", 0, after="second"), step("fourth", 0))
    monkeypatch.setattr(check, "STEPS", steps)
    assert check.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line[:4] in ("ok  ", "FAIL", "skip")] == [
        ["ok", "first"],
        ["FAIL", "second"],
        ["skip", "third"],
        ["ok", "fourth"],
    ]
    assert "said by second" in lines
    assert "said by first" not in lines
    assert lines[-1].startswith("failed: second")


def test_all_steps_passing_passes(monkeypatch, capsys):
    monkeypatch.setattr(check, "STEPS", (step("first", 0),))
    assert check.main() == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("all passed")


def test_the_steps_are_those_that_contributors_are_told():
    assert [known.name for known in check.STEPS] == ["format", "lint", "types", "floors", "tests", "coverage"]


@pytest.mark.parametrize("script", ["tools/demo", "tools/test", "tools/prove", "tools/bench", "tools/lock", ".ci/run"])
def test_scripts_can_be_run_and_have_no_syntax_error(script):
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / script]).returncode == 0


def test_ci_runs_what_contributors_run():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1].endswith('/../tools/test"')
