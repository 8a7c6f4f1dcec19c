"""In which modules' code a node is as it begins, written beside it: one that hangs there can't be asked afterwards.

A note is the file `starting-NAME` in the folder `run`, made before code of the module runs and taken back when it has
ended, or has run for a while. Whoever is killed in between leaves it, and the next start that loads modules clears it.
The log can't tell this: its lines are written by a task, which waits for the same code. Nothing is synchronised,
because a note has to outlive its process and not its machine: so it costs 70 µs, made and taken back.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SETTLED_S = 1.0
"""Seconds that a module's own tasks may run before it counts as begun: long enough for code that never awaits to be met
in them, short enough that a kill at another time hardly ever blames a module."""

_PREFIX = "starting-"
_DIGITS = 20
_turns = itertools.count(1)  # not the file's time: on many disks all that happens within 4 ms has the same


class Beginnings:
    """The notes of one home. A disk that refuses them hinders nobody."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the home's `run`; it may be missing."""
        self._folder = folder

    @contextmanager
    def noted(self, name: str) -> Iterator[None]:
        """Holds the note of a module while its code runs; `settled` takes it back earlier."""
        self.entered(name)
        try:
            yield
        finally:
            self.settled(name)

    def entered(self, name: str) -> None:
        """Code of this module runs next; it is the last one that did."""
        with suppress(OSError):
            note = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(note, "w", encoding="ascii") as file:
                file.write(str(next(_turns)))

    def settled(self, name: str) -> None:
        """The module has begun, or is not to begin again; harmless when repeated."""
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forgets what an earlier process left."""
        for name in self.left():
            self.settled(name)

    def left(self) -> list[str]:
        """Names of modules in whose beginning a node is, or was when it ended; the last one that was entered first.

        Code that never awaits is that one's, unless it awaited before: then it may be another's.
        """
        turns = {path.name.removeprefix(_PREFIX): _turn(path) for path in self._folder.glob(f"{_PREFIX}*")}
        return sorted(turns, key=lambda name: (-turns[name], name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{_PREFIX}{name}"


def spoken(names: Sequence[str]) -> str:
    """What `left` answers, as a sentence ends with it."""
    last, *others = names
    return f"the module {last}" + (f"; just before it began: {', '.join(others)}" if others else "")


def _turn(path: Path) -> int:
    """0 for what is no note of ours."""
    try:
        with path.open("rb") as file:
            return int(file.read(_DIGITS))
    except (OSError, ValueError):
        return 0
