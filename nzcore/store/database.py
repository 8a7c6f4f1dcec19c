"""The key-value store of a node: one SQLite file behind aiosqlite, reached through the bridge (spec/store.md §5).

Two connections, each with aiosqlite's own thread: one writes, one reads, so neither waits for the other. What they do
is in `transaction.py`; here is only who does it when.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar, TypeVarTuple, cast

import aiosqlite
import trio

from nzcore.base.errors import NzError, UnavailableError
from nzcore.crypto.secrets import StoreKey
from nzcore.store.batch import Batcher
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.kv import SealedKV
from nzcore.store.schema import open_file, open_reader
from nzcore.store.scrub import Scrub
from nzcore.store.sealing import Head, Sealer, StoredRow
from nzcore.store.transaction import Operation, Outcome, Table, read, scan

BATCH_REQUESTS = 512
BATCH_BYTES = 4 << 20  # of values and operations in one shared commit: bounds its memory and everybody's wait
BATCH_READS = 256
MAX_WAITING = 1024  # queued writers, and queued readers; further ones wait for room
DISK_S = 30.0  # after this a call counts as hung: real time, whatever clock Trio runs on

T = TypeVar("T")
Args = TypeVarTuple("Args")


class _Connection(aiosqlite.Connection):
    """aiosqlite's thread and queue, for whole calls: a transaction costs one trip through its thread, not five."""

    async def call(self, fn: Callable[[*Args], T], *args: *Args) -> T:
        """Runs `fn(*args)` in the connection's thread. *Raises* UnavailableError `store.disk-hangs`."""
        execute = cast("Callable[..., Awaitable[T]]", self._execute)
        # A call that has reached the thread can't be taken back: on a timeout it may still be carried out.
        try:
            async with asyncio.timeout(DISK_S) as patience:
                return await execute(fn, *args)
        except TimeoutError:
            if not patience.expired():
                raise
            raise UnavailableError("store.disk-hangs", seconds=DISK_S) from None


class Database(SealedKV):
    """A `KV` on disk, as `async with Database(path, data_key, bridge) as kv`; the bridge must outlive it.

    `path` is made, private, if it is not there; its folder must be. One process at a time (`HomeLock`). Entering
    *raises* UnavailableError `store.damaged-database`, `store.foreign-database` (also for another data key),
    `store.newer-database`, `store.cannot-open`, `store.disk-full`. Leaving waits for writers at work and closes the
    file; later calls *raise* UnavailableError `store.closed`.
    """

    def __init__(self, path: Path, data_key: StoreKey, bridge: AsyncioBridge) -> None:
        super().__init__(Sealer(data_key))
        self._path = path
        self._bridge = bridge
        self._open = False
        limits = {"max_weight": BATCH_BYTES, "max_waiting": MAX_WAITING}
        self._writes: Batcher[list[Operation], list[int]] = Batcher(self._commit, max_items=BATCH_REQUESTS, **limits)
        self._reads: Batcher[bytes, StoredRow | None] = Batcher(self._read, max_items=BATCH_READS, **limits)

    async def __aenter__(self) -> Self:
        # aiosqlite describes every call at DEBUG, with its arguments: slow, and none of a log's business.
        logging.getLogger("aiosqlite").setLevel(logging.WARNING)
        with trio.CancelScope(shield=True):  # bounded by DISK_S; half an opening would leave threads behind
            await self._bridge.run(self._connect)
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        await self._release(self._reader, self._writer)

    @property
    def head(self) -> Head:
        """Commits so far, live rows (namespaces count as rows) and their sum."""
        return self._table.head

    def statistics(self) -> dict[str, dict[str, int]]:
        """Calls, queued and waiting callers of writes and of reads."""
        return {"writes": self._writes.statistics(), "reads": self._reads.statistics()}

    async def verify(self) -> int:
        """Reads and opens everything as it is now, compares it with the sealed head, returns the number of rows.

        Nobody waits meanwhile, but the write-ahead log grows until this returns.
        *Raises* UnavailableError `store.damaged-row`, `store.rows-changed`.
        """
        if not self._open:
            raise self._closed_error()
        with trio.CancelScope(shield=True):  # as in `__aenter__`
            connection = await self._bridge.run(self._start, partial(open_reader, self._path))
        try:
            scrub = await self._bridge.run(connection.call, Scrub, connection._conn, self._sealer)
            while await self._bridge.run(connection.call, scrub.step):
                pass
        finally:
            await self._release(connection)
        return scrub.rows

    async def _fetch(self, place: bytes) -> StoredRow | None:
        return await self._reads.submit(place)

    async def _apply(self, operations: list[Operation], weight: int) -> list[int]:
        return await self._writes.submit(operations, weight)

    async def _scan(self, tag: bytes, after: bytes, limit: int) -> list[StoredRow]:
        return await self._run(self._reader, partial(scan, self._reader_connection), tag, after, limit)

    async def _commit(self, requests: list[list[Operation]]) -> Sequence[Outcome]:
        try:
            outcomes = await self._run(self._writer, self._table.commit, requests)
        except NzError:
            self._indexes.clear()  # what reached the disk is not known
            raise
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, list):
                self._committed(request, outcome)
        return outcomes

    async def _read(self, places: list[bytes]) -> list[StoredRow | NzError | None]:
        rows = await self._run(self._reader, partial(read, self._reader_connection), places)
        return [rows.get(place) for place in places]

    async def _run(self, connection: _Connection, fn: Callable[[*Args], T], *args: *Args) -> T:
        if not self._open:
            raise self._closed_error()
        return await self._bridge.run(connection.call, fn, *args)

    async def _release(self, *connections: _Connection) -> None:
        """Closes connections and sees their threads end, also when the bridge has died or dies meanwhile."""
        with trio.CancelScope(shield=True):  # bounded by DISK_S
            try:
                await self._bridge.run(self._close, connections)
            except UnavailableError:
                # aiosqlite's threads outlive the loop that they answer to, and would keep the process from ending.
                for connection in connections:
                    await trio.to_thread.run_sync(connection.stop)
                    await trio.to_thread.run_sync(connection._thread.join, DISK_S)

    # --- in the asyncio thread

    async def _connect(self) -> None:
        self._writer = await self._start(partial(open_file, self._path, self._sealer.first_head))
        try:
            self._table = await self._writer.call(Table, self._writer._conn, self._sealer)
            self._reader = await self._start(partial(open_reader, self._path))
        except BaseException:
            await self._writer.close()
            raise
        self._reader_connection: sqlite3.Connection = self._reader._conn

    async def _start(self, connector: Callable[[], sqlite3.Connection]) -> _Connection:
        refusals: list[NzError] = []

        def connect() -> sqlite3.Connection:
            try:
                return connector()
            except NzError as error:
                # aiosqlite does not wait for its thread when connecting fails: it would outlive the loop.
                refusals.append(error)
                return sqlite3.connect(":memory:")

        connection = cast("_Connection", await _Connection(connect, 64))
        for refusal in refusals:
            await connection.close()
            raise refusal
        return connection

    async def _close(self, connections: tuple[_Connection, ...]) -> None:
        # The writer last, so that closing it empties the write-ahead log.
        for connection in connections:
            await connection.close()
            connection._thread.join(DISK_S)  # it has nothing left to do
