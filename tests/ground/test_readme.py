"""What the README shows works as shown."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = str(Path(sys.executable).with_name("nzcore"))
PAGE = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_two_commands_exist_and_can_be_run():
    for line in blocks("sh")[0].splitlines():
        assert os.access(ROOT / line.split()[0], os.X_OK), line


@pytest.mark.real
def test_the_kernel_example_runs(tmp_path):
    (code,) = blocks("python")
    script = tmp_path / "example.py"
    script.write_text(code.replace("trio.sleep(3)", "trio.sleep(0.1)"))
    done = subprocess.run([sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["tick", "running"]


@pytest.mark.real
def test_the_first_tour_can_be_walked(tmp_path):
    (tmp_path / "README.md").write_text("a file to sign")
    environment = {**os.environ, "NZCORE_HOME": str(tmp_path / "home")}
    lines = [shlex.split(line, comments=True) for line in blocks("sh")[1].splitlines()]
    commands = [words[1:] for words in lines if words[0] == "nzcore"]
    assert [words[0] for words in commands][:2] == ["init", "up"]
    assert commands[-1] == ["down"]
    commands[0].append("--no-passphrase")  # instead of the questions of a terminal
    for words in commands:
        done = subprocess.run(
            [COMMAND, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            subprocess.run([COMMAND, "down"], env=environment, capture_output=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"
