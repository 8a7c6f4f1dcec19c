"""Both key-value stores behave alike, and each reads what the other wrote."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nzcore.crypto.secrets import StoreKey
from nzcore.store.bridge import AsyncioBridge
from nzcore.store.conformance import CHECKS, Check
from nzcore.store.database import Database
from nzcore.store.inline import InlineKV

KEY = StoreKey(bytes(range(32)))


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Database | InlineKV]:
    if kind == "database":
        async with AsyncioBridge() as bridge, Database(folder / "store.db", KEY, bridge) as kv:
            yield kv
    else:
        async with InlineKV(KEY, folder / "store.db" if kind == "inline file" else None) as kv:
            yield kv


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["database", "inline file", "inline memory"])
async def test_every_store_keeps_the_contract(check: Check, kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as kv:
        await check(kv)
        assert await kv.verify() == kv.head.rows


@pytest.mark.parametrize(("writer", "reader"), [("database", "inline file"), ("inline file", "database")])
async def test_a_file_of_one_store_is_read_and_continued_by_the_other(writer: str, reader: str, tmp_path: Path) -> None:
    async with opened(writer, tmp_path) as kv:
        first = await kv.put("notes", "a", b"one")
        await kv.put("more", "b", b"two")
        await kv.delete("more", "b")
    async with opened(reader, tmp_path) as kv:
        entry = await kv.get("notes", "a")
        assert entry is not None
        assert (entry.value, entry.version) == (b"one", first)
        assert await kv.namespaces() == ["more", "notes"]
        assert await kv.put("notes", "a", b"three", expect=first) > first
        assert await kv.verify() == kv.head.rows == 3
