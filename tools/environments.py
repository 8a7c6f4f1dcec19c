"""The environments of this checkout: each made on first use from a lock file in requirements/, by hash.

`core` is what the product needs and `dev` what checks it, both in .venv; `peers` is what tools/bench measures
against and `prove` what tools/prove fuzzes with, each apart. Runs outside all of them, so it knows only the
standard library. A stamp is written last: an interrupted installation is taken up again at the next call.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
SHOWN_ERRORS = 6  # lines of pip's own errors worth showing before the log takes over


class Environment(NamedTuple):
    """Where an environment lives, which lock file fills it, and whether this checkout is installed in it."""

    folder: str
    lock: str
    checkout: bool


ENVIRONMENTS = {
    "core": Environment(".venv", "core", checkout=True),
    "dev": Environment(".venv", "dev", checkout=True),
    "peers": Environment(".venv-peers", "peers", checkout=False),
    "prove": Environment(".venv-prove", "prove", checkout=True),
}
COMPILED = ("nzcore", "modules")
CONTAINS = {"core": ("core", "dev")}
"""A stamp of any of these satisfies the key; everything else satisfies only itself."""


class Failed(Exception):
    """Says in one sentence what did not work."""


def ensure(name: str, root: Path = ROOT) -> Path:
    """The folder of environment `name`, complete. *Raises* Failed."""
    environment = ENVIRONMENTS[name]
    folder = root / environment.folder
    if _complete(root, folder, name):
        return folder
    with (root / f"{environment.folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first uses at once: the second waits and finds it done
        if not _complete(root, folder, name):
            _make(root, folder, name)
    return folder


def _make(root: Path, folder: Path, name: str) -> None:
    environment = ENVIRONMENTS[name]
    lock = f"requirements/{environment.lock}.txt"
    print(f"preparing {environment.folder} from {lock} (first use only) …", file=sys.stderr, flush=True)
    _stamp(folder, name).unlink(missing_ok=True)
    if not _usable(root, folder):
        shutil.rmtree(folder, ignore_errors=True)
        _run(root, None, [sys.executable, "-m", "venv", str(folder)], "the venv module of this Python does not work")
        (folder / "root").write_text(str(root))
    log = folder / "install.log"
    log.unlink(missing_ok=True)
    python = str(folder / "bin" / "python")
    trouble = f"{lock} could not be installed (no network, or a package missing from the index?)"
    _run(root, log, [python, *PIP, "--require-hashes", "-r", lock], trouble)
    if environment.checkout:
        flags = ["--no-build-isolation", "--no-deps", "--no-index", "--editable", "."]
        _run(root, log, [python, *PIP, *flags], "this checkout could not be installed")
        _compile(root, log, python)
    _stamp(folder, name).write_text(_wanted(root, name))


def _compile(root: Path, log: Path, python: str) -> None:
    """Compiles the checkout's modules now: the first command would, or every one where PYTHONDONTWRITEBYTECODE is set.

    Whatever does not compile or can't be written is no reason to stop here: Python says so where it matters.
    """
    places = [name for name in COMPILED if (root / name).is_dir()]
    done = subprocess.run(
        [python, "-m", "compileall", "-q", *places],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with log.open("a") as out:
        out.write(done.stdout)


def _complete(root: Path, folder: Path, name: str) -> bool:
    for candidate in CONTAINS.get(name, (name,)):
        stamp = _stamp(folder, candidate)
        if stamp.is_file() and stamp.read_text() == _wanted(root, candidate):
            return os.access(folder / "bin" / "python", os.X_OK)
    return False


def _usable(root: Path, folder: Path) -> bool:
    """Whether pip starts there and the folder has not been moved (its scripts hold absolute paths)."""
    made_for = folder / "root"
    if not made_for.is_file() or made_for.read_text() != str(root):
        return False
    try:
        return (
            subprocess.run([folder / "bin" / "python", "-m", "pip", "--version"], capture_output=True).returncode == 0
        )
    except OSError:
        return False


def _stamp(folder: Path, name: str) -> Path:
    return folder / f"stamp-{name}"


def _wanted(root: Path, name: str) -> str:
    """Changes when the lock, the place of the checkout or what pyproject.toml installs change."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    parts = [
        (root / "requirements" / f"{ENVIRONMENTS[name].lock}.txt").read_bytes(),
        str(root).encode(),
        json.dumps([project.get("scripts"), project.get("entry-points")], sort_keys=True).encode(),
    ]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _run(root: Path, log: Path | None, command: list[str], trouble: str) -> None:
    """Runs quietly; warnings go to the log only, errors also to the user."""
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if log is not None:
        with log.open("a") as out:
            out.write(done.stdout)
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "error" in line.lower()][:SHOWN_ERRORS]
        where = f"; all of it is in {log.relative_to(root)}" if log is not None else ""
        raise Failed("\n".join([f"{trouble}{where}", *(f"  {line.strip()}" for line in errors)]))


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in ENVIRONMENTS:
        print(f"usage: tools/ensure-venv {'|'.join(ENVIRONMENTS)}", file=sys.stderr)
        return 2
    try:
        ensure(arguments[0])
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next call takes it up again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
