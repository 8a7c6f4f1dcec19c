"""What the README shows works as shown."""

import os
import re
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
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nzcore").symlink_to(COMMAND)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        "NZCORE_HOME": str(tmp_path / "home"),
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    shown = "".join(blocks("sh")[1:3]).replace("/tmp/bob", str(tmp_path / "bob"))
    tour = [line for line in shown.splitlines() if line.startswith("nzcore ")]
    assert tour[0].startswith("nzcore init ")
    assert tour[-1] == "nzcore down"
    tour[0] = tour[0].replace(" #", " --no-passphrase #")  # instead of the questions of a terminal
    for line in tour:
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            for home in ("home", "bob"):
                subprocess.run([COMMAND, "--home", tmp_path / home, "down"], capture_output=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"
