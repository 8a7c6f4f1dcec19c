"""A home is whole, absent, or said to be half in one sentence; who may read what is looked at before it is used."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.node.doctor import check_home
from nzcore.node.home import Home, default_home, user_name
from nzcore.node.identity import LocalIdentity
from nzcore.node.setup import create_home
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.store import vault
from tests.refusals import code_of

SECRET = "ab" * 32
STRANGER = 65533  # hardly anybody's


def test_a_whole_home_is_accepted_and_nothing_is_no_home(home: Home, tmp_path: Path) -> None:
    home.require()
    assert code_of(UnavailableError, Home(tmp_path / "nowhere").require) == "node.no-home"
    assert code_of(UnavailableError, Home(tmp_path / ("x" * 300)).require) == "node.no-home"


@pytest.mark.parametrize("name", ["vault", "certificate"])
def test_half_a_home_is_damaged_and_the_missing_file_is_named(home: Home, name: str) -> None:
    (home.path / name).unlink()
    with pytest.raises(UnavailableError) as caught:
        home.require()
    assert caught.value.code == "node.damaged-home"
    assert str(home.path / name) in caught.value.message


@contextmanager
def kept_out(folder: Path) -> Iterator[None]:
    """Whoever is within may not look into `folder`: as another user where we may become one, else by its mode."""
    if os.geteuid() == 0:
        os.seteuid(STRANGER)
    else:
        folder.chmod(0)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        else:
            folder.chmod(0o700)


def test_a_home_that_cannot_be_looked_into_is_not_said_to_be_absent(home: Home) -> None:
    with kept_out(home.path):
        for asked in (home.exists, home.require):
            with pytest.raises(UnavailableError) as caught:
                asked()
            assert caught.value.code == "node.closed-home"
            assert " can't be looked into: " in caught.value.message
            assert "init" not in caught.value.hint
        (found,) = check_home(home)
        assert (found.ok, found.detail) == (False, caught.value.message)
    assert home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_whose_home_it_is_that_cannot_be_looked_into_is_said(home: Home) -> None:
    folder = next(one for one in (*reversed(home.path.parents), home.path) if not one.stat().st_mode & 0o001)
    with kept_out(home.path), pytest.raises(UnavailableError) as caught:
        home.require()
    whose = user_name(folder.stat().st_uid)
    assert caught.value.message == (
        f"{folder} can't be looked into: it belongs to {whose}, and you are {user_name(STRANGER)}"
    )


def test_a_folder_of_our_own_that_keeps_us_out_is_opened_by_its_mode(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.stat

    def closed(path: Any, **how: Any) -> os.stat_result:
        if str(path).startswith(f"{home.path}/"):
            raise PermissionError(13, "Permission denied")
        return look(path, **how)

    home.path.chmod(0o600)
    monkeypatch.setattr(os, "stat", closed)
    with pytest.raises(UnavailableError) as caught:
        home.require()
    assert (caught.value.code, caught.value.hint) == ("node.closed-home", f"chmod 700 {home.path}")
    assert caught.value.message.endswith("its mode is 0600")


def test_what_the_vault_says_of_its_lock_is_what_is_asked_for(home: Home, tmp_path: Path) -> None:
    assert not home.needs_passphrase()
    home.vault_key.unlink()
    assert not home.needs_passphrase()  # asking for a passphrase would not open it
    assert code_of(UnavailableError, lambda: LocalIdentity.unlock(home, None)) == "store.missing-file"
    sealed = Home(tmp_path / "sealed")
    sealed.make_folders()
    vault.create(sealed.vault, b"x", passphrase="p", cost=vault.Cost(1, 8 << 20))
    assert sealed.needs_passphrase()
    assert vault.lock_of(sealed.vault) == "passphrase"
    sealed.vault_key.touch()
    assert sealed.needs_passphrase()


def test_a_network_secret_is_read_and_its_absence_means_an_open_network(home: Home) -> None:
    assert home.read_network_secret() is None
    home.network_secret.touch(mode=0o600)
    home.network_secret.write_text(f"{SECRET}\n")
    assert home.read_network_secret() == bytes.fromhex(SECRET)


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "0" * 64, "xy" * 32, "\xff", "ab" * 5000])
def test_anything_else_is_no_network_secret(home: Home, text: str) -> None:
    home.network_secret.touch(mode=0o600)
    home.network_secret.write_text(text, encoding="latin-1")
    assert code_of(UnavailableError, home.read_network_secret) == "node.damaged-secret"


def test_a_network_secret_that_others_may_read_is_refused(home: Home) -> None:
    home.network_secret.write_text(SECRET)
    home.network_secret.chmod(0o640)
    assert code_of(UnavailableError, home.read_network_secret) == "store.not-private"


def test_folders_are_narrowed_and_a_file_in_their_place_is_one_sentence(home: Home) -> None:
    for folder in (home.path, home.run, home.logs):
        folder.chmod(0o755)
    home.make_folders()
    assert [stat.S_IMODE(one.stat().st_mode) for one in (home.path, home.run, home.logs)] == [0o700] * 3
    home.run.rmdir()
    home.run.touch()
    with pytest.raises(UnavailableError) as caught:
        home.make_folders()
    assert (caught.value.code, caught.value.message) == ("node.unwritable", f"{home.run} is no folder")


def test_a_home_on_a_file_system_that_is_read_only_is_said_to_be_there(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    home.make_folders()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", refuse)
        with pytest.raises(UnavailableError) as caught:
            home.make_folders()
    assert caught.value.message == f"{home.path} is on a file system that is read-only"
    assert "mount" in caught.value.hint
    mounted = SimpleNamespace(f_flag=os.ST_RDONLY, f_bavail=1 << 30, f_frsize=4096, f_blocks=1 << 30, f_bfree=1 << 30)
    monkeypatch.setattr(os, "statvfs", lambda path: mounted)
    found = {one.check: one for one in check_home(home)}
    assert found["folders"].detail == caught.value.message


def test_a_made_home_holds_only_private_files(template: Path) -> None:
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in template.iterdir() if path.is_file()}
    assert set(found) == {"certificate", "config.toml", "vault", "vault.key"}
    assert set(found.values()) <= {0o600}


def test_a_home_is_never_made_over_a_vault(home: Home) -> None:
    home.certificate.unlink()
    before = home.vault.read_bytes()
    with Mnemonic.generate() as mnemonic:
        code = code_of(UsageError, lambda: create_home(home.path, name="n", mnemonic=mnemonic, passphrase=None))
    assert code == "node.home-exists"
    assert home.vault.read_bytes() == before


def test_the_usual_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_home() == tmp_path / "nzcore"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert default_home() == Path(os.path.expanduser("~")) / ".local/share/nzcore"
