"""What arrived, as the inbox remembers it: pages of files in the sealed store, the oldest forgotten first."""

import os
from collections.abc import AsyncIterator, Callable, Iterator

from msgspec import Struct

from nzcore.base.ids import NodeId
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.node.files.staging import Received
from nzcore.store.kv import KV, Delete, Put

NAMESPACE = "inbox"
PAGE_FILES = 1000
PAGE_BYTES = 256 << 10
"""Files, and bytes of their paths, of one entry: a quarter of what the store and a local message take."""

KEPT_PAGES = 5000
"""Pages kept. A record is a memory, not the file: forgetting one deletes nothing."""


class Page(Struct, frozen=True):
    """Some files of one transfer."""

    peer: NodeId
    name: str
    """Petname at that time."""
    transfer: bytes
    received_at: float
    destination: list[str]
    """Names of the transfer's roots as stored."""
    files: list[tuple[str, int, str]]
    """Absolute path, bytes, SHA-256 in hexadecimal."""


class Records:
    """The pages of a node's inbox."""

    def __init__(self, kv: Callable[[], KV]) -> None:
        self._kv = kv

    async def add(self, page: Page, files: list[Received]) -> None:
        """Records a transfer, durably; again is harmless: the same transfer of the same peer is one record.

        *Raises* UnavailableError `store.*`.
        """
        kv = self._kv()
        names = await kv.list(NAMESPACE)
        suffix = _suffix(page.peer, page.transfer)
        writes: list[Put | Delete] = [Delete(NAMESPACE, name) for name in names if suffix in name]
        for number, part in enumerate(_parts(files)):
            whole = Page(page.peer, page.name, page.transfer, page.received_at, page.destination, part)
            name = f"{int(page.received_at * 1000):015d}{suffix}{number:04d}"
            writes.append(Put(NAMESPACE, name, pack(builtins(whole))))
        writes += [Delete(NAMESPACE, name) for name in names[: max(0, len(names) - KEPT_PAGES)]]
        await kv.write(writes)

    async def find(self, peer: NodeId, transfer: bytes) -> list[Page]:
        """The pages of one transfer; none where it was never completed. *Raises* UnavailableError `store.*`."""
        suffix = _suffix(peer, transfer)
        return [page async for page in self._pages([n for n in await self._kv().list(NAMESPACE) if suffix in n])]

    async def all(self) -> AsyncIterator[Page]:
        """Every page, the oldest first. *Raises* UnavailableError `store.*`."""
        async for page in self._pages(await self._kv().list(NAMESPACE)):
            yield page

    async def of(self, peer: NodeId) -> AsyncIterator[Page]:
        """The pages of one peer, the oldest first; others are not read. *Raises* UnavailableError `store.*`."""
        own = [name for name in await self._kv().list(NAMESPACE) if f"-{peer.short}-" in name]
        async for page in self._pages(own):
            if page.peer == peer:
                yield page

    async def _pages(self, names: list[str]) -> AsyncIterator[Page]:
        for name in names:
            entry = await self._kv().get(NAMESPACE, name)
            if entry is not None:
                yield convert(unpack(entry.value), Page)


def _parts(files: list[Received]) -> Iterator[list[tuple[str, int, str]]]:
    """The files in pages; one empty page where there are none, as of a folder without files."""
    part: list[tuple[str, int, str]] = []
    size = 0
    for one in files:
        cost = len(os.fsencode(one.path))
        if part and (len(part) == PAGE_FILES or size + cost > PAGE_BYTES):
            yield part
            part, size = [], 0
        part.append((one.path, one.bytes, one.sha256))
        size += cost
    yield part


def _suffix(peer: NodeId, transfer: bytes) -> str:
    return f"-{peer.short}-{transfer.hex()}-"
