"""One transaction for many writers, and reading back, as plain calls on a SQLite connection (spec/store.md §5).

Blocking and single-threaded: `database.py` calls it in the connection's thread, `inline.py` directly. The only writer
owns the head, so sealing needs no question to the disk; versions and sums of the rows that are replaced are read in
the same transaction that replaces them.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.store.schema import DISK_ERRORS, disk_error
from nzcore.store.sealing import INDEX_BITS, PLACE_BYTES, SUM_MODULUS, TAG_BYTES, Head, Sealer, StoredRow

MAX_OPERATIONS = 1024  # of one caller's transaction; a shared one holds at most 16 of these, within 16 bits of index
SCAN_ROWS = 256  # rows of a page: a few milliseconds between two chances for others
SCAN_BYTES = 4 << 20  # of a page: values come along with the names that a listing wants
READ_SIZES = (1, 4, 16, 64, 256)  # places a SELECT: few shapes, so that prepared statements are found again

_PUT = (
    "INSERT INTO kv (place, version, sealed) VALUES (?, ?, ?) "
    "ON CONFLICT (place) DO UPDATE SET version = excluded.version, sealed = excluded.sealed"
)
_DELETE = "DELETE FROM kv WHERE place = ?"
_HEAD = (
    "INSERT INTO head (id, counter, sealed) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET counter = ?1, sealed = ?2"
)
_READ = "SELECT place, version, sealed FROM kv WHERE place IN (?)"
_LOOK = "SELECT place, version, substr(sealed, -16) FROM kv WHERE place IN (?)"  # tags only
_SCAN = "SELECT place, version, sealed FROM kv WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"


class Operation(NamedTuple):
    """A checked write: `value` None deletes."""

    place: bytes
    ns: str
    name: str
    value: bytes | None
    expect: int | None


_NEW = -1  # the version of what this transaction puts: nobody can expect it yet

Outcome = list[int] | NzError
Present = dict[bytes, tuple[int, int]]  # place → version and leaf of the row there


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
        plan = _Plan(self._sealer, self.head, self._look([op.place for request in requests for op in request]))
        outcomes: list[Outcome] = []
        namespaces = self._namespaces
        for request in requests:
            outcome = plan.admit(request)
            outcomes.append(outcome)
            if isinstance(outcome, list):
                for op in request:
                    if op.ns not in namespaces and op.value is not None:
                        plan.admit([Operation(self._sealer.place("", op.ns), "", op.ns, b"", None)])
                        namespaces |= {op.ns}
        if plan.changed:
            self._connection.executemany(_PUT, plan.rows())
            self._connection.executemany(_DELETE, plan.deletions())
            self._connection.execute(_HEAD, plan.sealed_head())
        return outcomes, plan.head, namespaces

    def _look(self, places: list[bytes]) -> Present:
        return {
            place: (version, self._sealer.leaf(place, version, tag))
            for place, version, tag in _select(self._connection, _LOOK, places)
        }

    def _registered(self) -> frozenset[str]:
        tag = self._sealer.namespace_tag("")
        names: set[str] = set()
        page = scan(self._connection, tag, tag, SCAN_ROWS)
        while page:
            names.update(self._sealer.open_row(row)[0] for row in page)
            page = scan(self._connection, tag, page[-1].place, SCAN_ROWS)
        return frozenset(names)


class _Plan:
    """What one transaction will change: decided and sealed before the first row is written."""

    def __init__(self, sealer: Sealer, before: Head, present: Present) -> None:
        self._sealer = sealer
        self._transaction = sealer.begin()
        self._present = present
        self._final: dict[bytes, tuple[int, bytes] | None] = {}
        self._index = 0
        self._counter, self._count, self._total = before.counter + 1, before.rows, before.total

    @property
    def changed(self) -> bool:
        return bool(self._final)

    @property
    def head(self) -> Head:
        return Head(self._counter, self._count, self._total % SUM_MODULUS)

    def admit(self, request: Sequence[Operation]) -> Outcome:
        """Takes in all of a request, or says why none of it."""
        # A transaction may name a place twice: what a later operation finds is what an earlier one leaves.
        left: dict[bytes, int] = {}
        for op in request:
            if op.expect is not None:
                there = left[op.place] if op.place in left else self._present.get(op.place, (0, 0))[0]
                if op.expect != there:
                    return UsageError("store.conflict", version=there, expected=op.expect)
            left[op.place] = 0 if op.value is None else _NEW
        return [self._remove(op) if op.value is None else self._store(op, op.value) for op in request]

    def rows(self) -> list[tuple[bytes, int, bytes]]:
        return [(place, *final) for place, final in self._final.items() if final is not None]

    def deletions(self) -> list[tuple[bytes]]:
        return [(place,) for place, final in self._final.items() if final is None]

    def sealed_head(self) -> tuple[int, bytes]:
        return self._counter, self._sealer.seal_head(self._transaction, self.head)

    def _store(self, op: Operation, value: bytes) -> int:
        version = self._counter << INDEX_BITS | self._index
        self._index += 1
        sealed = self._sealer.seal_row(self._transaction, op.place, version, op.name, value)
        self._replace(op.place, (version, self._sealer.leaf(op.place, version, sealed[-TAG_BYTES:])))
        self._final[op.place] = (version, sealed)
        return version

    def _remove(self, op: Operation) -> int:
        if op.place in self._present:
            self._replace(op.place, None)
            self._final[op.place] = None
        return 0

    def _replace(self, place: bytes, new: tuple[int, int] | None) -> None:
        old = self._present.pop(place, None)
        if old is not None:
            self._count -= 1
            self._total -= old[1]
        if new is not None:
            self._present[place] = new
            self._count += 1
            self._total += new[1]


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


@cache
def _shapes(query: str) -> dict[int, str]:
    return {size: query.replace("(?)", f"({','.join('?' * size)})") for size in READ_SIZES}


def _select(connection: sqlite3.Connection, query: str, places: list[bytes]) -> list[tuple[bytes, int, bytes]]:
    queries, most = _shapes(query), READ_SIZES[-1]
    rows: list[tuple[bytes, int, bytes]] = []
    for start in range(0, len(places), most):
        chunk = places[start : start + most]
        size = next(size for size in READ_SIZES if size >= len(chunk))
        rows += connection.execute(queries[size], chunk + chunk[-1:] * (size - len(chunk))).fetchall()
    return rows
