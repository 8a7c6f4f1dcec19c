"""Reading a whole store through against its own head (spec/store.md §4.4), in pages, beside readers and writers.

A snapshot: rows and head are of one commit, whatever is written meanwhile. Shows rows that were damaged, moved,
removed, brought back or rolled back; a rollback of the whole file needs a witness elsewhere.
"""

import sqlite3

from nzcore.base.errors import UnavailableError
from nzcore.store.schema import DISK_ERRORS, disk_error
from nzcore.store.sealing import PLACE_BYTES, SUM_MODULUS, TAG_BYTES, Sealer, StoredRow
from nzcore.store.transaction import SCAN_BYTES, SCAN_ROWS, read_head

_PAGE = "SELECT place, version, sealed FROM kv WHERE place > ? ORDER BY place LIMIT ?"


class Scrub:
    """One reading through, over a connection of its own, which the caller closes."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer) -> None:
        """Fixes the snapshot. *Raises* UnavailableError `store.foreign-database`, `store.damaged-database`."""
        self._connection = connection
        self._sealer = sealer
        self._after = b""
        self.rows = 0
        self._total = 0
        try:
            connection.execute("BEGIN")
        except DISK_ERRORS as error:
            raise disk_error(error, "store.read-failed") from error
        self._head = read_head(connection, sealer)

    def step(self) -> bool:
        """Reads a page; False once everything was read and agreed.

        *Raises* UnavailableError `store.damaged-row`, `store.rows-changed`, `store.read-failed`.
        """
        page, weight = [], 0
        try:
            for row in map(StoredRow._make, self._connection.execute(_PAGE, (self._after, SCAN_ROWS))):
                page.append(row)
                weight += len(row.sealed)
                if weight > SCAN_BYTES:
                    break
        except DISK_ERRORS as error:
            raise disk_error(error, "store.read-failed") from error
        for row in page:
            if len(row.place) != PLACE_BYTES:
                raise UnavailableError("store.damaged-row", version=row.version)
            self._sealer.open_row(row)
            self._total += self._sealer.leaf(row.place, row.version, row.sealed[-TAG_BYTES:])
            self._after = row.place
        self.rows += len(page)
        if page:
            return True
        if (self.rows, self._total % SUM_MODULUS) != (self._head.rows, self._head.total):
            raise UnavailableError("store.rows-changed", rows=self.rows, expected=self._head.rows)
        return False
