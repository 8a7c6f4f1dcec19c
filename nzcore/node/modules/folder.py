"""A module's folder as it was at one moment: every file read once, hashed, and bounded (spec/module.md §4).

What is read here is what runs: nothing of a module is read from disk again, so nothing can change between hash and use.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.crypto.hashing import sha256
from nzcore.node.modules.manifest import FILE_NAME, Manifest, parse_manifest
from nzcore.node.plain import plain_path

FILES = 256
FILE_BYTES = 1 << 20
TOTAL_BYTES = 8 << 20
DEPTH = 8
PATH_BYTES = 200
FOLDERS = 64
_IGNORED = frozenset({"__pycache__"})
_LABEL = b"NZ-MODULE-01 files\0"


class Snapshot(NamedTuple):
    """A module as it was read."""

    folder: Path
    manifest: Manifest
    files: Mapping[str, bytes]
    """Contents by path below the folder, with `/`."""
    hashes: Mapping[str, bytes]
    """SHA-256 of each."""

    @property
    def digest(self) -> str:
        """Names exactly these files, 64 hexadecimal digits."""
        return tree_digest(self.hashes).hex()


def tree_digest(hashes: Mapping[str, bytes]) -> bytes:
    """One hash of all paths and their hashes, 32 bytes."""
    parts = [_LABEL]
    for path in sorted(hashes, key=lambda one: one.encode()):
        name = path.encode()
        parts += [len(name).to_bytes(2, "big"), name, hashes[path]]
    return sha256(*parts)


def read_folder(folder: Path) -> Snapshot:
    """Reads the whole module. Blocks, for as long as 8 MiB take.

    Left out are folders `__pycache__` and what begins with a dot: nothing of that can be loaded either.
    *Raises* PeerError `module.no-manifest`, `module.bad-folder`, `module.bad-manifest`; UnavailableError
    `module.unreadable`.
    """
    files: dict[str, bytes] = {}
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        raise PeerError("module.no-manifest", f"{plain_path(folder)} is not a folder") from None
    except OSError as error:
        raise UnavailableError("module.unreadable", f"cannot read {plain_path(folder)}: {error.strerror}") from None
    try:
        _Walk(files).folder(root, "", 0)
    except OSError as error:
        raise UnavailableError("module.unreadable", f"cannot read {plain_path(folder)}: {error.strerror}") from None
    finally:
        os.close(root)
    if FILE_NAME not in files:
        raise PeerError("module.no-manifest", f"{plain_path(folder)} has no {FILE_NAME}")
    manifest = parse_manifest(files[FILE_NAME])
    return Snapshot(folder, manifest, files, {path: sha256(data) for path, data in files.items()})


class _Walk:
    """Reads below one open folder, by descriptors: a folder that becomes a link meanwhile leads nowhere."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files
        self._total = 0
        self._folders = 0

    def folder(self, descriptor: int, prefix: str, depth: int) -> None:
        self._folders += 1
        if depth > DEPTH or self._folders > FOLDERS:
            raise PeerError("module.bad-folder", f"more than {FOLDERS} folders, or deeper than {DEPTH}")
        with os.scandir(descriptor) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            if name in _IGNORED or name.startswith("."):
                continue
            path = prefix + name
            if not path.isprintable() or len(os.fsencode(path)) > PATH_BYTES:
                raise PeerError("module.bad-folder", f"the name {path[:80]!r} is too long, or no text")
            self._entry(descriptor, name, path, depth)

    def _entry(self, parent: int, name: str, path: str, depth: int) -> None:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            kind = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
                raise UnavailableError("module.unreadable", f"cannot read {path}: {error.strerror}") from None
            raise PeerError("module.bad-folder", f"{path} is a link, or no file") from None
        try:
            kind = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(kind):
                self.folder(descriptor, f"{path}/", depth + 1)
            elif stat.S_ISREG(kind):
                self._file(descriptor, path)
            else:
                raise PeerError("module.bad-folder", f"{path} is a link, or no file")
        finally:
            os.close(descriptor)

    def _file(self, descriptor: int, path: str) -> None:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(FILE_BYTES + 1)
        self._total += len(data)
        if len(data) > FILE_BYTES:
            raise PeerError("module.bad-folder", f"{path} has more than {FILE_BYTES >> 20} MiB")
        if self._total > TOTAL_BYTES or len(self._files) >= FILES:
            raise PeerError("module.bad-folder", f"more than {FILES} files or {TOTAL_BYTES >> 20} MiB")
        self._files[path] = data


def difference(pinned: Mapping[str, bytes], now: Mapping[str, bytes]) -> str:
    """What is not as it was pinned, in words; empty where everything is."""
    changed = sorted(path for path in pinned.keys() & now.keys() if pinned[path] != now[path])
    added, gone = sorted(now.keys() - pinned.keys()), sorted(pinned.keys() - now.keys())
    parts = [
        f"{word} {_few(paths)}" for word, paths in (("changed", changed), ("added", added), ("gone", gone)) if paths
    ]
    return "; ".join(parts)


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
