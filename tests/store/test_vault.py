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
from nzcore.store.vault import Lock, Vault
from tests.dying import Killed, kill_at
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


def lock_by(passphrase: str | None) -> Lock:
    return Lock.by_key_file() if passphrase is None else Lock.by_passphrase(passphrase, cost=CHEAP)


def opened_by(path: Path, passphrase: str | None) -> Vault:
    """The vault, opened with the passphrase or, for None, with the key file beside it."""
    key_file = None if passphrase is not None else path.with_name("vault.key")
    return Vault.open(path, passphrase=passphrase, key_file=key_file)


def sealed_under(folder: Path, passphrase: str | None) -> Path:
    path, key_file = folder / "vault", None if passphrase is not None else folder / "vault.key"
    vault.create(path, b"the keys", passphrase=passphrase, key_file=key_file, cost=CHEAP)
    return path


CHANGES = [(WORDS, "battery staple"), (WORDS, None), (None, WORDS)]
CHANGED = pytest.mark.parametrize(("before", "after"), CHANGES, ids=["other-words", "to-key-file", "to-words"])


@CHANGED
def test_another_lock_opens_the_same_contents_and_the_one_before_nothing(
    before: str | None, after: str | None, tmp_path: Path
) -> None:
    path = sealed_under(tmp_path, before)
    old_key = (tmp_path / "vault.key").read_bytes() if before is None else b""
    changed = opened_by(path, before)
    changed.relock(lock_by(after), tmp_path / "vault.key")
    assert changed.contents().reveal() == b"the keys"
    changed.replace(b"new keys")  # what was open goes on under the new lock
    again = opened_by(path, after)
    assert again.contents().reveal() == b"new keys"
    assert sorted(os.listdir(tmp_path)) == (["vault", "vault.key"] if after is None else ["vault"])
    if before is None:
        files.write_new(tmp_path / "vault.key", old_key)
        assert code_of(NzError, opened_by, path, None) == "store.other-lock"
    else:
        wrong = "store.other-lock" if after is None else "store.wrong-passphrase"
        assert code_of(NzError, opened_by, path, before) == wrong
    for name in os.listdir(tmp_path):
        assert permissions_problem(tmp_path / name) is None


@pytest.mark.parametrize("moment", range(26))
@CHANGED
def test_a_change_of_the_lock_that_dies_at_any_moment_leaves_one_that_opens(
    before: str | None, after: str | None, moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key_file = sealed_under(tmp_path, before), tmp_path / "vault.key"
    dying, lock = opened_by(path, before), lock_by(after)
    with monkeypatch.context() as patch:
        kill_at(patch, moment)
        try:
            dying.relock(lock, key_file)
            survived = True
        except Killed:
            survived = False
    try:
        counts, found = before, opened_by(path, before)
        assert not survived
    except NzError:
        counts, found = after, opened_by(path, after)
    assert found.contents().reveal() == b"the keys"
    found.tidy(key_file)
    assert sorted(os.listdir(tmp_path)) == (["vault", "vault.key"] if counts is None else ["vault"])
    assert opened_by(path, counts).contents().reveal() == b"the keys"
    if counts == before:  # what was left over is in nobody's way
        found.relock(lock_by(after), key_file)
        assert opened_by(path, after).contents().reveal() == b"the keys"


@CHANGED
def test_the_moments_above_reach_beyond_the_end_of_a_change(
    before: str | None, after: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sealed_under(tmp_path, before)
    changing, lock = opened_by(path, before), lock_by(after)
    with monkeypatch.context() as patch:
        calls = kill_at(patch, 1000)
        changing.relock(lock, tmp_path / "vault.key")
    assert 4 <= calls() <= 12


def test_a_key_file_survives_until_the_vault_that_does_without_it_is_durable(
    by_key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename is done and its folder can't be synced: after a loss of power the old vault may be there again."""

    def fail(folder: Path) -> None:
        raise OSError(5, "Input/output error", str(folder))

    changed, key_file = opened_by(by_key_file, None), by_key_file.with_name("vault.key")
    with monkeypatch.context() as patch:
        patch.setattr(files, "sync_folder", fail)
        patch.setattr(vault, "sync_folder", fail)
        assert code_of(NzError, changed.relock, lock_by(WORDS), key_file) == "store.cannot-write"
        assert key_file.exists()
        assert changed.lock.kind == "passphrase"
        assert code_of(NzError, opened_by(by_key_file, WORDS).tidy, key_file) == "store.cannot-write"
        assert key_file.exists()
    changed.replace(b"new keys")
    opened_by(by_key_file, WORDS).tidy(key_file)
    assert os.listdir(by_key_file.parent) == ["vault"]
    assert held(by_key_file, passphrase=WORDS) == b"new keys"


@CHANGED
def test_a_change_of_the_lock_that_cannot_be_written_changes_nothing(
    before: str | None, after: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sealed_under(tmp_path, before)
    held_before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    changed, lock = opened_by(path, before), lock_by(after)
    rename = Path.replace

    def full(source: Path, target: Path) -> Path:
        if target.name == "vault":
            raise OSError(28, "No space left on device", str(target))
        return rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert code_of(NzError, changed.relock, lock, tmp_path / "vault.key") == "store.disk-full"
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == held_before
    assert code_of(NzError, lock.key.view) == "crypto.wiped"
    assert changed.contents().reveal() == b"the keys"


def test_a_vault_under_a_key_file_takes_no_other_key_file(by_key_file: Path) -> None:
    key_file = by_key_file.with_name("vault.key")
    content = by_key_file.read_bytes(), key_file.read_bytes()
    opened, lock = opened_by(by_key_file, None), Lock.by_key_file()
    assert code_of(NzError, opened.relock, lock, key_file) == "store.same-lock"
    assert code_of(NzError, lock.key.view) == "crypto.wiped"
    assert (by_key_file.read_bytes(), key_file.read_bytes()) == content


def test_an_open_vault_knows_its_passphrase_again(by_passphrase: Path) -> None:
    opened = Vault.open(by_passphrase, passphrase=WORDS)
    assert opened.lock.is_opened_by(WORDS)
    assert not opened.lock.is_opened_by("wrong")
    assert WORDS not in repr(opened.lock)
    opened.wipe()
    assert not opened.lock.is_opened_by(WORDS)
    assert code_of(NzError, Lock.by_key_file().is_opened_by, WORDS) == "store.other-lock"
