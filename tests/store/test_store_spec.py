"""spec/store.md §10 shows a row that really opens, and §6 the schema that is really made."""

import re
from pathlib import Path

from nzcore.base.reasons import catalogue
from nzcore.crypto.secrets import StoreKey
from nzcore.store import schema
from nzcore.store.sealing import Sealer, StoredRow

PAGE = (Path(__file__).parents[2] / "spec" / "store.md").read_text(encoding="utf-8")


def test_the_example_opens() -> None:
    example = PAGE[PAGE.index("tag    ") :]
    tag, place, salt, ciphertext, seal, leaf = (
        bytes.fromhex(text) for text in re.findall(r"\b[0-9a-f]{30,}\b", example)
    )
    sealer = Sealer(StoreKey(bytes(range(32))))
    row = StoredRow(sealer.place("notes", "greeting"), 458_754, salt + ciphertext + seal)
    assert (row.place, row.place[:16]) == (place, tag)
    assert sealer.open_row(row) == ("greeting", b"hello")
    assert sealer.leaf(row.place, row.version, seal) == int.from_bytes(leaf, "big")


def test_the_schema_is_as_written() -> None:
    for statement in schema.MIGRATIONS[0]:
        assert f"{statement};" in PAGE
    assert f"0x{schema.APPLICATION_ID:X}" in PAGE


def test_every_code_on_the_page_is_explained() -> None:
    codes = set(re.findall(r"`(store\.[a-z-]+)`", PAGE))
    assert len(codes) > 20
    assert codes - {"store.md", "store.json", "store.db"} <= set(catalogue())
