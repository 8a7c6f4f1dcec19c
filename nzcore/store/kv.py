"""The key-value store as its users see it, and all of its behaviour that is the same on every disk (spec/store.md §3).

Knows names, values, versions and watchers. Three methods reach the disk; `database.py` and `inline.py` provide them.
Namespaces keep users apart: whoever holds a namespace sees only what was put under it.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, NamedTuple, Protocol

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.store.names import NameIndexes
from nzcore.store.sealing import Sealer, StoredRow
from nzcore.store.transaction import MAX_OPERATIONS, SCAN_ROWS, Operation
from nzcore.store.watch import Change, Watch, Watchers

VALUE_BYTES = 1 << 20  # one value is sealed and held in memory whole; larger things are files
NAME_BYTES = 1024
NAMESPACE_BYTES = 64
WATCH_CAPACITY = 256
OPERATION_BYTES = 256  # what an operation weighs besides its value: keeps a shared commit within 16 bits of index


Names = list[str]  # aliases, because `KV` has a method of the name `list`
Versions = list[int]
Operations = list[Operation]
Rows = list[StoredRow]


class Entry(NamedTuple):
    """A value and its version: positive, larger for every later put in the whole store, never used twice."""

    value: bytes
    version: int


class Put(NamedTuple):
    """One write of a transaction; `expect` as for `KV.put`."""

    ns: str
    name: str
    value: bytes
    expect: int | None = None


class Delete(NamedTuple):
    """One removal of a transaction; `expect` as for `KV.put`."""

    ns: str
    name: str
    expect: int | None = None


class KV(Protocol):
    """Sealed, durable, versioned values by namespace and name.

    Namespaces are 1 to 64 bytes of UTF-8, names 1 to 1,024, values 0 to 1 MiB. All calls *raise* UsageError
    `store.bad-name` or `store.bad-value` for what does not fit, and UnavailableError `store.*` when the disk fails.
    A cancelled write has happened whole or not at all.
    """

    async def get(self, ns: str, name: str) -> Entry | None:
        """What was last put and not deleted. *Raises* UnavailableError `store.damaged-row`."""
        ...

    async def put(self, ns: str, name: str, value: bytes, *, expect: int | None = None) -> int:
        """Stores `value`, durably once this returns, and returns its version.

        With `expect`, only if the version there is `expect` (0: nothing there). *Raises* UsageError `store.conflict`
        with the fact `version`, the one that is there.
        """
        ...

    async def delete(self, ns: str, name: str, *, expect: int | None = None) -> None:
        """Removes the entry, durably once this returns; nothing there is fine unless `expect` says otherwise."""
        ...

    async def write(self, writes: Sequence[Put | Delete]) -> Versions:
        """Applies all of up to 1,024 writes in one transaction or, after a conflict, none; versions, 0 for deletes."""
        ...

    async def list(self, ns: str, prefix: str = "") -> Names:
        """Names that begin with `prefix`, sorted by code points; the first call for a namespace reads it through."""
        ...

    async def namespaces(self) -> Names:
        """Namespaces in which something was ever put, sorted."""
        ...

    def watch(
        self,
        ns: str,
        prefix: str = "",
        *,
        capacity: int = WATCH_CAPACITY,
        overflow: Literal["error", "drop_oldest"] = "error",
    ) -> AbstractAsyncContextManager[Watch]:
        """Changes from entering on, in the order of their commits, as an async iterator of `Change`.

        Writers never wait for a watcher. Whoever leaves `capacity` changes unread loses the oldest (`drop_oldest`,
        counted in `Watch.dropped`) or is told: iteration *raises* UnavailableError `store.watch-overflow`.
        """
        ...


class SealedKV(ABC):
    """`KV` over three ways to reach the disk. Not for threads: one Trio run, one instance."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._watchers = Watchers()
        self._indexes = NameIndexes()

    @abstractmethod
    async def _fetch(self, place: bytes) -> StoredRow | None:
        """The row at a place."""

    @abstractmethod
    async def _apply(self, operations: Operations, weight: int) -> Versions:
        """Commits all operations or raises; calls `_committed` in the order of commits.

        `weight`: bytes of values, and `OPERATION_BYTES` for each operation.
        """

    @abstractmethod
    async def _scan(self, tag: bytes, after: bytes, limit: int) -> Rows:
        """Rows of a namespace beyond a place, in the order of places."""

    async def get(self, ns: str, name: str) -> Entry | None:
        place = self._place(ns, name)
        row = await self._fetch(place)
        if row is None:
            return None
        stored, value = self._sealer.open_row(row)
        if stored != name:
            raise UnavailableError("store.damaged-row", version=row.version)
        return Entry(value, row.version)

    async def put(self, ns: str, name: str, value: bytes, *, expect: int | None = None) -> int:
        operation = self._operation(ns, name, value, expect)
        return (await self._apply([operation], len(value) + OPERATION_BYTES))[0]

    async def delete(self, ns: str, name: str, *, expect: int | None = None) -> None:
        await self._apply([Operation(self._place(ns, name), ns, name, None, expect)], OPERATION_BYTES)

    async def write(self, writes: Sequence[Put | Delete]) -> Versions:
        if not 0 < len(writes) <= MAX_OPERATIONS:
            raise UsageError("store.bad-transaction", writes=len(writes))
        operations = [
            self._operation(write.ns, write.name, write.value if isinstance(write, Put) else None, write.expect)
            for write in writes
        ]
        size = sum([len(op.value or b"") for op in operations])
        return await self._apply(operations, size + len(operations) * OPERATION_BYTES)

    async def list(self, ns: str, prefix: str = "") -> Names:
        check_text(ns, NAMESPACE_BYTES)
        return await self._names(ns, prefix)

    async def namespaces(self) -> Names:
        return await self._names("", "")

    @asynccontextmanager
    async def watch(
        self,
        ns: str,
        prefix: str = "",
        *,
        capacity: int = WATCH_CAPACITY,
        overflow: Literal["error", "drop_oldest"] = "error",
    ) -> AsyncIterator[Watch]:
        check_text(ns, NAMESPACE_BYTES)
        if capacity < 1:
            raise UsageError("store.bad-watch", capacity=capacity)
        watch = Watch(prefix, capacity, overflow)
        with self._watchers.registered(ns, watch):
            yield watch

    def _closed_error(self) -> UnavailableError:
        return UnavailableError("store.closed")

    def _place(self, ns: str, name: str) -> bytes:
        check_text(ns, NAMESPACE_BYTES)
        check_text(name, NAME_BYTES)
        return self._sealer.place(ns, name)

    def _operation(self, ns: str, name: str, value: bytes | None, expect: int | None) -> Operation:
        if value is not None and (not isinstance(value, bytes) or len(value) > VALUE_BYTES):
            raise UsageError("store.bad-value", limit=VALUE_BYTES)
        return Operation(self._place(ns, name), ns, name, value, expect)

    async def _names(self, ns: str, prefix: str) -> Names:
        if not self._indexes.has(ns):
            tag = self._sealer.namespace_tag(ns)
            with self._indexes.loading(ns) as names:
                after, page = tag, await self._scan(tag, tag, SCAN_ROWS)
                while page:
                    names.extend(self._sealer.open_row(row)[0] for row in page)
                    after = page[-1].place
                    page = await self._scan(tag, after, SCAN_ROWS)
        return self._indexes.select(ns, prefix)

    def _committed(self, operations: Sequence[Operation], versions: Sequence[int]) -> None:
        if self._watchers.idle and self._indexes.idle:
            return
        for operation, version in zip(operations, versions, strict=True):
            deleted = operation.value is None
            self._indexes.note(operation.ns, operation.name, present=not deleted)
            if not deleted:
                self._indexes.note("", operation.ns, present=True)  # the first put registers its namespace
            self._watchers.publish(operation.ns, Change(operation.name, version, deleted))


def check_text(text: str, limit: int) -> None:
    """*Raises* UsageError `store.bad-name` unless `text` has 1 to `limit` bytes of UTF-8."""
    if text.isascii() and 0 < len(text) <= limit:
        return
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= limit:
        raise UsageError("store.bad-name", size=size, limit=limit)
