"""`init` makes a home that nobody else can read, loses no words and leaves nothing half-made."""

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.cli.files import whole_or_nothing
from nzcore.proto.identity.mnemonic import Mnemonic

from .conftest import Run, spawn
from .terminal import Terminal


def test_without_a_terminal_the_words_are_part_of_the_answer(run: Run, tmp_path: Path) -> None:
    made = run("--home", tmp_path / "home", "init", "--name", "alice", "--no-passphrase", "--json").json
    assert list(made) == ["node", "identity", "name", "home", "mnemonic"]
    assert (made["name"], made["home"]) == ("alice", str(tmp_path / "home"))
    assert len(NodeId.parse(made["node"])) == len(IdentityId.parse(made["identity"])) == 32
    assert len(Mnemonic.parse(made["mnemonic"]).words) == 24


def test_a_human_without_a_terminal_sees_the_words_too(run: Run, tmp_path: Path) -> None:
    shown = run("--home", tmp_path / "home", "init", "--no-passphrase").out
    words = re.search(r"^mnemonic +(.+)$", shown, re.MULTILINE)
    assert words
    assert len(Mnemonic.parse(words[1]).words) == 24
    assert f"next: nzcore --home {tmp_path / 'home'} up -d" in shown


def test_words_go_to_a_new_file_that_only_the_owner_reads(run: Run, tmp_path: Path) -> None:
    words = tmp_path / "words"
    made = run("--home", tmp_path / "home", "init", "--no-passphrase", "--mnemonic-out", words, "--json").json
    assert "mnemonic" not in made
    assert stat.S_IMODE(words.stat().st_mode) == 0o600
    assert len(Mnemonic.parse(words.read_text()).words) == 24
    taken = run("--home", tmp_path / "other", "init", "--no-passphrase", "--mnemonic-out", words, "--json")
    assert (taken.code, taken.error["code"]) == (1, "cli.file-exists")
    assert not (tmp_path / "other").exists()


def test_nothing_of_a_home_is_open_to_others(run: Run, tmp_path: Path) -> None:
    run("--home", tmp_path / "home", "init", "--no-passphrase")
    for path in (tmp_path / "home", *(tmp_path / "home").rglob("*")):
        if path.is_dir() or path.name.startswith("vault"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_mnemonic_brings_the_same_node_back(run: Run, tmp_path: Path) -> None:
    words = tmp_path / "words"
    first = run("--home", tmp_path / "a", "init", "--no-passphrase", "--mnemonic-out", words, "--json").json
    recover = ("init", "--recover", "--mnemonic-file", words, "--no-passphrase", "--json")
    again = run("--home", tmp_path / "b", *recover).json
    assert (again["node"], again["identity"]) == (first["node"], first["identity"])
    assert "mnemonic" not in again
    other = run("--home", tmp_path / "c", *recover, "--index", "1").json
    assert other["identity"] == first["identity"]
    assert other["node"] != first["node"]


def test_a_node_is_never_made_over_another_or_among_strange_files(run: Run, tmp_path: Path) -> None:
    run("--home", tmp_path / "home", "init", "--no-passphrase")
    again = run("--home", tmp_path / "home", "init", "--no-passphrase", "--json")
    assert (again.code, again.error["code"]) == (1, "cli.home-exists")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    refused = run("--home", tmp_path / "full", "init", "--no-passphrase", "--json")
    assert (refused.code, refused.error["code"]) == (1, "cli.home-exists")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "cli.no-protection"),
        (("--recover", "--no-passphrase"), "cli.no-mnemonic"),
        (("--no-passphrase", "--passphrase-file", "x"), "cli.usage"),
        (("--no-passphrase", "--mnemonic-file", "x"), "cli.usage"),
        (("--no-passphrase", "--recover", "--mnemonic-file", "x", "--mnemonic-out", "y"), "cli.usage"),
        (("--recover", "--mnemonic-file", "-", "--passphrase-file", "-"), "cli.usage"),
        (("--no-passphrase", "--name", ""), "cli.usage"),
        (("--no-passphrase", "--name", "x" * 65), "cli.usage"),
        (("--no-passphrase", "--name", "bell\a"), "cli.usage"),
        (("--no-passphrase", "--index", "-1"), "cli.usage"),
        (("--no-passphrase", "--mnemonic-out", ""), "cli.usage"),
        (("--passphrase-file", ""), "cli.usage"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_made(
    run: Run, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    ended = run("--home", tmp_path / "home", "--json", "init", *words)
    assert (ended.code, ended.out, ended.error["code"]) == (2, "", code)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("zebra " * 23 + "zebr", "identity.bad-mnemonic"),
        ("abandon " * 24, "identity.bad-mnemonic"),
        ("", "identity.bad-mnemonic"),
        ("x" * 5000, "cli.unreadable"),
        ("\udcff", "cli.unreadable"),
    ],
)
def test_wrong_words_make_no_home(run: Run, tmp_path: Path, text: str, code: str) -> None:
    words = tmp_path / "words"
    words.write_bytes(text.encode("utf-8", "surrogateescape"))
    words.chmod(0o600)
    ended = run("--home", tmp_path / "home", "--json", "init", "--no-passphrase", "--recover", "--mnemonic-file", words)
    assert (ended.code, ended.error["code"]) == (1, code)
    assert not (tmp_path / "home").exists()


def test_a_passphrase_file_open_to_others_is_remarked_upon(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o644)
    ended = run("--home", tmp_path / "home", "--json", "init", "--passphrase-file", secret)
    assert ended.code == 0
    assert json.loads(ended.err)["warning"]["code"] == "cli.exposed-file"


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_passphrase_file_without_a_passphrase_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").touch(mode=0o600)
    ended = run("--home", tmp_path / "home", "--json", "init", "--passphrase-file", tmp_path / name)
    assert ended.code == 1
    assert ended.error["code"] in ("cli.empty-passphrase", "cli.unreadable")
    assert not (tmp_path / "home").exists()


def test_of_two_that_make_one_home_the_second_clears_nothing_away(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with whole_or_nothing(home):
        (home / "certificate").write_text("of the first")
        with pytest.raises(UsageError, match="just being made"), whole_or_nothing(home):
            raise AssertionError("never reached")
    with pytest.raises(UsageError, match="a node already"), whole_or_nothing(home):
        raise AssertionError("never reached")
    assert [path.name for path in home.iterdir()] == ["certificate"]


def test_of_many_inits_at_once_one_makes_the_home_that_it_tells_of(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as several:
        line = ("--json", "--home", str(tmp_path / "home"), "init", "--no-passphrase")
        ended = [begun.result() for begun in [several.submit(spawn, *line) for _ in range(4)]]
    (made,) = [one.json for one in ended if one.code == 0]
    assert [one.error["code"] for one in ended if one.code] == ["cli.home-exists"] * 3
    assert spawn("--json", "--home", made["home"], "identity", "show").json["node"] == made["node"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), UnavailableError("cli.unwritable"), OSError(28, "no space")])
def test_an_init_that_stops_half_way_leaves_nothing_behind(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def half(home: Path, **_: object) -> None:
        (home / "logs").mkdir(parents=True)
        (home / "vault").write_bytes(b"half")
        raise stop

    monkeypatch.setattr("nzcore.node.setup.create_home", half)
    words = tmp_path / "words"
    ended = run("--home", tmp_path / "home", "--json", "init", "--no-passphrase", "--mnemonic-out", words)
    assert ended.code in (1, 130)
    assert list(tmp_path.iterdir()) == []


def read_words(terminal: Terminal) -> list[str]:
    """The words from the screen; presses Enter to leave it."""
    terminal.expect("These 24 words are your identity")
    shown = terminal.expect("Enter, when they are written down")
    numbered = {int(number): word for number, word in re.findall(r"(\d+)\. ([a-z]+)", shown)}
    assert sorted(numbered) == list(range(1, 25))
    terminal.enter("")
    return [numbered[number] for number in range(1, 25)]


def give_back(terminal: Terminal, words: list[str], *, wrong: bool = False) -> None:
    """Answers both questions for words."""
    for _ in range(2):
        terminal.expect("word ")
        place = int(terminal.expect(":"))
        terminal.enter("wrong" if wrong else words[place - 1])


@pytest.mark.real
def test_a_person_is_asked_for_name_passphrase_and_two_words(tmp_path: Path) -> None:
    with Terminal("--home", str(tmp_path / "home"), "init") as terminal:
        terminal.expect("name of this node")
        terminal.enter("alice")
        terminal.expect("passphrase that seals the keys: ")
        terminal.enter("correct horse")
        terminal.expect("again: ")
        terminal.enter("wrong horse")
        terminal.expect("not the same")
        terminal.expect("passphrase that seals the keys: ")
        terminal.enter("correct horse")
        terminal.expect("again: ")
        terminal.enter("correct horse")
        words = read_words(terminal)
        give_back(terminal, words, wrong=True)
        terminal.expect("Enter, to see them")
        terminal.enter("")
        assert read_words(terminal) == words
        assert not (tmp_path / "home").exists()
        give_back(terminal, words)
        terminal.expect("alice")
        assert terminal.end() == 0
        after = terminal.shown.rpartition("\x1b[?1049l")[2]
        assert "horse" not in terminal.shown
        assert not any(re.search(rf"\b{word}\b", after) for word in words if len(word) > 5)
    assert (tmp_path / "home" / "vault").exists()
    assert not (tmp_path / "home" / "vault.key").exists()


@pytest.mark.real
def test_a_person_who_cannot_give_the_words_back_has_no_node(tmp_path: Path) -> None:
    with Terminal("--home", str(tmp_path / "home"), "init", "--no-passphrase", "--name", "bob") as terminal:
        for attempt in range(3):
            words = read_words(terminal)
            give_back(terminal, words, wrong=True)
            if attempt < 2:  # after the third it gives up
                terminal.expect("Enter, to see them")
                terminal.enter("")
        terminal.expect("the words were not given back")
        assert terminal.end() == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.real
def test_who_begins_with_an_invitation_chooses_a_passphrase_and_types_it_no_third_time(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    with Terminal("--home", home, "invite", "--no-wait") as terminal:
        terminal.expect("make one and start it?")
        terminal.enter("")
        terminal.expect("name of this node")
        terminal.enter("alice")
        for question in ("seals the keys: ", "again: "):
            terminal.expect(question)
            terminal.enter("correct horse")
        give_back(terminal, read_words(terminal))
        assert "passphrase" not in terminal.expect("ready")
        terminal.expect("nz:")
        assert terminal.end() == 0
    assert spawn("--home", home, "down").code == 0


@pytest.mark.real
def test_ctrl_c_at_any_question_leaves_nothing(tmp_path: Path) -> None:
    with Terminal("--home", str(tmp_path / "home"), "init", "--no-passphrase", "--name", "bob") as terminal:
        terminal.expect("Enter, when they are written down")
        terminal.press(b"\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.shown
        assert terminal.shown.count("\x1b[?1049l") == 1
    assert not (tmp_path / "home").exists()
