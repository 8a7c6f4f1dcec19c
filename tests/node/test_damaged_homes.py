"""Whatever is wrong with a home, who starts its node reads one sentence and what to try, never a traceback."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nzcore.base.errors import NzError, UnavailableError
from nzcore.cli.commands.up import _reported
from nzcore.node.home import Home
from nzcore.node.run import opened, run_node
from nzcore.node.setup import create_home
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.store.files import read, replace

pytestmark = pytest.mark.real
WORDS = "abandon " * 23 + "art"
COMMAND = str(Path(sys.executable).with_name("nzcore"))


def start(home: Home, passphrase: str | None = None, *, empty_store: bool = False) -> str:
    """`ready`, or the code of the one error; a node that starts is stopped at once."""

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        assert run_node(home.path, passphrase=passphrase, on_event=on_event, empty_store=empty_store) == 0
    except NzError as error:
        said = error
    else:
        return "ready"
    assert said.message
    assert "\n" not in said.message
    assert said.hint
    return said.code


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def into_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\x00garbage" * 100)


def text(content: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(content)

    return write


def into_file(path: Path) -> None:
    path.rmdir()
    path.touch()


def without_a_log(path: Path) -> None:
    (path / "node.log").mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("certificate", Path.unlink, "node.damaged-home"),
    ("certificate", garbage, "ready"),  # the vault holds it, too
    ("certificate", empty, "ready"),
    ("certificate", into_folder, "store.cannot-write"),
    ("vault", Path.unlink, "node.damaged-home"),
    ("vault", garbage, "store.damaged-vault"),
    ("vault", cut, "store.truncated-vault"),
    ("vault", empty, "store.truncated-vault"),
    ("vault", into_folder, "store.cannot-read"),
    ("vault.key", Path.unlink, "store.missing-file"),
    ("vault.key", garbage, "store.damaged-key-file"),
    ("vault.key", cut, "store.damaged-key-file"),
    ("vault.key", lambda path: path.chmod(0o644), "store.not-private"),
    ("config.toml", Path.unlink, "ready"),
    ("config.toml", garbage, "node.damaged-config"),
    ("config.toml", into_folder, "node.damaged-config"),
    ("config.toml", text("[channels]\ndead_s = 1.0"), "node.damaged-config"),
    ("config.toml", text("[net]\nlisten = ['here']"), "node.damaged-config"),
    ("config.toml", text("[net]\nmdns = 7"), "node.damaged-config"),
    ("store.db", garbage, "node.not-ready"),
    ("store.db", into_folder, "node.not-ready"),
    ("lock", into_folder, "store.cannot-write"),
    ("run", into_file, "node.unwritable"),
    ("network.secret", garbage, "store.not-private"),
    ("network.secret", text("x"), "node.damaged-secret"),
    ("logs", without_a_log, "ready"),  # and state tells
]


@pytest.mark.parametrize(
    ("name", "damage", "expected"), DAMAGES, ids=[f"{name}-{at}" for at, (name, _, _) in enumerate(DAMAGES)]
)
def test_a_damaged_file_is_one_sentence_or_no_hindrance(
    home: Home, name: str, damage: Callable[[Path], None], expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(home.path / name)
    assert start(home) == expected
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_store_that_is_gone_does_not_begin_anew_in_silence(home: Home) -> None:
    assert start(home) == "ready"
    home.database.unlink()
    assert start(home) == "node.missing-store"
    assert not home.database.exists()
    assert start(home, empty_store=True) == "ready"
    assert start(home) == "ready"
    assert start(home, empty_store=True) == "node.store-exists"  # what is there is not emptied
    assert start(home) == "ready"


def test_the_rest_of_a_store_that_is_gone_does_not_hinder_an_empty_one(home: Home) -> None:
    assert start(home) == "ready"
    home.database.rename(home.path / "store.db-wal")
    assert start(home) == "node.missing-store"
    assert start(home, empty_store=True) == "ready"


@pytest.mark.parametrize("lost", [("store.db", "place", "logs/node.log"), ("place", "logs/node.log"), ("place",), ()])
def test_a_crash_between_two_files_leaves_a_home_that_starts(home: Home, lost: tuple[str, ...]) -> None:
    """The store is made before the log says that it runs, that before its witness, all at the first start: these are
    all the states between, and the first is a home of which nothing tells that it ever had a store."""
    assert start(home) == "ready"
    for name in lost:
        (home.path / name).unlink()
    assert start(home) == "ready"


def with_its_log(home: Home) -> None:
    assert home.log.exists()


def without_its_log(home: Home) -> None:
    home.log.unlink()


def with_its_log_rotated(home: Home) -> None:
    home.log.rename(home.logs / "node.log.1")


def with_a_module_s_files(home: Home) -> None:
    without_its_log(home)
    (home.module_files / "profile").mkdir(parents=True)
    (home.module_files / "profile" / "mine.json").write_text("{}")


def with_the_store_s_log(home: Home) -> None:
    without_its_log(home)
    (home.path / "store.db-wal").write_bytes(b"rows")


@pytest.mark.parametrize("rest", [with_its_log, with_its_log_rotated, with_a_module_s_files, with_the_store_s_log])
def test_a_store_that_went_with_its_witness_is_missed_by_what_else_it_left(
    home: Home, rest: Callable[[Home], None]
) -> None:
    assert start(home) == "ready"
    home.place.unlink()
    home.database.unlink()
    rest(home)
    assert start(home) == "node.missing-store"
    assert not home.database.exists()
    assert start(home, empty_store=True) == "ready"
    assert start(home) == "ready"
    assert not home.fresh_database.exists()


def test_an_empty_store_that_was_meant_is_still_meant_after_a_crash(home: Home) -> None:
    assert start(home) == "ready"
    home.place.unlink()
    home.database.unlink()
    home.forget_store()
    assert start(home) == "ready"


def test_a_start_that_failed_before_the_first_store_is_no_loss_of_it(home: Home) -> None:
    home.make_folders()
    into_folder(home.path / "store.db.new")  # nothing can be made there
    assert start(home) == "node.not-ready"
    assert "service.store" in home.log.read_text()
    (home.path / "store.db.new").rmdir()
    assert start(home) == "ready"


@pytest.mark.parametrize("harm", [into_folder, garbage])
def test_a_log_that_cannot_be_read_is_no_witness(home: Home, harm: Callable[[Path], None]) -> None:
    home.make_folders()
    harm(home.logs / "node.log.1")
    home.require_store()


def test_after_every_refusal_the_home_is_as_free_as_before(home: Home) -> None:
    good = home.vault.read_bytes()
    garbage(home.vault)
    assert start(home) == "store.damaged-vault"
    home.vault.write_bytes(good)
    assert start(home) == "ready"


def test_a_second_node_on_one_home_is_refused_with_the_first_one_s_process(home: Home) -> None:
    with opened(home, None), pytest.raises(NzError) as caught:
        run_node(home.path, passphrase=None, on_event=print)
    assert (caught.value.code, caught.value.facts["pid"]) == ("store.home-busy", os.getpid())


def test_a_busy_port_is_named(home: Home) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        home.config.write_text(f"[net]\nlisten = ['{address}']\nmdns = false\n")
        with pytest.raises(NzError) as caught:
            run_node(home.path, passphrase=None, on_event=print)
    assert caught.value.code == "node.not-ready"
    assert address.removeprefix("tcp://") in caught.value.message


def test_a_wrong_and_a_missing_passphrase_are_told_apart(tmp_path: Path) -> None:
    home = Home(tmp_path / "sealed")
    with Mnemonic.parse(WORDS) as mnemonic:
        create_home(home.path, name="n", mnemonic=mnemonic, passphrase="right")
    assert start(home) == "node.passphrase-needed"
    assert start(home, "wrong") == "store.wrong-passphrase"


@pytest.mark.parametrize(("file", "code"), [("vault", "node.damaged-home"), ("config.toml", "node.damaged-config")])
def test_the_command_ends_with_1_and_one_json_error(home: Home, file: str, code: str) -> None:
    (home.path / file).unlink()
    if file == "config.toml":
        home.config.write_text("[door]\nreserved = 4000\n")
    done = subprocess.run([COMMAND, "--home", home.path, "--json", "up"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    error = json.loads(line)["error"]
    assert error["code"] == code
    assert error["hint"]


def test_no_home_ends_with_3(tmp_path: Path) -> None:
    done = subprocess.run([COMMAND, "--home", tmp_path / "x", "up"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_copy_of_a_home_is_a_home(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.path, tmp_path / "copy")
    assert start(Home(tmp_path / "copy")) == "ready"


def test_the_file_that_is_missing_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as missing:
        read(tmp_path / "vault.key", 10)
    assert missing.value.message == "the file vault.key is not there"
    with pytest.raises(UnavailableError) as refused:
        replace(tmp_path / "nowhere" / "config.toml", b"")
    assert refused.value.message == f"cannot write {tmp_path}/nowhere/config.toml: No such file or directory"


def test_a_detached_node_that_a_full_disk_silenced_is_told_by_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stderr.log").touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert "the disk is full" in _reported(1, tmp_path / "stderr.log").message
