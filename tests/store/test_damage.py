"""What is wrong with a database is said with a code and a hint, on opening or on reading, never with a traceback."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nzcore.base.errors import UnavailableError
from nzcore.crypto.secrets import StoreKey
from nzcore.store import schema
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.database import Database
from nzcore.store.inline import InlineKV
from nzcore.store.kv import Put
from tests.store.intruder import change

KEY = StoreKey(bytes(range(32)))


async def fill(path: Path, count: int = 20) -> None:
    async with InlineKV(KEY, path) as kv:
        await kv.write([Put("notes", f"n{number}", b"value %d" % number) for number in range(count)])


async def refusal(path: Path, key: StoreKey = KEY) -> UnavailableError:
    """How opening, or the first look at everything, is refused; the same for both variants."""
    caught = []
    async with AsyncioBridge() as bridge:
        for kv in (Database(path, key, bridge), InlineKV(key, path)):
            with pytest.raises(UnavailableError) as info:
                async with kv:
                    await kv.verify()
            caught.append(info.value)
        assert bridge.statistics()["calls"] == 0
    assert caught[0].code == caught[1].code
    assert caught[0].hint
    return caught[0]


async def test_a_fresh_database_is_private(tmp_path: Path) -> None:
    await fill(tmp_path / "store.db")
    assert os.listdir(tmp_path) == ["store.db"]
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"x", b"garbage " * 1000, bytes(100_000)])
async def test_a_file_that_is_no_database_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    assert (await refusal(path)).code in ("store.damaged-database", "store.foreign-database")
    assert path.read_bytes() == content


@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.99])
async def test_a_truncated_database_is_refused(part: float, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path, 200)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert (await refusal(path)).code == "store.damaged-database"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), garbage=st.binary(min_size=1, max_size=300))
async def test_garbage_anywhere_is_refused_or_changes_nothing(tmp_path: Path, place: float, garbage: bytes) -> None:
    original = tmp_path / "original.db"
    if not original.exists():
        await fill(original, 40)
    content = bytearray(original.read_bytes())
    start = int(place * len(content))
    content[start : start + len(garbage)] = garbage
    path = tmp_path / "store.db"
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.write_bytes(content)
    with suppress(UnavailableError):
        async with InlineKV(KEY, path) as kv:
            await kv.verify()
            for name in await kv.list("notes"):
                entry = await kv.get("notes", name)
                assert entry is not None
                assert entry.value == b"value " + name[1:].encode()


async def test_another_data_key_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path / "store.db")
    assert (await refusal(tmp_path / "store.db", StoreKey(bytes(32)))).code == "store.foreign-database"


async def test_another_programs_database_and_a_newer_one_are_refused(tmp_path: Path) -> None:
    change(tmp_path / "store.db", "CREATE TABLE theirs (x)")
    assert (await refusal(tmp_path / "store.db")).code == "store.foreign-database"
    await fill(tmp_path / "newer.db")
    change(tmp_path / "newer.db", f"PRAGMA user_version = {schema.NEWEST + 1}")
    error = await refusal(tmp_path / "newer.db")
    assert (error.code, error.facts["version"]) == ("store.newer-database", schema.NEWEST + 1)


@pytest.mark.parametrize("statement", ["DELETE FROM head", "DROP TABLE head", "DROP TABLE kv", "DROP INDEX kv_place"])
async def test_a_database_without_one_of_its_parts_is_refused(statement: str, tmp_path: Path) -> None:
    await fill(tmp_path / "store.db")
    change(tmp_path / "store.db", statement)
    assert (await refusal(tmp_path / "store.db")).code == "store.damaged-database"


async def test_a_log_without_its_database_is_not_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "store.db-wal").write_bytes(b"the last commits")
    assert (await refusal(tmp_path / "store.db")).code == "store.damaged-database"
    assert (tmp_path / "store.db-wal").read_bytes() == b"the last commits"


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert (await refusal(tmp_path / "nowhere" / "store.db")).code == "store.cannot-open"


async def test_a_scrub_of_a_database_that_is_gone_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with AsyncioBridge() as bridge, Database(path, KEY, bridge) as kv:
        await kv.put("notes", "one", b"value")
        path.unlink()
        with pytest.raises(UnavailableError) as caught:
            await kv.verify()
        assert caught.value.code == "store.cannot-open"
        assert not path.exists()


@pytest.mark.parametrize("name", ["100%.db", "a?mode=memory#b.db", "дом.db"])
async def test_a_database_may_be_called_anything(tmp_path: Path, name: str) -> None:
    await fill(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    await fill(tmp_path / name)


async def test_half_made_files_of_a_crash_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "store.db.new").write_bytes(b"half")
    (tmp_path / "store.db.new-journal").write_bytes(b"half")
    await fill(tmp_path / "store.db")
    assert os.listdir(tmp_path) == ["store.db"]


async def test_an_older_file_is_migrated_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    steps = (*schema.MIGRATIONS, ("CREATE TABLE later (x)", "INSERT INTO later VALUES (1)"))
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    monkeypatch.setattr(schema, "NEWEST", len(steps))
    async with InlineKV(KEY, path) as kv:
        assert len(await kv.list("notes")) == 20
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT x FROM later").fetchall() == [(1,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (len(steps),)
    connection.close()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    steps = (*schema.MIGRATIONS, ("CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", steps)
        patch.setattr(schema, "NEWEST", len(steps))
        assert (await refusal(path)).code == "store.cannot-open"
    async with InlineKV(KEY, path) as kv:
        assert len(await kv.list("notes")) == 20


async def test_a_full_disk_fails_the_write_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with AsyncioBridge() as bridge, Database(path, KEY, bridge) as kv:
        version = await kv.put("notes", "kept", b"safe")
        assert await kv.list("notes") == ["kept"]
        pages = await bridge.run(kv._writer.call, lambda: _limit(kv._writer._conn, 8))
        with pytest.raises(UnavailableError) as caught:
            await kv.put("notes", "large", bytes(1 << 20))
        assert caught.value.code == "store.disk-full"
        assert await kv.list("notes") == ["kept"]
        await bridge.run(kv._writer.call, lambda: _limit(kv._writer._conn, pages + 10_000))
        assert await kv.put("notes", "large", bytes(1 << 20)) > version
        assert await kv.list("notes") == ["kept", "large"]
        assert await kv.verify() == 3


def _limit(connection: sqlite3.Connection, pages: int) -> int:
    (used,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {used + pages if pages < 1000 else pages}")
    return int(used)
