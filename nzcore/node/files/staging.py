"""One transfer on the receiver's disk, until it is whole: a private folder beside the inbox's (spec/files.md §6).

All of it blocks: threads only. Nothing outside the folder is touched before `commit`, and there nothing is overwritten.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.crypto.registers import clean_registers
from nzcore.node.files.behind import WriteBehind
from nzcore.proto.files.frames import DATA_BYTES
from nzcore.proto.files.manifest import Have, Kind, Manifest, places
from nzcore.proto.files.names import FreeNames

PARTIAL = ".nzcore-partial"
"""Folder of unfinished transfers, in the inbox so that a rename is enough to finish one."""

TRIES = 10_000
"""Numbered names that are tried before a destination counts as full of them."""

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_BINARY", 0)
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EXDEV}


class Received(NamedTuple):
    """A file in its final place."""

    path: str
    bytes: int
    sha256: str


class Staging:
    """The folder of one transfer. Made, `match` it with the manifest, write, then `commit` or `discard`."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self.folder = folder
        self._min_free = min_free_bytes
        self._places: list[tuple[str, ...]] = []
        self._manifest = Manifest()
        self._file = -1
        self._behind = WriteBehind(-1, 0)
        self._index = -1
        self._written = 0
        self._hash = hashlib.sha256()
        self._known: dict[int, hashlib._Hash] = {}  # of what is there, to go on with
        self._moved: dict[tuple[str, ...], str] = {}  # roots in their final place, and their names there
        self._done: dict[int, tuple[int, str]] = {}  # index: bytes, SHA-256

    def match(self, manifest: Manifest) -> list[tuple[int, int]]:
        """Makes the folder hold nothing but what is a beginning of a file of `manifest`: index and bytes of each.

        *Raises* UnavailableError `files.disk-full`, `files.cannot-write`.
        """
        self._manifest, self._places = manifest, places(manifest)
        with _told(self.folder):
            self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            os.utime(self.folder)  # expiry counts from the last attempt
            wanted = {place: index for index, place in enumerate(self._places)}
            sizes = dict(self._sweep(wanted))
            for place, entry in zip(self._places, manifest.entries, strict=True):
                if entry.kind is Kind.FOLDER:
                    self._at(place).mkdir(mode=FOLDER_MODE, exist_ok=True)
        return sorted(sizes.items())

    def known(self, index: int, size: int) -> Have:
        """What is there of a file, by its digest. *Raises* UnavailableError `files.cannot-write`."""
        digest = self._known[index] = hashlib.sha256()
        with _told(self.folder), open(self._at(self._places[index]), "rb", buffering=0) as file:
            left = size
            clean_registers()
            while left and (piece := file.read(min(left, DATA_BYTES))):
                digest.update(piece)
                left -= len(piece)
        return Have(index, size, digest.digest())

    def start(self, index: int, offset: int) -> None:
        """Begins to write a file at `offset`, 0 or what was there. *Raises* UnavailableError as `match`."""
        self.close()
        path = self._at(self._places[index])
        known = self._known.pop(index, hashlib.sha256())
        self._hash = known if offset else hashlib.sha256()
        with _told(path):
            if not offset:
                path.unlink(missing_ok=True)
            self._file = os.open(path, _CREATE | (0 if offset else os.O_EXCL), FILE_MODE)
            if offset:
                os.ftruncate(self._file, offset)
                os.lseek(self._file, offset, os.SEEK_SET)
        self._behind = WriteBehind(self._file, offset)
        self._index, self._written = index, offset

    def write(self, data: bytes | memoryview) -> None:
        """*Raises* UnavailableError `files.disk-full` before the disk's reserve is touched, `files.cannot-write`."""
        with _told(self.folder):
            if shutil.disk_usage(self.folder).free < self._min_free + len(data):
                raise UnavailableError("files.disk-full")
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        clean_registers()  # as where it was read
        self._hash.update(data)
        self._written += len(data)
        self._behind.reached(self._written)

    def end(self, sha256: bytes) -> None:
        """Makes the file durable, if it is what was sent. *Raises* PeerError `files.hash-mismatch`."""
        if self._hash.digest() != sha256:
            raise PeerError("files.hash-mismatch", index=self._index)
        with _told(self.folder):
            os.fsync(self._file)
        self._behind.synchronised(self._written)
        self._done[self._index] = (self._written, sha256.hex())
        self.close()

    def wishes(self, destination: Path) -> list[str]:
        """Names for the roots that are free in `destination` now, which is made where it is missing.

        A root that was moved already keeps its name. *Raises* UnavailableError `files.cannot-write`, also where the
        destination is a link or a file.
        """
        try:
            with _told(destination):
                destination.mkdir(mode=FOLDER_MODE)
        except FileExistsError:
            with _told(destination):
                if not stat.S_ISDIR(os.lstat(destination).st_mode):
                    raise UnavailableError("files.cannot-write", f"{destination} is not a folder") from None
        chosen = FreeNames()
        return [self._moved.get(place) or _free(destination, place[0], chosen) for place in self._roots()]

    def commit(self, destination: Path, wished: list[str]) -> None:
        """Moves each root to `wished[i]` in `destination`.

        *Raises* FileExistsError where somebody took a name meanwhile: ask `wishes` again; UnavailableError as `match`.
        """
        for place, name in zip(self._roots(), wished, strict=True):
            if place not in self._moved:
                with _told(destination):
                    _move(self._at(place), destination / name)
                self._moved[place] = name
        _sync(destination)

    def received(self, destination: Path, names: list[str]) -> list[Received]:
        """Every file, where `commit` puts it under these names."""
        roots = dict(zip((place[0] for place in self._roots()), names, strict=True))
        return [
            Received(str(destination.joinpath(roots[place[0]], *place[1:])), size, digest)
            for index, (size, digest) in sorted(self._done.items())
            for place in (self._places[index],)
        ]

    def close(self) -> None:
        """Closes the present file; what was written stays. Harmless when repeated."""
        file, self._file = self._file, -1  # gone even where the system complains: its number is soon somebody else's
        if file >= 0:
            with suppress(OSError):  # whatever is to be relied on was synchronised
                os.close(file)

    def discard(self) -> None:
        """Removes everything that is not in its final place."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _roots(self) -> list[tuple[str, ...]]:
        return [place for place in self._places if len(place) == 1]

    def _at(self, place: tuple[str, ...]) -> Path:
        return self.folder.joinpath(*place)

    def _sweep(self, wanted: dict[tuple[str, ...], int]) -> Iterator[tuple[int, int]]:
        """Removes what is not wanted; index and bytes of what may be the beginning of a wanted file."""
        pending: list[tuple[str, ...]] = [()]
        while pending:
            place = pending.pop()
            with os.scandir(self._at(place)) as found:
                for one in list(found):
                    here = (*place, one.name)
                    index = wanted.get(here)
                    entry = None if index is None else self._manifest.entries[index]
                    if one.is_dir(follow_symlinks=False):
                        if entry is not None and entry.kind is Kind.FOLDER:
                            pending.append(here)
                        else:
                            shutil.rmtree(one.path)
                        continue
                    size = one.stat(follow_symlinks=False).st_size
                    is_file = entry is not None and entry.kind is Kind.FILE and one.is_file(follow_symlinks=False)
                    if is_file and entry is not None and index is not None and 0 < size <= entry.size:
                        yield index, size
                    else:
                        os.unlink(one.path)


def _move(source: Path, target: Path) -> None:
    """Renames without overwriting. *Raises* FileExistsError."""
    if source.is_dir():
        target.mkdir(mode=FOLDER_MODE)  # reserves the name; a folder may then be renamed over an empty one
        source.rename(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, _CREATE | os.O_EXCL, FILE_MODE))  # reserves the name, as above
        source.replace(target)
        return
    source.unlink()


def _free(folder: Path, wish: str, chosen: FreeNames) -> str:
    """The first of `wish`, `wish (2)`, … that is neither there nor chosen."""
    for _ in range(TRIES):
        name = chosen.take(wish)
        if not os.path.lexists(folder / name):
            return name
    raise UnavailableError("files.cannot-write", f"too many files called {wish!r} in {folder}")


def _sync(folder: Path) -> None:
    with _told(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns the system's complaints into ours; FileExistsError passes. The path is for our log, not for the peer."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise UnavailableError("files.disk-full", path=str(path)) from error
        raise UnavailableError(
            "files.cannot-write", f"cannot write {error.filename or path}: {error.strerror}", path=str(path)
        ) from error
