"""Durable sealed puts and gets by a hundred tasks, beside plain sqlite3 without sealing; and the bridge's own cost.

Same folder, same row sizes, same WAL settings with FULL sync for everybody.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from nzcore.crypto.secrets import StoreKey
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.database import Database

TASKS = 100
VALUE = os.urandom(100)
ROW = len(VALUE) + 60  # of a plain row: what a sealed one has on disk
SETTINGS = ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4096")
INSERT = "INSERT INTO kv (place, version, sealed) VALUES (?, ?, ?)"


def measure(rounds: int = 100) -> dict[str, float]:
    """Rates per second: `put` and `get` by 100 tasks together, each `rounds` times; `get_single`, one call at a time;
    `plain` and `plain_single`, rows of plain sqlite3 in commits of 100 and of one. `bridge_us`: microseconds a call."""
    with tempfile.TemporaryDirectory(prefix="nzcore-bench-") as folder:
        return trio.run(_ours, Path(folder) / "store.db", rounds) | {
            "plain": _plain(Path(folder) / "plain.db", rounds, TASKS),
            "plain_single": _plain(Path(folder) / "single.db", rounds * 10, 1),
        }


async def _ours(path: Path, rounds: int) -> dict[str, float]:
    async def put(task: int, number: int) -> None:
        await kv.put("bench", f"{task}/{number}", VALUE)

    async def get(task: int, number: int) -> None:
        entry = await kv.get("bench", f"{task}/{number}")
        assert entry is not None
        assert entry.value == VALUE

    async with AsyncioBridge() as bridge, Database(path, StoreKey.generate(), bridge) as kv:
        begun = time.perf_counter()
        for number in range(rounds * 10):
            await bridge.run(_same, number)
        bridge_us = (time.perf_counter() - begun) / (rounds * 10) * 1e6
        figures = {"put": await _together(put, rounds), "get": await _together(get, rounds), "bridge_us": bridge_us}
        begun = time.perf_counter()
        for number in range(rounds * 10):
            await get(number % TASKS, number % rounds)
        figures["get_single"] = rounds * 10 / (time.perf_counter() - begun)
        return figures


async def _same(number: int) -> int:
    return number


async def _together(work: Callable[[int, int], Awaitable[None]], rounds: int) -> float:
    async def task(index: int) -> None:
        for number in range(rounds):
            await work(index, number)

    begun = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for index in range(TASKS):
            nursery.start_soon(task, index)
    return TASKS * rounds / (time.perf_counter() - begun)


def _plain(path: Path, commits: int, rows: int) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    connection.execute("CREATE TABLE kv (id INTEGER PRIMARY KEY, place BLOB, version INTEGER, sealed BLOB)")
    connection.execute("CREATE UNIQUE INDEX kv_place ON kv (place)")
    batches = [[(os.urandom(32), number, os.urandom(ROW)) for number in range(rows)] for _ in range(commits)]
    begun = time.perf_counter()
    for batch in batches:
        connection.execute("BEGIN")
        connection.executemany(INSERT, batch)
        connection.execute("COMMIT")
    spent = time.perf_counter() - begun
    connection.close()
    return commits * rows / spent
