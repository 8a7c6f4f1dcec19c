"""What only the store behind the bridge does: sharing commits, staying out of each other's way, ending cleanly."""

import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from nzcore.base.errors import UnavailableError
from nzcore.crypto.secrets import StoreKey
from nzcore.store import database as database_module
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.database import Database
from nzcore.store.kv import Entry, Put
from nzcore.store.names import NameIndexes
from nzcore.store.sealing import StoredRow

KEY = StoreKey(bytes(range(32)))


async def test_writers_who_come_together_share_commits_and_readers_share_calls(tmp_path: Path) -> None:
    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(kv.put, "notes", f"n{number}", b"x")
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(kv.get, "notes", f"n{number}")
        assert kv.statistics()["writes"]["calls"] <= 3
        assert kv.statistics()["reads"]["calls"] <= 3
        assert kv.head.rows == 101


async def test_many_large_transactions_of_empty_values_share_commits_within_their_bound(tmp_path: Path) -> None:
    async def write(number: int) -> None:
        await kv.write([Put(f"{number % 3}", f"{number}/{index}", b"") for index in range(1024)])

    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        async with trio.open_nursery() as nursery:
            for number in range(70):
                nursery.start_soon(write, number)
        assert kv.head.rows == 70 * 1024 + 3


async def test_a_listing_between_two_pages_keeps_neither_readers_nor_writers_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        await kv.write([Put("notes", f"n{number:04}", b"") for number in range(1000)])
        paused, go_on, scan = trio.Event(), trio.Event(), kv._scan
        listed: list[str] = []

        async def slow_scan(tag: bytes, after: bytes, limit: int) -> list[StoredRow]:
            page = await scan(tag, after, limit)
            paused.set()
            await go_on.wait()
            return page

        async def list_all() -> None:
            listed.extend(await kv.list("notes"))

        monkeypatch.setattr(kv, "_scan", slow_scan)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(list_all)
            await paused.wait()
            await kv.put("notes", "new", b"x")
            await kv.delete("notes", "n0007")
            assert await kv.get("notes", "new") is not None
            go_on.set()
        expected = sorted({f"n{number:04}" for number in range(1000)} - {"n0007"} | {"new"})
        assert listed == expected
        assert await kv.list("notes") == expected


async def test_a_page_of_large_values_is_short(tmp_path: Path) -> None:
    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        for start in range(0, 12, 4):
            await kv.write([Put("notes", f"n{number}", bytes(1 << 20)) for number in range(start, start + 4)])
        tag = kv._sealer.namespace_tag("notes")
        assert len(await kv._scan(tag, tag, 256)) == 4
        assert len(await kv.list("notes")) == 12
        assert await kv.verify() == 13


async def test_a_closed_store_refuses_and_leaves_no_thread_and_no_log(tmp_path: Path) -> None:
    before = threading.active_count()
    async with AsyncioBridge() as bridge:
        async with Database(tmp_path / "store.db", KEY, bridge) as kv:
            await kv.put("notes", "a", b"x")
        for call in (kv.get("notes", "a"), kv.put("notes", "a", b""), kv.list("notes"), kv.verify()):
            with pytest.raises(UnavailableError) as caught:
                await call
            assert caught.value.code == "store.closed"
    assert threading.active_count() == before
    assert not (tmp_path / "store.db-wal").exists()


async def test_when_the_bridge_dies_writers_are_told_and_what_was_durable_is_there_again(tmp_path: Path) -> None:
    async def die() -> None:
        raise SystemExit

    before = threading.active_count()
    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        version = await kv.put("notes", "a", b"x")
        with pytest.raises(UnavailableError):
            await bridge.run(die)
        with pytest.raises(UnavailableError):
            await kv.put("notes", "b", b"x")
    assert threading.active_count() - before <= 1  # Trio keeps a spare thread for a while
    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        assert await kv.get("notes", "a") == Entry(b"x", version)


async def test_a_disk_that_does_not_answer_is_said_and_the_store_goes_on_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, release = threading.Event(), threading.Event()

    def block() -> None:
        stuck.set()
        release.wait()

    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv, trio.open_nursery() as n:
        n.start_soon(bridge.run, kv._writer.call, block)
        await trio.to_thread.run_sync(stuck.wait)
        with monkeypatch.context() as patch:
            patch.setattr(database_module, "DISK_S", 0.0)
            with pytest.raises(UnavailableError) as caught:
                await kv.put("notes", "a", b"x")
            assert caught.value.code == "store.disk-hangs"
        release.set()
        await kv.put("notes", "b", b"x")
        assert await kv.list("notes") == ["a", "b"]  # said to be unknown, and in fact it happened


async def test_a_scrub_reads_one_moment_while_others_write(tmp_path: Path) -> None:
    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        await kv.write([Put("notes", f"n{number}", b"x") for number in range(1000)])
        seen: list[int] = []

        async def scrub() -> None:
            seen.append(await kv.verify())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(scrub)
            number = 0
            while not seen:
                await kv.write([Put("notes", f"m{number}", b""), Put("notes", f"n{number}", b"y")])
                number += 1
        assert 1001 <= seen[0] <= 1001 + number
        assert await kv.verify() == 1001 + number


async def test_a_cancelled_scrub_closes_its_connection(tmp_path: Path) -> None:
    async with AsyncioBridge() as bridge, Database(tmp_path / "store.db", KEY, bridge) as kv:
        await kv.write([Put("notes", f"n{number}", b"x") for number in range(1000)])
        before = set(threading.enumerate())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kv.verify)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        for thread in set(threading.enumerate()) - before:
            thread.join()  # ends, and soon: closing was awaited


def test_indexes_beyond_their_bound_are_forgotten_longest_unlisted_first() -> None:
    indexes = NameIndexes(max_names=5)
    for ns in ("one", "two", "three"):
        with indexes.loading(ns) as names:
            names.extend(["a", "b"])
        indexes.select("one", "")
    assert [ns for ns in ("one", "two", "three") if indexes.has(ns)] == ["one", "three"]
    for number in range(6):
        indexes.note("three", f"{number}", present=True)
    assert not indexes.has("three")


def test_a_load_that_fails_leaves_no_index() -> None:
    indexes = NameIndexes()
    with pytest.raises(KeyError), indexes.loading("one"):
        raise KeyError
    assert not indexes.has("one")


def test_changes_during_a_load_count() -> None:
    indexes = NameIndexes()
    with indexes.loading("one") as names:
        names.extend(["a", "b"])
        indexes.note("one", "b", present=False)
        indexes.note("one", "c", present=True)
    assert indexes.select("one", "") == ["a", "c"]
