"""A line on the terminal that shows how far something is, how fast it goes and how long it will take."""

import os
import shutil
import sys
import time
from collections import deque

from nzcore.base.units import size
from nzcore.cli.output import clean

WINDOW_S = 5.0
"""Seconds over which the rate is taken: long enough to be steady, short enough to follow the network."""

_BAR = 24
_DRAWN_S = 0.05  # drawn more often, it would only be a burden to a distant terminal


class ProgressLine:
    """Redrawn in place on standard error; nothing where that is no terminal.

    A context manager that clears the line; after Ctrl-C it leaves it instead, as how far it came and the terminal's
    own `^C` stand there, and what is said next begins on a line of its own.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._marks: deque[tuple[float, int]] = deque()
        self._width = 0
        self._drawn: tuple[float, str] | None = None

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._width and kind is not None and issubclass(kind, KeyboardInterrupt):
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._width = 0
        self._draw("")

    def update(self, done: int, total: int | None, note: str = "") -> None:
        """`done` of `total` bytes, with `note` in front."""
        if not self._shown:
            return
        now = time.monotonic()
        if self._drawn and note == self._drawn[1] and now - self._drawn[0] < _DRAWN_S and done != total:
            return
        self._drawn = now, note
        if self._marks and done < self._marks[-1][1]:
            self._marks.clear()  # begun anew
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[0][0] > WINDOW_S:
            self._marks.popleft()
        self._draw(line(done, total, self.rate, note))

    @property
    def rate(self) -> float:
        """Bytes a second."""
        (first, before), (last, after) = self._marks[0], self._marks[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def _draw(self, text: str) -> None:
        if not self._shown or (not text and not self._width):
            return
        columns = shutil.get_terminal_size().columns - 1
        text = clean(text)[:columns]
        rest = max(0, self._width - len(text))
        sys.stderr.write("\r" + text + " " * rest + "\b" * rest)  # the cursor stands where the text ends: see `^C`
        sys.stderr.flush()
        self._width = len(text)


def line(done: int, total: int | None, rate: float, note: str = "") -> str:
    """The line itself."""
    parts = [note] if note else []
    if total:
        share = min(1.0, done / total)
        full = int(share * _BAR)
        parts.append(f"[{'#' * full}{'.' * (_BAR - full)}] {share:4.0%}")
    parts.append(f"{size(done)}{f' of {size(total)}' if total else ''}")
    if rate > 0:
        parts.append(f"{size(rate)}/s")
        if total and done < total:
            parts.append(f"{clock((total - done) / rate)} left")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """A length of time in minutes and seconds, or in hours."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole < 360_000 else "days"
