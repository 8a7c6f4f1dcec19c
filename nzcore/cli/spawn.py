"""How nzcore starts itself as another process, and waits for one to end."""

import os
import select
import sys
import time
from pathlib import Path

import nzcore

_ROOT = Path(nzcore.__file__).resolve().parent.parent


def own_command() -> list[str]:
    """The command line that runs this nzcore with this Python, wherever it is called from."""
    return [sys.executable, "-P", "-m", "nzcore"]


def own_environment() -> dict[str, str]:
    """The environment for `own_command`: a checkout that is not installed is found too."""
    environment = dict(os.environ)
    if "site-packages" not in _ROOT.parts:
        earlier = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{_ROOT}{os.pathsep}{earlier}" if earlier else str(_ROOT)
    return environment


def wait_for_end(pid: int, seconds: float) -> bool:
    """Waits until process `pid`, child or not, is gone; False when it is still there after `seconds`."""
    if not hasattr(os, "pidfd_open"):  # not Linux
        return _poll_for_end(pid, seconds)
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def lock_owner(lock: Path) -> int | None:
    """The process that holds a lock on this file, as far as the system lists it, which Linux does.

    Takes no lock to find out: that might stand in the way of a node that starts just then.
    """
    try:
        file, listed = lock.stat(), Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in listed.splitlines():
        match line.split():
            case [_, "FLOCK", _, _, pid, where, *_] if where == place and int(pid) > 0:
                return int(pid)
    return None


def _poll_for_end(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
