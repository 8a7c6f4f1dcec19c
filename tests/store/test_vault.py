"""The vault: what opens it, what is said when it does not open, and what a crash leaves."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.crypto.hashing import sha256
from nzcore.crypto.passphrase import Cost
from nzcore.store import files, vault
from nzcore.store.files import permissions_problem
from nzcore.store.vault import Vault
from tests.refusals import code_of
from tools.fuzz import vault as fuzz_vault

CHEAP = Cost(1, 8 << 20)
WORDS = "correct horse"


@pytest.fixture
def by_passphrase(tmp_path: Path) -> Path:
    vault.create(tmp_path / "vault", b"the keys", passphrase=WORDS, cost=CHEAP)
    return tmp_path / "vault"


@pytest.fixture
def by_key_file(tmp_path: Path) -> Path:
    vault.create(tmp_path / "vault", b"the keys", key_file=tmp_path / "vault.key")
    return tmp_path / "vault"


def held(path: Path, *, passphrase: str | None = None, key_file: Path | None = None) -> bytes:
    """What the vault at `path` holds. *Raises* as opening it does."""
    opened = Vault.open(path, passphrase=passphrase, key_file=key_file)
    contents = opened.contents().reveal()
    opened.wipe()
    return contents


def test_a_passphrase_opens_its_vault_however_its_letters_are_composed(tmp_path: Path) -> None:
    vault.create(tmp_path / "vault", b"the keys", passphrase="caf\u00e9", cost=CHEAP)
    assert held(tmp_path / "vault", passphrase="cafe\u0301") == b"the keys"
    assert vault.lock_of(tmp_path / "vault") == "passphrase"


def test_a_key_file_opens_its_vault(by_key_file: Path) -> None:
    assert held(by_key_file, key_file=by_key_file.with_name("vault.key")) == b"the keys"
    assert vault.lock_of(by_key_file) == "key-file"


def test_both_files_are_private_whatever_the_umask_and_hide_their_contents(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        vault.create(tmp_path / "vault", b"the keys", key_file=tmp_path / "vault.key")
        Vault.open(tmp_path / "vault", key_file=tmp_path / "vault.key").replace(b"other keys")
    finally:
        os.umask(before)
    for name in ("vault", "vault.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert permissions_problem(tmp_path / name) is None
        assert b"keys" not in (tmp_path / name).read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["vault", "vault.key"]


def test_every_way_not_to_open_has_its_own_code(by_passphrase: Path, tmp_path: Path) -> None:
    content = by_passphrase.read_bytes()
    other = tmp_path / "other"
    vault.create(other, b"", key_file=tmp_path / "other.key")

    def opened(data: bytes) -> Callable[[], object]:
        by_passphrase.write_bytes(data)
        return lambda: held(by_passphrase, passphrase=WORDS)

    assert code_of(NzError, held, by_passphrase, passphrase="wrong") == "store.wrong-passphrase"
    assert code_of(NzError, held, by_passphrase, key_file=tmp_path / "other.key") == "store.other-lock"
    assert code_of(NzError, held, other, passphrase=WORDS) == "store.other-lock"
    assert code_of(NzError, held, by_passphrase) == "store.one-lock"
    assert code_of(NzError, held, tmp_path / "none", passphrase=WORDS) == "store.missing-file"
    assert code_of(NzError, opened(content[:60])) == "store.truncated-vault"
    assert code_of(NzError, opened(b"")) == "store.truncated-vault"
    assert code_of(NzError, opened(content[:8] + b"\0\2" + content[10:])) == "store.newer-vault"
    assert code_of(NzError, opened(content[:70] + b"\xff\xff" + content[72:])) == "store.damaged-vault"
    assert code_of(NzError, opened(content + b"x")) == "store.damaged-vault"
    assert code_of(NzError, opened(bytes(100))) == "store.damaged-vault"


def code_of_parsing(data: bytes) -> str:
    return code_of(NzError, vault.parse, data)


def test_every_flipped_bit_and_every_cut_is_noticed(by_passphrase: Path) -> None:
    content = by_passphrase.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        assert code_of_parsing(bytes(changed)) in (
            "store.damaged-vault",
            "store.newer-vault",
            "store.truncated-vault",
        )
        assert code_of_parsing(content[:place]) == "store.truncated-vault"


@pytest.mark.parametrize("memory", [1 << 40, 1 << 10])
def test_a_stored_cost_is_bounded_before_it_is_paid(memory: int, by_passphrase: Path) -> None:
    content = by_passphrase.read_bytes()
    body = content[:20] + memory.to_bytes(8, "big") + content[28:-32]
    assert code_of(NzError, vault.parse, body + sha256(body)) == "store.damaged-vault"


def test_the_header_is_bound_to_the_seal(by_key_file: Path) -> None:
    content = by_key_file.read_bytes()
    body = content[:28] + b"\1" + content[29:-32]  # the salt, which a key file does not use
    by_key_file.write_bytes(body + sha256(body))
    key_file = by_key_file.with_name("vault.key")
    assert code_of(NzError, held, by_key_file, key_file=key_file) == "store.wrong-key-file"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_vault_or_refused(data: bytes) -> None:
    fuzz_vault.target(data)


def test_an_open_vault_replaces_its_contents_without_asking_again(by_passphrase: Path) -> None:
    opened = Vault.open(by_passphrase, passphrase=WORDS)
    assert opened.contents().reveal() == b"the keys"
    opened.replace(b"new keys")
    assert opened.contents().reveal() == b"new keys"
    assert held(by_passphrase, passphrase=WORDS) == b"new keys"
    opened.wipe()
    assert code_of(NzError, opened.contents) == "crypto.wiped"
    assert code_of(NzError, Vault.open, by_passphrase, passphrase="wrong") == "store.wrong-passphrase"


def test_what_is_sealed_without_a_file_opens_with_the_passphrase_alone() -> None:
    sealed = vault.seal(b"for elsewhere", WORDS, cost=CHEAP)
    assert vault.unseal(sealed, WORDS).reveal() == b"for elsewhere"
    assert code_of(NzError, vault.unseal, sealed, "wrong") == "store.wrong-passphrase"
    assert code_of(NzError, vault.unseal, sealed[:-1], WORDS) == "store.truncated-vault"


def test_nothing_is_overwritten_or_left_over_when_making_a_vault_fails(by_passphrase: Path, tmp_path: Path) -> None:
    content = by_passphrase.read_bytes()
    key_file = tmp_path / "vault.key"
    assert code_of(NzError, vault.create, by_passphrase, b"x", key_file=key_file) == "store.file-exists"
    assert by_passphrase.read_bytes() == content
    assert (
        code_of(NzError, vault.create, tmp_path / "v2", bytes(1 << 20), key_file=key_file) == "store.too-much-in-vault"
    )
    assert code_of(NzError, vault.create, tmp_path / "no" / "v", b"", key_file=key_file) == "store.cannot-write"
    assert os.listdir(tmp_path) == ["vault"]
    key_file.write_bytes(b"somebody's")
    assert code_of(NzError, vault.create, tmp_path / "v3", b"", key_file=key_file) == "store.file-exists"
    assert key_file.read_bytes() == b"somebody's"


@pytest.mark.parametrize("moment", ["fsync", "rename", "folder"])
def test_a_crash_while_replacing_leaves_the_old_vault_or_the_new_one(
    moment: str, by_passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crashed(Exception):
        pass

    def crash(*_: object) -> None:
        raise Crashed

    opened = Vault.open(by_passphrase, passphrase=WORDS)
    with monkeypatch.context() as patch:
        if moment == "rename":
            patch.setattr(Path, "replace", crash)
        else:
            patch.setattr(files if moment == "folder" else os, "sync_folder" if moment == "folder" else "fsync", crash)
        with pytest.raises(Crashed):
            opened.replace(b"new")
    found = held(by_passphrase, passphrase=WORDS)
    assert found == (b"new" if moment == "folder" else b"the keys")
    opened.replace(b"newest")  # what was left over is in nobody's way
    assert os.listdir(by_passphrase.parent) == ["vault"]


def test_a_key_file_that_others_may_read_is_refused_and_a_vault_reported(by_key_file: Path) -> None:
    key_file = by_key_file.with_name("vault.key")
    key_file.chmod(0o640)
    assert code_of(NzError, held, by_key_file, key_file=key_file) == "store.not-private"
    by_key_file.chmod(0o604)
    assert "0604" in (permissions_problem(by_key_file) or "")
    assert "can't be examined" in (permissions_problem(by_key_file.with_name("none")) or "")
    assert "not a regular file" in (permissions_problem(by_key_file.parent) or "")


@pytest.mark.parametrize("content", [b"", b"nzcore vault key 1 ", b"\xff" * 84, b"nzcore vault key 1 " + b"z" * 65])
def test_a_damaged_key_file_is_said(content: bytes, by_key_file: Path) -> None:
    key_file = by_key_file.with_name("vault.key")
    key_file.write_bytes(content)
    assert code_of(NzError, held, by_key_file, key_file=key_file) == "store.damaged-key-file"


def test_errors_are_of_the_right_kind(by_passphrase: Path) -> None:
    with pytest.raises(UsageError):
        held(by_passphrase, passphrase="wrong")
    by_passphrase.write_bytes(b"x")
    with pytest.raises(UnavailableError):
        held(by_passphrase, passphrase=WORDS)
