"""One transaction for many writers, and reading back, as plain calls on a SQLite connection (spec/store.md §5).

Blocking and single-threaded: `database.py` calls it in the connection's thread, `inline.py` directly. The only writer
owns the head, so sealing needs no question to the disk; versions and sums of the rows that are replaced are read in
the same transaction that replaces them.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from msgspec import Struct

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.store.schema import DISK_ERRORS, disk_error
from nzcore.store.sealing import (
    INDEX_BITS,
    PLACE_BYTES,
    SUM_MODULUS,
    TAG_BYTES,
    Head,
    PlainRow,
    SealedRow,
    Sealer,
    StoredRow,
)

MAX_OPERATIONS = 1024  # of one caller's transaction; shared ones are bounded by weight, within 16 bits of index
SCAN_ROWS = 256  # rows of a page: a few milliseconds between two chances for others
SCAN_BYTES = 4 << 20  # of a page: values come along with the names that a listing wants

_PUT = (
    "INSERT INTO kv (place, version, sealed) VALUES (?, ?, ?) "
    "ON CONFLICT (place) DO UPDATE SET version = excluded.version, sealed = excluded.sealed"
)
_DELETE = "DELETE FROM kv WHERE place = ?"
_HEAD = (
    "INSERT INTO head (id, counter, sealed) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET counter = ?1, sealed = ?2"
)
# Any number of places in one blob, hence one statement for all numbers: measured 0.5 µs a place where nothing is; with
# a parameter for each place 0.76, padded to few numbers of parameters 1.4.
_WANTED = (
    "WITH RECURSIVE wanted (start) AS "
    "(SELECT 1 UNION ALL SELECT start + 32 FROM wanted WHERE start + 32 <= length(?1)) "
)
_AT_WANTED = " FROM wanted CROSS JOIN kv ON place = substr(?1, start, 32)"
_READ = _WANTED + "SELECT place, version, sealed" + _AT_WANTED
_LOOK = _WANTED + "SELECT place, version, substr(sealed, -16)" + _AT_WANTED  # tags only
_SCAN = "SELECT place, version, sealed FROM kv WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"


class Operation(Struct, frozen=True, gc=False):
    """A checked write: `value` None deletes."""

    place: bytes
    ns: str
    name: str
    value: bytes | None
    expect: int | None


_NEW = -1  # the version of what this transaction puts: nobody can expect it yet

Outcome = list[int] | NzError
Looked = tuple[bytes, int, bytes]  # place, version and AEAD tag of a row on disk


class Table:
    """The rows behind one writing connection, and the head that describes them. Closing is the connection's owner's."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer) -> None:
        """*Raises* UnavailableError `store.foreign-database`, `store.damaged-database`."""
        self._connection = connection
        self._sealer = sealer
        self.head = read_head(connection, sealer)
        self._namespaces = self._registered()

    def commit(self, requests: Sequence[Sequence[Operation]]) -> list[Outcome]:
        """Applies requests in order in one transaction; a request that conflicts changes nothing and fails alone.

        *Raises* UnavailableError `store.write-failed` and the like when nothing at all was committed.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes, head, namespaces = self._apply(requests)
                self._connection.execute("COMMIT")
            except BaseException:
                # The counter is spent, so a version that may have reached the disk is not given twice.
                self.head = self.head._replace(counter=self.head.counter + 1)
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except DISK_ERRORS as error:
            raise disk_error(error, "store.write-failed") from error
        self.head, self._namespaces = head, namespaces
        return outcomes

    def _apply(self, requests: Sequence[Sequence[Operation]]) -> tuple[list[Outcome], Head, frozenset[str]]:
        places = [op.place for request in requests for op in request]
        there = {row[0]: row for row in _select(self._connection, _LOOK, places)}
        plan = _Plan(self._sealer, self.head, self._namespaces, there)
        outcomes = [plan.admit(request) for request in requests]
        if not plan.changed:
            return outcomes, self.head._replace(counter=self.head.counter + 1), self._namespaces
        head, sealed_head = plan.seal()
        self._connection.executemany(_PUT, plan.rows)
        self._connection.executemany(_DELETE, plan.deletions)
        self._connection.execute(_HEAD, (head.counter, sealed_head))
        return outcomes, head, plan.namespaces

    def _registered(self) -> frozenset[str]:
        tag = self._sealer.namespace_tag("")
        names: set[str] = set()
        page = scan(self._connection, tag, tag, SCAN_ROWS)
        while page:
            names.update(self._sealer.open_row(row)[0] for row in page)
            page = scan(self._connection, tag, page[-1].place, SCAN_ROWS)
        return frozenset(names)


class _Plan:
    """What one transaction will change: decided first, then sealed in one pass, before the first row is written."""

    def __init__(self, sealer: Sealer, before: Head, namespaces: frozenset[str], there: dict[bytes, Looked]) -> None:
        self.namespaces = namespaces
        self.rows: list[SealedRow] = []
        self.deletions: list[tuple[bytes]] = []
        self._sealer = sealer
        self._before = before
        self._there = there
        self._versions = {place: row[1] for place, row in there.items()}
        self._puts: list[PlainRow] = []  # in the order of their indexes
        self._final: dict[bytes, int | None] = {}  # index of what is put, None for what is deleted
        self._first = (before.counter + 1) << INDEX_BITS

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._final)

    def admit(self, request: Sequence[Operation]) -> Outcome:
        """Takes in all of a request, or says why none of it."""
        # A transaction may name a place twice: what a later operation finds is what an earlier one leaves.
        left: dict[bytes, int] = {}
        for op in request:
            if op.expect is not None:
                there = left[op.place] if op.place in left else self._versions.get(op.place, 0)
                if op.expect != there:
                    return UsageError("store.conflict", version=there, expected=op.expect)
            left[op.place] = 0 if op.value is None else _NEW
        versions = []
        for op in request:
            if op.value is None:
                if self._versions.pop(op.place, None) is not None:
                    self._final[op.place] = None
                versions.append(0)
            else:
                versions.append(self._put(op.place, op.name, op.value))
                if op.ns not in self.namespaces:
                    self.namespaces |= {op.ns}
                    self._put(self._sealer.place("", op.ns), op.ns, b"")
        return versions

    def _put(self, place: bytes, name: str, value: bytes) -> int:
        index = len(self._puts)
        self._puts.append((place, name, value))
        self._final[place] = index
        self._versions[place] = version = self._first + index
        return version

    def seal(self) -> tuple[Head, bytes]:
        """Makes `rows` and `deletions`; the head after them, plain and sealed."""
        leaf = self._sealer.leaf
        transaction, sealed = self._sealer.seal_rows(self._first, self._puts)
        _, count, total = self._before
        for place, version, tag in self._there.values():
            if place in self._final:
                count -= 1
                total -= leaf(place, version, tag)
        for place, index in self._final.items():
            if index is None:
                self.deletions.append((place,))
            else:
                row = sealed[index]
                self.rows.append(row)
                count += 1
                total += leaf(place, row[1], row[2][-TAG_BYTES:])
        head = Head(self._before.counter + 1, count, total % SUM_MODULUS)
        return head, self._sealer.seal_head(transaction, head)


def read_head(connection: sqlite3.Connection, sealer: Sealer) -> Head:
    """The head on disk. *Raises* UnavailableError `store.foreign-database`, `store.damaged-database`."""
    try:
        row = connection.execute("SELECT counter, sealed FROM head").fetchone()
    except DISK_ERRORS as error:
        raise disk_error(error, "store.read-failed") from error
    if row is None:
        raise UnavailableError("store.damaged-database", problem="the head is missing")
    return sealer.open_head(*row)


def read(connection: sqlite3.Connection, places: list[bytes]) -> dict[bytes, StoredRow]:
    """The rows at these places. *Raises* UnavailableError `store.read-failed` and the like."""
    try:
        return {row[0]: StoredRow._make(row) for row in _select(connection, _READ, places)}
    except DISK_ERRORS as error:
        raise disk_error(error, "store.read-failed") from error


def scan(connection: sqlite3.Connection, tag: bytes, after: bytes, limit: int) -> list[StoredRow]:
    """A page of the namespace `tag` beyond the place `after`, in the order of places; empty at the end.

    At most `limit` rows, and few enough that they hold little more than `SCAN_BYTES`.
    """
    end = tag + b"\xff" * (PLACE_BYTES - TAG_BYTES)
    rows: list[StoredRow] = []
    weight = 0
    try:
        for row in map(StoredRow._make, connection.execute(_SCAN, (after, end, limit))):
            rows.append(row)
            weight += len(row.sealed)
            if weight > SCAN_BYTES:
                break
    except DISK_ERRORS as error:
        raise disk_error(error, "store.read-failed") from error
    return rows


def _select(connection: sqlite3.Connection, query: str, places: Iterable[bytes]) -> list[tuple[bytes, int, bytes]]:
    return connection.execute(query, (b"".join(places),)).fetchall()
