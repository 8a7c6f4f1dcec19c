"""Kills a writing store again and again and looks at what is left: nothing lost, nothing half, nothing in plain.

    python -m tools.proofs.crash [RUNS] [SEED]

Each run starts a process with several writers, kills it with SIGKILL after a seeded number of acknowledgements, and
opens the file again. It then tears the write-ahead log of a copy at a seeded byte, as a power cut might, and checks
that the copy opens at some whole commit. What it does not prove: that the disk keeps what it says it has synced.
"""

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import trio

from nzcore.crypto.secrets import StoreKey
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.database import Database
from nzcore.store.inline import InlineKV
from nzcore.store.kv import Delete, Put

KEY = StoreKey(bytes(range(32)))
NAMESPACE = "planted-namespace"
NAME = "planted-name"
VALUE = b"planted-value"
WRITERS = 6
MOST_ACKNOWLEDGEMENTS = 300
EARLY_S = 0.6  # a kill this long after the start at most, hence also while the file is made or opened
ROOT = Path(__file__).resolve().parents[2]


def prove(runs: int, seed: int = 1) -> dict[str, int]:
    """Kills and checks `runs` times on one growing database; counts what was seen. *Raises* AssertionError."""
    totals: dict[str, int] = defaultdict(int, runs=runs)
    acknowledged: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="nzcore-crash-") as folder:
        path = Path(folder) / "store.db"
        for run in range(runs):
            rng = random.Random(f"{seed}/{run}")  # of its own, since how much is drawn depends on timing
            acknowledged |= _run_and_kill(path, run, rng, totals)
            totals["searched bytes"] += search(path.parent)
            if path.exists():
                totals["torn logs opened"] += _tear(path, rng)
                totals["rows"] = trio.run(_check, path, acknowledged)
    totals["acknowledged"] = sum(count + 1 for count in acknowledged.values())
    return dict(totals)


def search(folder: Path) -> int:
    """Bytes of a folder's files, none of which show what was planted."""
    size = 0
    for file in folder.iterdir():
        content = file.read_bytes()
        size += len(content)
        for planted in (NAMESPACE.encode(), NAME.encode(), VALUE, KEY.view()):
            assert planted not in content, f"{bytes(planted)!r} lies in {file.name}"
    return size


def state(writer: str, step: int) -> bytes | None:
    """What a writer leaves under both of its names after a step; None: nothing."""
    if step < 0 or step % 5 == 3:
        return None
    return VALUE + f" {writer} {step} ".encode() + bytes(step * 397 % 3000)


async def write_for_ever(path: Path, run: int) -> None:
    """The victim: writers that acknowledge each durable transaction on standard output."""

    async def writer(name: str) -> None:
        for step in range(1 << 30):
            value = state(name, step)
            names = [f"{NAME}/{name}/{half}" for half in "ab"]
            await kv.write([Delete(NAMESPACE, n) if value is None else Put(NAMESPACE, n, value) for n in names])
            os.write(1, f"{name} {step}\n".encode())

    async with AsyncioBridge() as bridge, Database(path, KEY, bridge) as kv, trio.open_nursery() as nursery:
        for number in range(WRITERS):
            nursery.start_soon(writer, f"{run}-{number}")


def _run_and_kill(path: Path, run: int, rng: random.Random, totals: dict[str, int]) -> dict[str, int]:
    command = [sys.executable, "-m", "tools.proofs.crash", "--victim", str(path), str(run)]
    early = run % 5 == 1
    wanted = 1 << 30 if early else rng.randrange(MOST_ACKNOWLEDGEMENTS)
    patience = rng.uniform(0, EARLY_S) if early else 30.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as victim:
        assert victim.stdout is not None
        output = b""
        while output.count(b"\n") <= wanted and select.select([victim.stdout], [], [], patience)[0]:
            chunk = os.read(victim.stdout.fileno(), 1 << 16)
            assert chunk, "the victim ended by itself"
            output += chunk
            if early:
                break
        victim.send_signal(signal.SIGKILL)
        output += victim.stdout.read()
    totals["killed early"] += early
    last = {f"{run}-{number}": -1 for number in range(WRITERS)}
    for line in output.splitlines(keepends=True):
        if line.endswith(b"\n"):
            name, step = line.decode().split()
            last[name] = int(step)
    return last


async def _check(path: Path, acknowledged: dict[str, int]) -> int:
    async with InlineKV(KEY, path) as kv:
        await kv.verify()
        for writer, step in acknowledged.items():
            found = await _pair(kv, writer)
            # The step after the acknowledged one may have been committed and its acknowledgement lost.
            assert found in (state(writer, step), state(writer, step + 1)), f"writer {writer} lost step {step}"
        return kv.head.rows


async def _check_torn(path: Path) -> None:
    async with InlineKV(KEY, path) as kv:
        await kv.verify()
        for name in await kv.list(NAMESPACE):
            await _pair(kv, name.split("/")[1])


async def _pair(kv: InlineKV, writer: str) -> bytes | None:
    halves = [await kv.get(NAMESPACE, f"{NAME}/{writer}/{half}") for half in "ab"]
    values = [None if entry is None else entry.value for entry in halves]
    assert values[0] == values[1], f"half a transaction of writer {writer}"
    return values[0]


def _tear(path: Path, rng: random.Random) -> int:
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size == 0:
        return 0
    with tempfile.TemporaryDirectory(prefix="nzcore-torn-") as folder:
        copy = Path(folder) / path.name
        shutil.copy(path, copy)
        content = bytearray(log.read_bytes())
        cut = rng.randrange(len(content))
        if rng.random() < 0.5:
            del content[cut:]
        else:
            content[cut:] = rng.randbytes(len(content) - cut)
        copy.with_name(log.name).write_bytes(content)
        trio.run(_check_torn, copy)
    return 1


def main(arguments: list[str]) -> None:
    """The victim with `--victim PATH RUN`; else the proof, its counts as JSON."""
    if arguments[:1] == ["--victim"]:
        trio.run(write_for_ever, Path(arguments[1]), int(arguments[2]))
    runs, seed = ([int(argument) for argument in arguments] + [50, 1][len(arguments) :])[:2]
    print(json.dumps(prove(runs, seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
