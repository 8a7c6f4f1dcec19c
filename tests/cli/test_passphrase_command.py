"""What seals a home's keys is changed by command: at rest and running, by files, standard input and a person."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run, make_home, spawn
from .terminal import Terminal

OLD, NEW = "correct horse", "battery staple"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A folder with the files `old`, `new` and `wrong`, a passphrase each."""
    for name, passphrase in (("old", OLD), ("new", NEW), ("wrong", "open sesame")):
        path = tmp_path / name
        path.write_text(f"{passphrase}\n")
        path.chmod(0o600)
    return tmp_path


@pytest.fixture
def sealed(words: Path) -> Path:
    """A home whose passphrase is in `old`."""
    make_home(words / "home", "--passphrase-file", str(words / "old"))
    return words / "home"


@pytest.fixture
def bare(words: Path) -> Path:
    """A home under a key file."""
    make_home(words / "home")
    return words / "home"


def vault_files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.glob("vault*")}


def opens(run: Run, home: Path, *passphrase: str | Path) -> str:
    """The code with which the home at rest refuses to be opened, or nothing."""
    ended = run("--home", home, "--json", "identity", "card", *passphrase)
    return "" if ended.code == 0 else ended.error["code"]


def test_a_home_at_rest_gets_another_passphrase(run: Run, sealed: Path, words: Path) -> None:
    change = ("identity", "passphrase", "--passphrase-file", words / "old", "--new-passphrase-file", words / "new")
    done = run("--home", sealed, "--json", *change)
    assert (done.code, done.json["lock"]) == (0, "passphrase"), done.err
    assert opens(run, sealed, "--passphrase-file", words / "new") == ""
    assert opens(run, sealed, "--passphrase-file", words / "old") == "store.wrong-passphrase"
    assert list(vault_files(sealed)) == ["vault"]
    again = run("--home", sealed, "--json", *change)
    assert (again.code, again.error["code"]) == (1, "store.wrong-passphrase")


def test_a_home_goes_from_a_key_file_to_a_passphrase_and_back(run: Run, bare: Path, words: Path) -> None:
    key = vault_files(bare)["vault.key"]
    done = run("--home", bare, "identity", "passphrase", "--new-passphrase-file", words / "new")
    assert (done.code, done.out) == (0, "the keys are sealed under the new passphrase\n")
    assert list(vault_files(bare)) == ["vault"]
    assert opens(run, bare) == "cli.passphrase-needed"
    back = run("--home", bare, "identity", "passphrase", "--passphrase-file", words / "new", "--no-passphrase")
    assert back.code == 0
    assert "vault.key" in back.out
    assert opens(run, bare) == ""
    assert vault_files(bare)["vault.key"] != key


def test_a_wrong_passphrase_changes_nothing(run: Run, sealed: Path, words: Path) -> None:
    before = vault_files(sealed)
    for new in (("--new-passphrase-file", words / "new"), ("--no-passphrase",)):
        ended = run("--home", sealed, "--json", "identity", "passphrase", "--passphrase-file", words / "wrong", *new)
        assert (ended.code, ended.out, ended.error["code"]) == (1, "", "store.wrong-passphrase")
        assert ended.error["hint"]
    (words / "new").write_text("\n")
    empty = run(
        *("--home", sealed, "--json", "identity", "passphrase", "--passphrase-file", words / "old"),
        *("--new-passphrase-file", words / "new"),
    )
    assert (empty.code, empty.error["code"]) == (1, "cli.empty-passphrase")
    assert vault_files(sealed) == before


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "cli.no-protection"),
        ("--passphrase-file old", "cli.no-protection"),
        ("--new-passphrase-file new", "cli.passphrase-needed"),
        ("--no-passphrase", "cli.passphrase-needed"),
        ("--passphrase-file old --new-passphrase-file new --no-passphrase", "cli.usage"),
        ("--passphrase-file - --new-passphrase-file -", "cli.usage"),
        ("--passphrase-file old battery", "cli.usage"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything(
    run: Run, sealed: Path, words: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: str
) -> None:
    monkeypatch.chdir(words)
    before = vault_files(sealed)
    ended = run("--home", sealed, "--json", "identity", "passphrase", *line.split())
    assert (ended.code, ended.error["code"]) == (2, code)
    assert vault_files(sealed) == before


def test_a_home_under_a_key_file_has_no_passphrase_to_give(run: Run, bare: Path, words: Path) -> None:
    before = vault_files(bare)
    given = run("--home", bare, "--json", "identity", "passphrase", "--passphrase-file", words / "new")
    assert (given.code, given.error["code"]) == (2, "cli.usage")
    assert "--new-passphrase-file" in given.error["message"]
    same = run("--home", bare, "--json", "identity", "passphrase", "--no-passphrase")
    assert (same.code, same.error["code"]) == (1, "store.same-lock")
    nowhere = run("--home", words / "nowhere", "--json", "identity", "passphrase", "--no-passphrase")
    assert (nowhere.code, nowhere.error["code"]) == (3, "node.no-home")
    assert vault_files(bare) == before


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are installed in a folder of the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def unit_check(run: Run, home: Path) -> dict[str, Any]:
    """What the doctor finds of the home's unit; empty where it does not look."""
    found = run("--home", home, "--json", "doctor").json
    return next((one for one in found if one["check"] == "unit"), {})


@pytest.mark.usefixtures("units")
def test_a_unit_that_hands_the_old_passphrase_is_told_with_what_to_run(run: Run, sealed: Path, words: Path) -> None:
    assert unit_check(run, sealed) == {}
    unit = run("--home", sealed, "--json", "service", "install", "--passphrase-file", words / "old").json["unit"]
    assert unit_check(run, sealed)["ok"]
    change = ("identity", "passphrase", "--passphrase-file", words / "old", "--new-passphrase-file", words / "new")
    done = run("--home", sealed, "--json", *change)
    assert (done.code, done.json["lock"]) == (0, "passphrase")
    warned = json.loads(done.err)["warning"]
    assert warned["code"] == "cli.stale-unit"
    assert unit in warned["message"]
    assert str(words / "old") in warned["message"]
    found = unit_check(run, sealed)
    assert not found["ok"]
    assert str(words / "old") in found["hint"]
    line = shlex.split(warned["hint"])
    assert line[0] == "nzcore"
    assert run(*line[1:]).code == 0
    assert str(words / "new") in Path(unit).read_text()
    assert unit_check(run, sealed)["ok"]


@pytest.mark.usefixtures("units")
def test_a_unit_learns_of_a_home_that_goes_from_a_key_file_to_a_passphrase_and_back(
    run: Run, bare: Path, words: Path
) -> None:
    run("--home", bare, "service", "install")
    to_passphrase = ("identity", "passphrase", "--new-passphrase-file", words / "new")
    done = run("--home", bare, *to_passphrase)
    assert done.code == 0
    assert "hands the node no passphrase" in done.err
    assert f"nzcore --home {bare} service install --force --passphrase-file {words / 'new'}" in done.err
    assert not unit_check(run, bare)["ok"]
    assert run("--home", bare, "service", "install", "--force", "--passphrase-file", words / "new").code == 0
    back = run("--home", bare, "identity", "passphrase", "--passphrase-file", words / "new", "--no-passphrase")
    assert f"still needs {words / 'new'}" in back.err
    assert not unit_check(run, bare)["ok"]
    assert run("--home", bare, "service", "install", "--force").code == 0
    assert unit_check(run, bare)["ok"]


@pytest.mark.usefixtures("units")
def test_a_unit_whose_file_holds_the_new_passphrase_is_well(run: Run, bare: Path, words: Path) -> None:
    new = words / "new 100%"
    (words / "new").rename(new)
    new.write_text("  blanks around \r\nand a second line\n")
    unit = Path(run("--home", bare, "--json", "service", "install", "--passphrase-file", new).json["unit"])
    done = run("--home", bare, "identity", "passphrase", "--new-passphrase-file", new)
    assert (done.code, done.err) == (0, "")
    assert unit_check(run, bare)["ok"]
    new.unlink()
    assert "cannot read" in unit_check(run, bare)["detail"]
    text = unit.read_text().replace("LoadCredential=passphrase:", "LoadCredential=passphrase:%h/")
    unit.write_text(text)  # by hand: where that is, only systemd knows
    assert unit_check(run, bare)["ok"]


@pytest.mark.real
def test_a_passphrase_comes_by_standard_input_too(sealed: Path, words: Path) -> None:
    line = ("--home", str(sealed), "--json", "identity", "passphrase")
    first = spawn(*line, "--passphrase-file", "-", "--new-passphrase-file", str(words / "new"), stdin=f"{OLD}\n")
    assert first.code == 0, first.err
    second = spawn(*line, "--passphrase-file", str(words / "new"), "--new-passphrase-file", "-", stdin=f"{OLD}\n")
    assert second.code == 0, second.err
    assert spawn("--home", str(sealed), "identity", "card", "--passphrase-file", str(words / "old")).code == 0


@pytest.mark.real
def test_one_passphrase_from_standard_input_opens_the_home_and_seals_its_export(sealed: Path, tmp_path: Path) -> None:
    export = tmp_path / "export"
    line = ("--home", str(sealed), "--json", "identity", "export", str(export), "--passphrase-file", "-")
    made = spawn(*line, stdin=f"{OLD}\n")
    assert made.code == 0, made.err
    words = ("identity", "import", str(export), "--no-passphrase", "--passphrase-file", "-")
    assert spawn("--home", str(tmp_path / "moved"), "--json", *words, stdin=f"{OLD}\n").code == 0


@pytest.mark.real
def test_a_running_node_changes_it_itself_and_still_asks_for_the_present_one(
    run: Run, sealed: Path, words: Path
) -> None:
    up = ("up", "-d", "--listen", "tcp://127.0.0.1:0", "--no-mdns", "--passphrase-file")
    assert spawn("--home", str(sealed), *up, str(words / "old")).code == 0
    try:
        change = ("--home", sealed, "--json", "identity", "passphrase", "--passphrase-file")
        wrong = run(*change, words / "wrong", "--no-passphrase")
        assert (wrong.code, wrong.error["code"]) == (1, "store.wrong-passphrase")
        assert run(*change, words / "old", "--no-passphrase").json["lock"] == "key-file"
        there = run("--home", sealed, "--json", "identity", "passphrase", "--new-passphrase-file", words / "new")
        assert there.json["lock"] == "passphrase"
        checks = {one["check"]: one["ok"] for one in run("--home", sealed, "--json", "doctor").json}
        assert checks["kept keys"]
        assert checks["vault"]
        log = (sealed / "logs" / "node.log").read_text()
        assert "identity.relocked" in log
        assert not any(secret in log for secret in (OLD, NEW, "open sesame"))
    finally:
        assert run("--home", sealed, "down").code == 0
    assert list(vault_files(sealed)) == ["vault"]
    assert opens(run, sealed, "--passphrase-file", words / "old") == "store.wrong-passphrase"
    assert opens(run, sealed, "--passphrase-file", words / "new") == ""


@pytest.mark.real
def test_a_person_is_asked_for_the_present_one_and_twice_for_the_next(run: Run, sealed: Path, words: Path) -> None:
    with Terminal("--home", str(sealed), "identity", "passphrase") as terminal:
        for asked, typed in (
            ("passphrase: ", OLD),
            ("new passphrase: ", NEW),
            ("new passphrase again: ", "batery staple"),
            ("not the same", None),
            ("new passphrase: ", NEW),
            ("new passphrase again: ", NEW),
        ):
            terminal.expect(asked)
            if typed is not None:
                terminal.enter(typed)
        terminal.expect("the keys are sealed under the new passphrase")
        assert terminal.end() == 0
        assert "staple" not in terminal.shown
        assert "horse" not in terminal.shown
    assert opens(run, sealed, "--passphrase-file", words / "new") == ""
    assert os.listdir(sealed).count("vault.key") == 0


@pytest.mark.real
def test_a_person_learns_that_the_present_one_is_wrong_before_a_new_one_is_asked_for(sealed: Path) -> None:
    before = vault_files(sealed)
    with Terminal("--home", str(sealed), "identity", "passphrase") as terminal:
        terminal.expect("passphrase: ")
        terminal.enter("open sesame")
        terminal.expect("the passphrase does not open the vault")
        terminal.expect("try again")
        assert terminal.end() == 1
        assert "new passphrase" not in terminal.shown
    assert vault_files(sealed) == before
