"""A real node in a temporary home, driven as a user drives it: by its command."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

COMMAND = str(Path(sys.executable).with_name("nzcore"))
COMMANDS_A_ROUND = 11  # processes a figure of the command line is the median of
STOP_S = 20.0


@contextmanager
def home() -> Iterator[Path]:
    """A home made by `nzcore init`; removed afterwards. Its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="nzb-") as folder:
        path = Path(folder) / "home"
        _nzcore(path, "init", "--no-passphrase", "--name", "bench", "--json")
        yield path


@contextmanager
def running() -> Iterator[Path]:
    """The home of a node that has said that it is ready, until the block ends."""
    with home() as path, _up(path):
        yield path


def seconds_to_ready() -> float:
    """From the start of the process to its ready line."""
    with home() as path:
        start = time.perf_counter()
        with _up(path):
            return time.perf_counter() - start


def command_ms(path: Path) -> dict[str, float]:
    """Milliseconds of whole processes, medians: `state` for `nzcore state --json`, `pass` for `python -c pass`.

    In turn, process by process: a few milliseconds are compared, and any disturbance lasts longer than that.
    """
    commands = {
        "state": [COMMAND, "--home", str(path), "state", "--json"],
        "pass": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(COMMANDS_A_ROUND):
        for name, command in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times[name].append((time.perf_counter() - begun) * 1000)
    return {name: median(found) for name, found in times.items()}


@contextmanager
def _up(path: Path) -> Iterator[None]:
    here = os.environ | {"NZCORE_LAN": "loopback"}  # a benchmark shows itself to nobody
    up = [COMMAND, "--home", str(path), "up", "--json"]
    with subprocess.Popen(up, stdout=subprocess.PIPE, text=True, env=here) as node:
        assert node.stdout is not None
        try:
            line = node.stdout.readline()
            if not line or json.loads(line).get("event") != "ready":
                raise RuntimeError(f"the node did not become ready: {line!r}")
            yield
        finally:
            node.terminate()
            node.communicate(timeout=STOP_S)


def _nzcore(path: Path, *arguments: str) -> None:
    done = subprocess.run([COMMAND, "--home", str(path), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"nzcore {arguments[0]} failed: {done.stderr.strip()}")
