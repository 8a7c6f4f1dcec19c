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
