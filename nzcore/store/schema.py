"""The database file: tables, migrations, settings, and what is refused on opening (spec/store.md §5, §6).

Plain calls on stdlib `sqlite3`; knows no keys, but is handed the first head to write into a new file.
"""

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nzcore.base.errors import NzError, UnavailableError
from nzcore.store.files import PRIVATE, sync_folder

APPLICATION_ID = 0x4E5A4342  # "NZCB": tells `file` and us whose database it is
CHECKPOINT_PAGES = 4096  # 16 MiB of log between checkpoints: measured
CACHE_KIB = 8192
QUICK_CHECK_BYTES = 64 << 20  # larger files are not read through on opening; the scrub does that in peace
BUSY_MS = 5000  # only foreign tools can hold the file: the home's lock keeps other nodes away

# A rowid table with a unique index takes twice the rows a second of WITHOUT ROWID: random keys split its pages.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE kv (id INTEGER PRIMARY KEY, place BLOB NOT NULL, version INTEGER NOT NULL, sealed BLOB NOT NULL)",
        "CREATE UNIQUE INDEX kv_place ON kv (place)",
        "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), counter INTEGER NOT NULL, sealed BLOB NOT NULL)",
    ),
)
NEWEST = len(MIGRATIONS)
PARTS = {"kv", "kv_place", "head"}  # tables and indexes that must be there in the end

# UnicodeError: sqlite3 fails to report what it finds when names in a damaged file are no text.
DISK_ERRORS = (sqlite3.Error, OSError, UnicodeError)

FirstHead = Callable[[], tuple[int, bytes]]


def open_file(path: Path, first_head: FirstHead) -> sqlite3.Connection:
    """The one writing connection to a database file, made if it is not there; the caller closes it.

    *Raises* UnavailableError `store.damaged-database`, `store.foreign-database`, `store.newer-database`,
    `store.cannot-open`, `store.disk-full`.
    """
    try:
        if not path.exists():
            _create(path, first_head)
        connection = _connect(path)
        try:
            _examine(connection, path)
            _settle(connection)
            _migrate(connection)
            _require_parts(connection)
        except BaseException:
            connection.close()
            raise
    except DISK_ERRORS as error:
        raise disk_error(error, "store.cannot-open") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, to a file that `open_file` has opened; the caller closes it."""
    try:
        connection = _connect(path)
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except DISK_ERRORS as error:
        raise disk_error(error, "store.cannot-open") from error
    return connection


def open_memory(first_head: FirstHead) -> sqlite3.Connection:
    """A database that ends with its connection; for tests and simulations."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _write_schema(connection, first_head)
    return connection


def disk_error(error: Exception, otherwise: str) -> NzError:
    """What a failure of SQLite or the system means; `otherwise` is the code where nothing more is known."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, UnicodeError):
        return UnavailableError("store.damaged-database", problem=str(error))
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) in (28, 122):
        return UnavailableError("store.disk-full", problem=str(error))
    return UnavailableError(otherwise, problem=str(error))


def _connect(path: Path) -> sqlite3.Connection:
    # Never made here: SQLite would put an empty file, for others to read, into the place of one that is gone.
    place = f"{path.absolute().as_uri()}?mode=rw"
    # Used from one thread at a time, but inline stores may be closed from another than they were opened in.
    connection = sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # we store none; damage may show some
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _create(path: Path, first_head: FirstHead) -> None:
    """Builds the file under another name, so that a crash never leaves half a database under the right one."""
    leftovers = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    if any(leftover.exists() for leftover in leftovers[:1]):
        raise UnavailableError("store.damaged-database", problem=f"{path.name} is missing, its -wal is there")
    fresh = path.with_name(path.name + ".new")
    for old in (fresh, fresh.with_name(fresh.name + "-journal")):
        old.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE))
    connection = _connect(fresh)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        _write_schema(connection, first_head)
    finally:
        connection.close()
    fresh.replace(path)
    sync_folder(path.parent)


def _write_schema(connection: sqlite3.Connection, first_head: FirstHead) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statements in MIGRATIONS:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {NEWEST}")
    connection.execute("INSERT INTO head (id, counter, sealed) VALUES (1, ?, ?)", first_head())
    connection.execute("COMMIT")


def _examine(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if path.stat().st_size == 0:
        raise UnavailableError("store.damaged-database", problem="the file is empty")
    if application != APPLICATION_ID:
        raise UnavailableError("store.foreign-database", problem="another program's database")
    if version > NEWEST:
        raise UnavailableError("store.newer-database", version=version, newest=NEWEST)
    if path.stat().st_size <= QUICK_CHECK_BYTES:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise UnavailableError("store.damaged-database", problem=result)


def _settle(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise UnavailableError("store.cannot-open", problem=f"no write-ahead log on this file system, only {mode}")
    connection.execute("PRAGMA synchronous = FULL")  # durable means it
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def _require_parts(connection: sqlite3.Connection) -> None:
    missing = PARTS - {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if missing:
        raise UnavailableError("store.damaged-database", problem=f"missing: {', '.join(sorted(missing))}")
