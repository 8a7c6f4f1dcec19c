"""Files that hold secrets: private from their first byte, replaced whole or not at all (spec/store.md §7)."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from nzcore.base.errors import UnavailableError, UsageError

PRIVATE = 0o600
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_new(path: Path, content: bytes) -> None:
    """Makes a private file, durably.

    *Raises* UsageError `store.file-exists`; UnavailableError `store.disk-full`, `store.cannot-write`.
    """
    try:
        _make(path, content)  # not a rename: two `init` at once must not overwrite each other's keys
        sync_folder(path.parent)
    except FileExistsError as error:
        raise UsageError("store.file-exists", path=str(path)) from error
    except OSError as error:
        raise _unwritten(path, error) from error


def replace(path: Path, content: bytes) -> None:
    """Puts `content` in the place of a file: afterwards, and after a crash at any moment, it is the old or the new one.

    *Raises* UnavailableError `store.disk-full`, `store.cannot-write`; the old file is then untouched, and alone.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)  # what a crash left behind
        _make(fresh, content)
        try:
            fresh.replace(path)
        except OSError:
            _drop(fresh)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error


def read(path: Path, max_bytes: int) -> bytes:
    """Up to `max_bytes + 1` bytes of a file. *Raises* UnavailableError `store.missing-file`, `store.cannot-read`."""
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise UnavailableError("store.missing-file", f"the file {path.name} is not there", path=str(path)) from error
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise UnavailableError("store.cannot-read", f"cannot read {path}: {problem}", path=str(path)) from error


def permissions_problem(path: str | os.PathLike[str]) -> str | None:
    """Why a secret file is not private (for `doctor`), or None: others may touch it, or it belongs to somebody else."""
    try:
        found = os.lstat(path)
    except OSError as error:
        return f"{path} can't be examined: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is not a regular file"
    if found.st_uid != os.geteuid():
        return f"{path} belongs to user {found.st_uid}, not to you"
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return f"{path} has mode {mode:04o}, so others may reach it; run: chmod 600 {path}"
    return None


def require_private(path: Path) -> None:
    """*Raises* UnavailableError `store.not-private` where `permissions_problem` finds one in a file that exists."""
    if path.exists() or path.is_symlink():
        problem = permissions_problem(path)
        if problem is not None:
            raise UnavailableError("store.not-private", path=str(path), problem=problem)


def sync_folder(folder: Path) -> None:
    """Makes what was created or renamed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(path: Path, content: bytes) -> None:
    """Makes and fills a file that must not be there yet; one that could not be filled is not left behind."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), PRIVATE)  # whatever the umask says
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _drop(path)
        raise


def _drop(path: Path) -> None:
    with suppress(OSError):  # why it could not be written is what is told
        path.unlink()


def _unwritten(path: Path, error: OSError) -> UnavailableError:
    if error.errno in _FULL:
        return UnavailableError("store.disk-full", f"cannot write {path}: the disk is full", path=str(path))
    problem = error.strerror or type(error).__name__
    return UnavailableError("store.cannot-write", f"cannot write {path}: {problem}", path=str(path))
