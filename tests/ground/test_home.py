"""spec/env.md §2 is what a real home holds: each file listed, with its mode, and safe to delete where it says so."""

import json
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = str(Path(sys.executable).with_name("nzcore"))

pytestmark = pytest.mark.real


class Listed(NamedTuple):
    mode: str
    secret: bool
    safe_to_delete: bool


def table() -> dict[str, Listed]:
    rows = [line.strip("|").split("|") for line in (ROOT / "spec" / "env.md").read_text().splitlines()]
    files = {}
    for row in rows:
        cells = [cell.strip() for cell in row]
        if len(cells) == 5 and re.fullmatch(r"0\d{3}", cells[1]):
            name = re.findall(r"`([^`]+)`", cells[0])[0]
            files[name] = Listed(cells[1], "yes" in cells[2], cells[3].startswith("yes"))
    return files


def nzcore(home: Path, *arguments: str) -> str:
    command = [COMMAND, "--home", str(home), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()}


@pytest.fixture
def home(tmp_path):
    """The home of a node that has just been made; its node is stopped at the end, whatever happened."""
    path = tmp_path / "h"
    nzcore(path, "init", "--no-passphrase", "--json")
    yield path
    subprocess.run([COMMAND, "--home", str(path), "down"], capture_output=True, timeout=60)


def test_a_running_home_holds_only_listed_files_with_the_listed_modes(home):
    listed = table()
    nzcore(home, "config", "set", "log.level", "debug")
    nzcore(home, "up", "-d")
    found = files(home)
    assert found <= set(listed)
    expected = {
        "certificate",
        "vault",
        "vault.key",
        "config.toml",
        "store.db",
        "lock",
        "run/nzcore.sock",
        "logs/node.log",
    }
    assert expected <= found
    for name in found:
        assert f"{stat.S_IMODE((home / name).lstat().st_mode):04o}" == listed[name].mode, name
    for folder in (home, home / "run", home / "logs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(home / "run" / "nzcore.sock"))


def test_what_is_safe_to_delete_may_be_deleted_from_a_stopped_home(home):
    listed = table()
    before = json.loads(nzcore(home, "identity", "show", "--json"))
    nzcore(home, "up", "-d")
    nzcore(home, "down")
    for name in files(home):
        if listed[name].safe_to_delete:
            (home / name).unlink()
    assert {"certificate", "vault", "vault.key", "store.db"} <= files(home)
    nzcore(home, "up", "-d")
    assert json.loads(nzcore(home, "state", "--json"))["healthy"] is True
    assert json.loads(nzcore(home, "identity", "show", "--json")) == before


@pytest.mark.parametrize("name", ["certificate", "vault", "vault.key", "store.db"])
def test_without_a_file_that_is_not_safe_to_delete_the_node_refuses_in_a_sentence(home, name):
    assert not table()[name].safe_to_delete
    nzcore(home, "up", "-d")
    nzcore(home, "down")
    (home / name).unlink()
    done = subprocess.run([COMMAND, "--home", str(home), "up", "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error["hint"]


def test_secret_files_are_named_so_and_the_sealed_ones_show_no_key(home):
    secrets = {name for name, row in table().items() if row.secret}
    assert secrets == {"vault.key", "network.secret", "run/token"}
    key = (home / "vault.key").read_bytes().split()[-1]
    assert key not in (home / "vault").read_bytes()
