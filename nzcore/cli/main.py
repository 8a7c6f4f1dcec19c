"""The process `nzcore`: how it begins and ends, made short for commands that only ask.

Measured on such a command: collecting garbage while modules load is 4 % of its time, taking the interpreter apart at
the end 14 %. So the one is put off and the other left out, where nothing but this process's own memory is at stake.
"""

import atexit
import gc
import os
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Runs the command line that this process was given, and ends it."""
    gc.disable()
    from nzcore.cli.app import main

    gc.freeze()
    gc.enable()
    _end(main(sys.argv[1:]))


def _end(code: int) -> NoReturn:
    """At once where only a question was asked; in good order where a node, a thread or anybody has last wishes."""
    threading = sys.modules.get("threading")
    if "trio" in sys.modules or atexit._ncallbacks() or (threading and threading.active_count() > 1):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # it was closed, and nobody can be told
            continue
    os._exit(code)
