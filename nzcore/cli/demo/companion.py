"""Runs nzcore for as long as the process lives that started it: a demo that is killed leaves no node behind.

Linux sends a process that asked for it a signal when its parent is gone, however that ended (PR_SET_PDEATHSIG in
prctl(2)). It is asked for here, in the child and before nzcore's own beginning: Popen's `preexec_fn` would run Python
between fork and exec, where the thread that draws the demo's table may hold any lock. Other systems have no such
signal; there a demo that is killed leaves its nodes, as a person can see with `ps`.
"""

import os
import signal
import sys

from nzcore.cli.spawn import own_command

_PR_SET_PDEATHSIG = 1


def companion_command() -> list[str]:
    """As `own_command`, for a process that is to end with this one. To be started by a thread that stays."""
    if sys.platform != "linux":
        return own_command()
    return [sys.executable, "-P", "-m", __name__, str(os.getpid())]


def end_with(parent: int) -> None:
    """Asks for SIGTERM at the parent's end, by which a node stops in good order; ends at once where that has been."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # can't fail for a known signal
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    from nzcore.cli.main import run

    run()
