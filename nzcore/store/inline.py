"""The key-value store without threads, for virtual clocks and simulations: same interface, sealing and file format.

Blocks the run for as long as the disk takes, so a node does not use it. A file that one variant wrote, the other reads.
"""

import sqlite3
from pathlib import Path
from typing import Self

import trio

from nzcore.base.errors import NzError
from nzcore.crypto.secrets import StoreKey
from nzcore.store.kv import SealedKV
from nzcore.store.schema import open_file, open_memory
from nzcore.store.scrub import Scrub
from nzcore.store.sealing import Head, Sealer, StoredRow
from nzcore.store.transaction import Operation, Table, read, scan


class InlineKV(SealedKV):
    """A `KV` in memory or in a file, as `async with InlineKV(key) as kv`; in memory it ends with the block."""

    def __init__(self, data_key: StoreKey, path: Path | None = None) -> None:
        super().__init__(Sealer(data_key))
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        """*Raises* UnavailableError as `open_database` does."""
        first = self._sealer.first_head
        connection = open_memory(first) if self._path is None else open_file(self._path, first)
        try:
            self._table = Table(connection, self._sealer)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def head(self) -> Head:
        """Commits so far, live rows (namespaces count as rows) and their sum."""
        return self._table.head

    async def verify(self) -> int:
        """As `Database.verify`."""
        connection = self._open()
        scrub = Scrub(connection, self._sealer)
        try:
            while scrub.step():
                pass
        finally:
            connection.execute("ROLLBACK")
        await trio.lowlevel.checkpoint()
        return scrub.rows

    async def _fetch(self, place: bytes) -> StoredRow | None:
        await trio.lowlevel.checkpoint()
        return read(self._open(), [place]).get(place)

    async def _apply(self, operations: list[Operation], weight: int) -> list[int]:
        await trio.lowlevel.checkpoint()
        self._open()
        (outcome,) = self._table.commit([operations])
        if isinstance(outcome, NzError):
            raise outcome
        self._committed(operations, outcome)
        return outcome

    async def _scan(self, tag: bytes, after: bytes, limit: int) -> list[StoredRow]:
        await trio.lowlevel.checkpoint()
        return scan(self._open(), tag, after, limit)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise self._closed_error()
        return self._connection
