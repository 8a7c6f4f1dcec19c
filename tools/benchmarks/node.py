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
COMMANDS_A_ROUND = 7  # processes a figure of the command line is the median of
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


def state_ms(path: Path) -> float:
    """`nzcore state --json`, as a whole process, in milliseconds."""
    return _process_ms([COMMAND, "--home", str(path), "state", "--json"])


def pass_ms() -> float:
    """`python -c pass`, as a whole process, in milliseconds."""
    return _process_ms([sys.executable, "-c", "pass"])


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


def _process_ms(command: list[str]) -> float:
    times = []
    for _ in range(COMMANDS_A_ROUND):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return median(times) * 1000


def _nzcore(path: Path, *arguments: str) -> None:
    done = subprocess.run([COMMAND, "--home", str(path), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"nzcore {arguments[0]} failed: {done.stderr.strip()}")
