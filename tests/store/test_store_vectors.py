"""vectors/store.json holds for the code, and its tool, a second implementation, makes it again to the byte."""

import json
from pathlib import Path

import pytest

from nzcore.base.errors import NzError
from nzcore.crypto.secrets import StoreKey
from nzcore.store.sealing import Sealer, StoredRow
from nzcore.store.vault import Vault
from tools.vectors import __main__ as tool

FILE = Path(__file__).parents[2] / "vectors" / "store.json"
CASES: list[dict[str, str]] = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


def check(case: dict[str, str], folder: Path) -> None:
    """Compares what the case states. *Raises* NzError for a refusal."""
    if case["kind"] == "vault":
        check_vault(case, folder)
        return
    sealer = Sealer(StoreKey(bytes.fromhex(case["data_key"])))
    if case["kind"] == "place":
        assert sealer.place(case["namespace"], case["entry"]).hex() == case["place"]
    elif case["kind"] == "row":
        row = StoredRow(bytes.fromhex(case["place"]), int(case["version"]), bytes.fromhex(case["sealed"]))
        name, value = sealer.open_row(row)
        assert (name, value.hex()) == (case["entry"], case["value"])
        assert sealer.leaf(row.place, row.version, row.sealed[-16:]).to_bytes(32, "big").hex() == case["leaf"]
    else:
        head = sealer.open_head(int(case["counter"]), bytes.fromhex(case["sealed"]))
        assert list(head) == [int(case[field]) for field in ("counter", "rows", "sum")]


def check_vault(case: dict[str, str], folder: Path) -> None:
    (folder / "vault").write_bytes(bytes.fromhex(case["vault"]))
    if "passphrase" in case:
        opened = Vault.open(folder / "vault", passphrase=case["passphrase"])
    else:
        key_file = folder / "vault.key"
        key_file.touch(0o600)
        key_file.write_bytes(bytes.fromhex(case["key_file"]))
        opened = Vault.open(folder / "vault", key_file=key_file)
    assert opened.contents().reveal().hex() == case["contents"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_vector_comes_out_as_stated(case: dict[str, str], tmp_path: Path) -> None:
    if case["expect"] == "ok":
        check(case, tmp_path)
        return
    with pytest.raises(NzError) as caught:
        check(case, tmp_path)
    assert caught.value.code == case["expect"]


def test_the_tool_makes_the_same_bytes_again() -> None:
    assert tool.made("store") == FILE.read_text(encoding="utf-8")
