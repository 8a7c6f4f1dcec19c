"""A real terminal (pty) with a command in it, for tests that type and read as a person does."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from nzcore.cli.spawn import own_command, own_environment

WAIT_S = 60
_IN_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in the background
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """Runs one nzcore command line, or a `program`, in a terminal of its own. A context manager that ends it."""

    def __init__(self, *words: str, program: Sequence[str] = (), **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.shown = ""
        self._read = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *(program or (*own_command(), *words))],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=own_environment() | {"TERM": "xterm", "COLUMNS": "120"} | environment,
            start_new_session=True,
        )
        os.close(slave)

    def expect(self, text: str) -> str:
        """Waits until `text` is shown; what was shown since the last text that was waited for."""
        deadline = time.monotonic() + WAIT_S
        while (found := self.shown.find(text, self._read)) < 0:
            if not self._more(deadline):
                raise AssertionError(f"{text!r} was never shown in {self.shown[self._read :]!r}")
        seen = self.shown[self._read : found]
        self._read = found + len(text)
        return seen

    def enter(self, text: str) -> None:
        """Types `text` and Enter."""
        os.write(self.master, text.encode() + b"\r")

    def press(self, key: bytes) -> None:
        """Types a key once the command waits. Between the last letter of a question and the system's `read` a signal
        is noted by Python and the `read` waits nevertheless: too short a time for a person, but not for a test."""
        deadline = time.monotonic() + WAIT_S
        while not self._is_asleep() and time.monotonic() < deadline:
            os.sched_yield()
        os.write(self.master, key)

    def _is_asleep(self) -> bool:
        """Whether the command waits for something, or has ended; where the system does not tell: yes."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return True
        return stat.rpartition(")")[2].split()[0] in "SZ"

    def end(self) -> int:
        """Waits for the command to end; its exit code."""
        deadline = time.monotonic() + WAIT_S
        while self._more(deadline):
            pass
        return self.process.wait(WAIT_S)

    def _more(self, deadline: float) -> bool:
        if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side of a pty has closed
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self.master)
