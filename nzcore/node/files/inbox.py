"""The inbox as a resource: where transfers go, how many at once, how much each peer may leave (spec/files.md §7)."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.crypto.hashing import sha256
from nzcore.node.config import Files
from nzcore.node.files.records import Records
from nzcore.node.files.staging import FOLDER_MODE, PARTIAL, Staging
from nzcore.node.offload import Offload
from nzcore.proto.files.manifest import Manifest
from nzcore.proto.files.names import safe_name

MAX_PARTIAL = 64
"""Unfinished transfers that are kept of one peer; the one that rested longest goes first."""


class Inbox:
    """Folders, places and quotas. `folder` may be missing until the first transfer."""

    def __init__(self, folder: Path, settings: Files, records: Records, offload: Offload) -> None:
        self.folder = folder
        self.records = records
        self.offload = offload
        self._settings = settings
        self._slots: dict[NodeId, trio.Semaphore] = {}
        self._active: dict[Path, tuple[NodeId, int]] = {}  # folder of a transfer under way: whose, bytes still to come
        self._counted: dict[NodeId, int] = {}  # bytes that a peer had here when they were counted, less `_came` then
        self._came: dict[NodeId, int] = {}  # bytes that came from a peer since the start

    def slot(self, peer: NodeId) -> trio.Semaphore:
        """Held while a transfer of this peer is read; others wait for it in the order in which they came."""
        if peer not in self._slots:
            self._slots[peer] = trio.Semaphore(self._settings.at_once)
        return self._slots[peer]

    def destination(self, petname: str) -> Path:
        """The folder of a peer's files."""
        return self.folder / safe_name(petname)

    @contextmanager
    def staging(self, peer: NodeId, manifest: Manifest) -> Iterator[Staging]:
        """The folder of a transfer: that of an earlier attempt to send the same things, unless it is in use.

        "The same things" are files of the same names at the top: what of them is there already, digests tell.
        """
        key = sha256(b"NZ-FILES-01 staging\0", peer, b"\0".join(name.encode() for name in manifest.roots))[:12].hex()
        number = 1
        while (folder := self._partial_of(peer) / f"{key}-{number}") in self._active:
            number += 1
        self._active[folder] = (peer, 0)
        staging = Staging(folder, self._settings.min_free_bytes)
        try:
            yield staging
        finally:
            staging.close()
            del self._active[folder]

    async def admit(self, staging: Staging, peer: NodeId, missing: int, *, exactly: bool = False) -> int:
        """Admits a transfer that still brings `missing` bytes; how many more this peer might bring, or fewer.

        What a peer has here is counted once and then added up. That is never too little, and too much when files were
        moved away meanwhile: so it is counted anew before anything is refused, and where the answer must be exact.
        *Raises* PeerError `files.over-quota`; UnavailableError `files.disk-full`, `store.*`.
        """
        if exactly or peer not in self._counted or missing > self._room(staging, peer):
            await self._count(peer)
        room = self._room(staging, peer)
        if missing > room:
            raise PeerError("files.over-quota", quota=self._settings.quota_bytes, held=self._held(peer))
        to_come = sum(left for folder, (_, left) in self._active.items() if folder != staging.folder)
        free = (await self.offload(shutil.disk_usage, staging.folder)).free
        if missing + to_come > free - self._settings.min_free_bytes:
            raise UnavailableError("files.disk-full")
        self._active[staging.folder] = (peer, missing)
        return room

    def arrived(self, staging: Staging, size: int) -> None:
        """So many of the missing bytes are on the disk."""
        peer, left = self._active[staging.folder]
        self._active[staging.folder] = (peer, max(0, left - size))
        self._came[peer] = self._came.get(peer, 0) + size

    def make_folder(self) -> None:
        """*Raises* UnavailableError `files.cannot-write`. Blocks."""
        try:
            self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            (self.folder / PARTIAL).mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise UnavailableError("files.cannot-write", f"cannot make {self.folder}: {error.strerror}") from error

    def expire(self, now: float | None = None) -> int:
        """Removes unfinished transfers that rested too long, and what a peer has too many of; how many. Blocks."""
        oldest = (time.time() if now is None else now) - self._settings.keep_partial_days * 86_400
        removed = 0
        for peer in _folders(self.folder / PARTIAL):
            resting = sorted(
                (folder for folder in _folders(peer) if folder not in self._active),
                key=lambda one: one.stat().st_mtime,
                reverse=True,
            )
            for position, folder in enumerate(resting):
                if position >= MAX_PARTIAL or folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += 1
            if not any(_folders(peer)):
                shutil.rmtree(peer, ignore_errors=True)
        return removed

    @property
    def active(self) -> int:
        """Transfers under way."""
        return len(self._active)

    def _held(self, peer: NodeId) -> int:
        """Bytes of this peer in the inbox, at most: received and not moved away, and unfinished."""
        return self._counted[peer] + self._came.get(peer, 0)

    def _room(self, staging: Staging, peer: NodeId) -> int:
        """What the quota leaves for `staging` beside what is here and what other transfers still bring."""
        others = sum(left for folder, (who, left) in self._active.items() if who == peer and folder != staging.folder)
        return self._settings.quota_bytes - self._held(peer) - others

    async def _count(self, peer: NodeId) -> None:
        """Looks at the disk. Unfinished files first: what is moved meanwhile then counts twice, never not at all."""
        came = self._came.get(peer, 0)
        unfinished = await self.offload(_size, self._partial_of(peer))
        files = {path: size async for page in self.records.of(peer) for path, size, _ in page.files}
        self._counted[peer] = unfinished + await self.offload(_present, files) - came

    def _partial_of(self, peer: NodeId) -> Path:
        return self.folder / PARTIAL / peer.text[4:20]


def _folders(folder: Path) -> list[Path]:
    """Real folders in `folder`; none where it is missing."""
    try:
        with os.scandir(folder) as found:
            return [Path(one.path) for one in found if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _present(files: dict[str, int]) -> int:
    """Bytes of those that are still where they were put."""
    return sum(size for path, size in files.items() if os.path.lexists(path))


def _size(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:  # it went meanwhile
                continue
    return total
