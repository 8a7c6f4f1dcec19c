"""The manifest of a transfer: paths, kinds and sizes, checked before a byte of content comes (spec/files.md §3).

Names travel as lists of components, so there is no separator to smuggle. Knows no file system: `places` says under
which names a receiver writes.
"""

from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct

from nzcore.base.errors import PeerError
from nzcore.codec.frames import pack
from nzcore.proto.files.names import FreeNames, safe_name

MAX_ENTRIES = 65_536
"""Files and folders of one transfer: some 20 MiB of memory at the receiver, and no more."""

MAX_DEPTH = 32
MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 1024
MAX_SIZE = 1 << 53
"""Bytes of a file: what every language's numbers hold exactly."""

MAX_ROOTS = 1024
"""Files and folders at the top of a transfer: each is looked for, named and put in place by itself."""


class Kind(IntEnum):
    """What an entry is."""

    FILE = 0
    FOLDER = 1
    STREAM = 2
    """A file whose size nobody knows before its end, as from a pipe: it can't be resumed."""


class Entry(Struct, frozen=True, array_like=True):
    """One file or folder. `size` is 0 for what is no FILE."""

    path: tuple[str, ...]
    kind: Kind
    size: int


class Have(Struct, frozen=True, array_like=True):
    """What a receiver still holds of a file: how many bytes from its beginning, and their SHA-256."""

    index: int
    size: int
    sha256: bytes


class Manifest:
    """Entries in order, every folder before what is in it. `add` refuses what breaks a rule; nothing is half added."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """*Raises* as `add`."""
        self.entries: list[Entry] = []
        self.total = 0
        """Bytes of all files whose size is known."""
        self.files = 0
        self.has_stream = False
        self._kinds: dict[tuple[str, ...], Kind] = {}
        self._roots = 0
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """*Raises* PeerError `files.bad-path`, `files.bad-size`, `files.bad-manifest`, `files.too-many-files`."""
        if len(self.entries) >= MAX_ENTRIES or (len(entry.path) == 1 and self._roots >= MAX_ROOTS):
            raise PeerError("files.too-many-files", limit=MAX_ENTRIES)
        check_path(entry.path)
        if not 0 <= entry.size <= MAX_SIZE - self.total or (entry.kind is not Kind.FILE and entry.size):
            raise PeerError("files.bad-size", size=entry.size)
        if entry.path in self._kinds:
            raise PeerError("files.bad-manifest", "a path that stands in the manifest already", path=entry.path)
        if len(entry.path) > 1 and self._kinds.get(entry.path[:-1]) is not Kind.FOLDER:
            raise PeerError("files.bad-manifest", "a path whose folder does not come before it", path=entry.path)
        self._kinds[entry.path] = entry.kind
        self.entries.append(entry)
        self.total += entry.size
        self.files += entry.kind is not Kind.FOLDER
        self.has_stream |= entry.kind is Kind.STREAM
        self._roots += len(entry.path) == 1

    @property
    def roots(self) -> list[str]:
        """Names at the top, in order."""
        return [entry.path[0] for entry in self.entries if len(entry.path) == 1]

    def content(self) -> bytes:
        """What two manifests share exactly if they are the same; MessagePack of all entries."""
        return pack([[list(entry.path), int(entry.kind), entry.size] for entry in self.entries])


def check_path(path: tuple[str, ...]) -> None:
    """*Raises* PeerError `files.bad-path` for what no honest sender calls a path."""
    if not 1 <= len(path) <= MAX_DEPTH:
        raise PeerError("files.bad-path", depth=len(path))
    total = 0
    for name in path:
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            size = 0
        if not 1 <= size <= MAX_COMPONENT_BYTES or name in (".", "..") or "/" in name or "\0" in name:
            raise PeerError("files.bad-path", "an impossible name in a path", name=name[:64])
        total += size + 1
    if total > MAX_PATH_BYTES:
        raise PeerError("files.bad-path", "a path that is too long", size=total)


def places(manifest: Manifest) -> list[tuple[str, ...]]:
    """Where each entry goes: safe names, distinct within their folder even where case does not count.

    The first name of each is only a wish: what stands in the destination already is known there.
    """
    placed: dict[tuple[str, ...], tuple[str, ...]] = {(): ()}
    taken: dict[tuple[str, ...], FreeNames] = {}
    found: list[tuple[str, ...]] = []
    for entry in manifest.entries:
        names = taken.setdefault(entry.path[:-1], FreeNames())
        place = (*placed[entry.path[:-1]], names.take(safe_name(entry.path[-1])))
        if entry.kind is Kind.FOLDER:
            placed[entry.path] = place
        found.append(place)
    return found
