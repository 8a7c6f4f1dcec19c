"""A module's own folder in the home: relative names, no links, each file replaced whole (spec/module.md §3)."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.node.offload import Offload
from nzcore.node.plain import plain_path
from nzcore.store.files import replace

FOLDER_MODE = 0o700
FILE_BYTES = 64 << 20
NAMES = 10_000
_PART = re.compile(r"[^\0/\\.][^\0/\\]{0,127}")
DEPTH = 8


class PrivateFiles:
    """The files of one module. Made anew for each use; holds nothing open."""

    def __init__(self, folder: Path, offload: Offload) -> None:
        self._folder = folder
        self._offload = offload

    async def read(self, path: str, *, max_bytes: int = 1 << 24) -> bytes:
        """*Raises* UnavailableError `module.unreadable`; UsageError `module.bad-name`."""
        return await self._offload(_read, self._folder, _parts(path), max_bytes)

    async def write(self, path: str, data: bytes) -> None:
        """*Raises* UnavailableError `module.unreadable`, `store.cannot-write`; UsageError `module.bad-name`."""
        if len(data) > FILE_BYTES:
            raise UsageError("module.bad-name", f"{path[:80]}: more than {FILE_BYTES >> 20} MiB")
        await self._offload(_write, self._folder, _parts(path), bytes(data))

    async def delete(self, path: str) -> None:
        await self._offload(_delete, self._folder, _parts(path))

    async def list(self) -> Sequence[str]:
        return await self._offload(_list, self._folder)


def _parts(path: str) -> tuple[str, ...]:
    """*Raises* UsageError `module.bad-name` for what is hidden, absolute, too deep, or leads elsewhere."""
    parts = tuple(path.split("/"))
    if len(parts) > DEPTH or not all(_PART.fullmatch(part) and part.isprintable() for part in parts):
        raise UsageError("module.bad-name", f"{path[:80]!r} is not a name for a file of a module")
    return parts


def _place(folder: Path, parts: tuple[str, ...]) -> Path:
    """The file's path. *Raises* UnavailableError `module.unreadable` where a link is on the way."""
    place = folder
    for part in ("", *parts):
        place = place / part if part else place
        if place.is_symlink():
            raise UnavailableError("module.unreadable", f"{plain_path(place)} is a link")
    return place


def _read(folder: Path, parts: tuple[str, ...], max_bytes: int) -> bytes:
    place = _place(folder, parts)
    try:
        with place.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise UnavailableError("module.unreadable", f"cannot read {plain_path(place)}: {error.strerror}") from None
    if len(data) > max_bytes:
        raise UnavailableError("module.unreadable", f"{plain_path(place)} has more than {max_bytes} bytes")
    return data


def _write(folder: Path, parts: tuple[str, ...], data: bytes) -> None:
    place = _place(folder, parts)
    try:
        place.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            "module.unreadable", f"cannot make {plain_path(place.parent)}: {error.strerror}"
        ) from None
    replace(place, data)


def _delete(folder: Path, parts: tuple[str, ...]) -> None:
    place = _place(folder, parts)
    try:
        place.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError("module.unreadable", f"cannot remove {plain_path(place)}: {error.strerror}") from None


def _list(folder: Path) -> list[str]:
    found: list[str] = []
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        found += [str((Path(place) / name).relative_to(folder)) for name in names if not name.startswith(".")]
        if len(found) > NAMES:
            raise UnavailableError("module.unreadable", f"{plain_path(folder)} has more than {NAMES} files")
    return sorted(found)
