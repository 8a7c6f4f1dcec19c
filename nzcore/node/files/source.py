"""What is sent, from the sender's disk: finding it, reading it, noticing that it changes. It blocks: threads only.

Links are not followed, except a path that the user named. Devices, sockets and pipes are skipped and said to be.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.crypto.registers import clean_registers
from nzcore.node.plain import plain_path
from nzcore.proto.files.frames import DATA_BYTES
from nzcore.proto.files.manifest import MAX_COMPONENT_BYTES, Entry, Kind, Manifest
from nzcore.proto.files.names import numbered

SKIPPED_SHOWN = 100
"""Paths that are named of those that were skipped."""

_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_BINARY", 0)


class Stamp(NamedTuple):
    """By which a change of a file is noticed."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Stamp":
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class Survey:
    """All that is to be sent: the manifest, and where the content of each entry lies."""

    def __init__(self) -> None:
        self.manifest = Manifest()
        self.paths: list[str] = []
        self.skipped: list[str] = []

    def add(self, path: tuple[str, ...], kind: Kind, size: int, place: str) -> None:
        """*Raises* UsageError `files.too-many-files`, `files.bad-path`: the sender's own limits are the receiver's."""
        try:
            self.manifest.add(Entry(path, kind, size))
        except PeerError as error:
            raise UsageError(error.code, f"{place} cannot be sent: {error.message}", path=place) from None
        self.paths.append(place)

    def skip(self, place: str) -> None:
        if len(self.skipped) < SKIPPED_SHOWN:
            self.skipped.append(plain_path(place))


def survey(paths: list[str]) -> Survey:
    """Looks at everything under `paths`, which are absolute.

    *Raises* UsageError `files.relative-path`, `files.no-path`, `files.nothing-to-send`, `files.too-many-files`;
    UnavailableError `files.unreadable`.
    """
    found = Survey()
    names = _Names()
    for path in paths:
        if not os.path.isabs(path):
            raise UsageError("files.relative-path", path=path)
        real = os.path.realpath(path)
        try:
            status = os.stat(real)
        except OSError as error:
            raise UsageError("files.no-path", f"cannot send {path}: {error.strerror}", path=path) from None
        name = names.take(os.path.basename(os.path.normpath(path)) or os.path.basename(real) or "root")
        if stat.S_ISDIR(status.st_mode):
            found.add((name,), Kind.FOLDER, 0, real)
            _walk(real, (name,), found)
        elif stat.S_ISREG(status.st_mode):
            found.add((name,), Kind.FILE, status.st_size, real)
        else:
            raise UsageError("files.nothing-to-send", f"{path} is neither a file nor a folder", path=path)
    return found


def survey_stream(name: str) -> Survey:
    """One file whose content comes from elsewhere. *Raises* UsageError `files.bad-path`."""
    found = Survey()
    found.add((_wire_name(name),), Kind.STREAM, 0, "")
    return found


class Reading:
    """One file being read: open from the start to `close`. The digest is of all that was read, in order."""

    def __init__(self, path: str, size: int) -> None:
        """*Raises* UnavailableError `files.unreadable`, `files.source-changed` where it has not `size` bytes."""
        self._path = path
        self._left = size
        self._hash = hashlib.sha256()
        try:
            self._file = os.open(path, _OPEN | os.O_NOFOLLOW)
        except OSError as error:
            raise _unreadable(path, error) from None
        try:
            found = os.fstat(self._file)
        except OSError as error:  # of a file that went from a server, say
            self.close()
            raise _unreadable(path, error) from None
        self._stamp = Stamp.of(found)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            self.close()
            raise _changed(path)

    def skip(self, size: int) -> None:
        """Reads and hashes up to `size` bytes that need not be sent. *Raises* as `read`."""
        while size and not self.is_done:
            size -= len(self.read(min(size, DATA_BYTES)))

    def is_at(self, sha256: bytes) -> bool:
        """Whether all that was read has this digest."""
        return self._hash.digest() == sha256

    def rewind(self) -> None:
        """Begins anew."""
        self._left = self._stamp.size
        self._hash = hashlib.sha256()
        os.lseek(self._file, 0, os.SEEK_SET)

    def read(self, size: int = DATA_BYTES) -> bytes:
        """The next piece, empty at the end. *Raises* UnavailableError `files.unreadable`, `files.source-changed`."""
        try:
            data = os.read(self._file, min(size, self._left))
        except OSError as error:
            raise _unreadable(self._path, error) from None
        if not data and self._left:
            raise _changed(self._path)
        self._left -= len(data)
        clean_registers()  # a thread inherits those of the thread that seals: unclean, SHA-256 takes 15 % longer
        self._hash.update(data)
        return data

    @property
    def is_done(self) -> bool:
        return not self._left

    def finish(self) -> bytes:
        """SHA-256 of all that was read; closes. *Raises* as `read`."""
        try:
            changed = Stamp.of(os.fstat(self._file)) != self._stamp
        except OSError as error:
            raise _unreadable(self._path, error) from None
        finally:
            self.close()
        if changed:
            raise _changed(self._path)
        return self._hash.digest()

    def close(self) -> None:
        """Harmless when repeated."""
        file, self._file = self._file, -1  # gone even where the system complains: its number is soon somebody else's
        if file >= 0:
            with suppress(OSError):  # which nobody who only reads need know
                os.close(file)


def _walk(folder: str, path: tuple[str, ...], found: Survey) -> None:
    """Depth first in order of names, so that two surveys of one tree give one manifest."""
    pending: list[tuple[str, tuple[str, ...]]] = [(folder, path)]
    while pending:
        folder, path = pending.pop()
        inner: list[tuple[str, tuple[str, ...]]] = []
        names = _Names()
        for entry in _entries(folder):
            if entry.is_symlink():
                found.skip(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                inner.append((entry.path, (*path, names.take(entry.name))))
                found.add(inner[-1][1], Kind.FOLDER, 0, entry.path)
            elif entry.is_file(follow_symlinks=False):
                size = _size(entry)
                found.add((*path, names.take(entry.name)), Kind.FILE, size, entry.path)
            else:
                found.skip(entry.path)
        pending += reversed(inner)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda one: one.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError as error:
        raise _unreadable(entry.path, error) from None


class _Names:
    """Names as they travel: UTF-8, and distinct even where two files of a folder differ in bytes that are none."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        plain, number = _wire_name(name), 1
        while numbered(plain, number) in self._taken:
            number += 1
        self._taken.add(numbered(plain, number))
        return numbered(plain, number)


def _wire_name(name: str) -> str:
    text = plain_path(name).replace("/", "_").replace("\0", "_")
    return "file" if text in ("", ".", "..") else text.encode()[:MAX_COMPONENT_BYTES].decode(errors="ignore")


def _unreadable(path: str, error: OSError) -> UnavailableError:
    return UnavailableError("files.unreadable", f"cannot read {path}: {error.strerror}", path=path)


def _changed(path: str) -> UnavailableError:
    return UnavailableError("files.source-changed", f"{path} changed while it was sent", path=path)
