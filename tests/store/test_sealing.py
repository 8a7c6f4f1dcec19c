"""Rows are hidden, and bound to their place, their version and the head."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import UnavailableError
from nzcore.crypto.secrets import StoreKey
from nzcore.store.inline import InlineKV
from nzcore.store.sealing import Head, Sealer, StoredRow
from tests.store.intruder import change
from tools.fuzz import kv_row

KEY = StoreKey(bytes(range(32)))
SEALER = Sealer(KEY)


def sealed_row(name: str = "a", value: bytes = b"one", version: int = 1 << 16) -> StoredRow:
    place = SEALER.place("notes", name)
    _, (row,) = SEALER.seal_rows(version, [(place, name, value)])
    return StoredRow._make(row)


async def fill(path: Path) -> None:
    async with InlineKV(KEY, path) as kv:
        for name in ("a", "b", "c"):
            await kv.put("notes", name, b"value of " + name.encode())


def test_a_row_opens_at_its_own_place_and_version_only() -> None:
    row = sealed_row()
    assert SEALER.open_row(row) == ("a", b"one")
    for wrong in (
        row._replace(place=SEALER.place("notes", "b")),
        row._replace(place=SEALER.place("other", "a")),
        row._replace(version=row.version + (1 << 16)),
        row._replace(version=row.version + 1),
        row._replace(sealed=bytes(24) + row.sealed[24:]),
        row._replace(sealed=row.sealed[:-1]),
    ):
        with pytest.raises(UnavailableError) as caught:
            SEALER.open_row(wrong)
        assert caught.value.code == "store.damaged-row"


def test_equal_entries_look_different_and_places_need_the_key() -> None:
    assert sealed_row().sealed != sealed_row().sealed
    assert SEALER.place("notes", "a") != Sealer(StoreKey(bytes(32))).place("notes", "a")
    assert SEALER.place("no", "tesa") != SEALER.place("notes", "a")
    assert b"notes" not in SEALER.place("notes", "notes")


@given(st.binary(max_size=200), st.integers(0, 2**63 - 1))
def test_any_bytes_in_a_row_are_refused_as_damage(sealed: bytes, version: int) -> None:
    with pytest.raises(UnavailableError):
        SEALER.open_row(StoredRow(bytes(32), version, sealed))
    with pytest.raises(UnavailableError):
        SEALER.open_head(version, sealed)
    kv_row.target(sealed)


def test_a_head_opens_for_its_counter_only() -> None:
    stored = SEALER.seal_head(SEALER.begin(), Head(5, 3, 99))
    assert SEALER.open_head(5, stored) == Head(5, 3, 99)
    with pytest.raises(UnavailableError):
        SEALER.open_head(4, stored)


def test_the_sealer_hides_its_keys() -> None:
    assert repr(SEALER) == "<Sealer>"


async def read_and_verify(path: Path) -> None:
    async with InlineKV(KEY, path) as kv:
        await kv.get("notes", "a")
        await kv.get("notes", "b")
        await kv.verify()


@pytest.mark.parametrize(
    ("fraud", "code"),
    [
        (
            "UPDATE kv SET sealed = (SELECT sealed FROM kv WHERE version = 131072) WHERE version = 65536",
            "store.damaged-row",
        ),
        ("UPDATE kv SET version = version + 65536 WHERE version = 65536", "store.damaged-row"),
        ("DELETE FROM kv WHERE version = 65536", "store.rows-changed"),
        ("UPDATE kv SET place = zeroblob(32) WHERE version = 65536", "store.damaged-row"),
        ("UPDATE kv SET sealed = zeroblob(60) WHERE version = 65536", "store.damaged-row"),
        ("UPDATE kv SET sealed = 'text' WHERE version = 65536", "store.damaged-row"),
        ("UPDATE kv SET version = 'text' WHERE version = 65536", "store.damaged-row"),
    ],
)
async def test_an_exchanged_or_missing_row_is_noticed(fraud: str, code: str, tmp_path: Path) -> None:
    await fill(tmp_path / "store.db")
    change(tmp_path / "store.db", fraud)
    with pytest.raises(UnavailableError) as caught:
        await read_and_verify(tmp_path / "store.db")
    assert caught.value.code == code


async def test_two_rows_with_exchanged_contents_are_both_noticed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    connection = sqlite3.connect(path, isolation_level=None)
    places = [SEALER.place("notes", name) for name in "ab"]
    rows = [
        connection.execute("SELECT version, sealed FROM kv WHERE place = ?", (place,)).fetchone() for place in places
    ]
    for place, row in zip(places, reversed(rows), strict=True):
        connection.execute("UPDATE kv SET version = ?, sealed = ? WHERE place = ?", (*row, place))
    connection.close()
    async with InlineKV(KEY, path) as kv:
        for name in "ab":
            with pytest.raises(UnavailableError) as caught:
                await kv.get("notes", name)
            assert caught.value.code == "store.damaged-row"
        assert await kv.get("notes", "c") is not None


@pytest.mark.parametrize("then", ["put", "delete"])
async def test_a_row_rolled_back_or_brought_back_is_noticed_by_the_sum(then: str, tmp_path: Path) -> None:
    path, place = tmp_path / "store.db", SEALER.place("notes", "a")
    await fill(path)
    connection = sqlite3.connect(path, isolation_level=None)
    old = connection.execute("SELECT place, version, sealed FROM kv WHERE place = ?", (place,)).fetchone()
    connection.close()
    async with InlineKV(KEY, path) as kv:
        if then == "put":
            await kv.put("notes", "a", b"newer")
        else:
            await kv.delete("notes", "a")
            await kv.put("notes", "d", b"so that the count is right")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM kv WHERE place IN (?, ?)", (place, SEALER.place("notes", "d")))
    connection.execute("INSERT INTO kv (place, version, sealed) VALUES (?, ?, ?)", old)
    connection.close()
    async with InlineKV(KEY, path) as kv:
        entry = await kv.get("notes", "a")
        assert entry is not None  # by itself the old row is sound: this is what the sum is for
        assert entry.value == b"value of a"
        with pytest.raises(UnavailableError) as caught:
            await kv.verify()
        assert caught.value.code == "store.rows-changed"
