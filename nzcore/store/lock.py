"""One process a home: an advisory lock that the system itself takes back when its holder dies (spec/store.md §8).

The process id in the file is for people: a stale one is harmless, because only the lock counts.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.store.files import PRIVATE


class HomeLock:
    """Holds a home, as `with HomeLock(home / "lock"):`; also against a second lock in the same process.

    A child made by `fork` alone shares the lock until it ends; one made by `exec` does not. The file stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Takes the lock at once or *raises* UnavailableError `store.home-busy` with the fact `pid` (None: unknown),
        `store.cannot-write`; UsageError `store.lock-held` when this object has it already."""
        if self._descriptor is not None:
            raise UsageError("store.lock-held")
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE)
        except OSError as error:
            raise UnavailableError("store.cannot-write", path=str(self._path), problem=error.strerror or "") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise UnavailableError("store.home-busy", pid=holder(self._path)) from error
            raise UnavailableError("store.cannot-write", path=str(self._path), problem=error.strerror or "") from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def holder(path: Path) -> int | None:
    """The process id that the file names, or None; whether it still runs is not asked."""
    try:
        with path.open("rb") as file:
            text = file.read(32).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and text.isascii() else None
