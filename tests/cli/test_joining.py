"""`nzcore invite` and `nzcore join`: two real nodes through every door, and what happens where a door is shut."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nzcore.cli.spawn import own_command, own_environment

from .conftest import Run, here, kill, make_home, spawn, start_node
from .terminal import Terminal

pytestmark = pytest.mark.real
LISTEN = ("up", "-d", "--listen", "tcp://127.0.0.1:0", "--no-mdns")


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two homes whose nodes run and have never met."""
    folder = tmp_path_factory.mktemp("houses")
    for name in ("host", "guest"):
        start_node(folder / name, name)
    yield str(folder / "host"), str(folder / "guest")
    for name in ("host", "guest"):
        assert here("--home", str(folder / name), "down").code == 0


@pytest.fixture
def pair(houses: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The same two, strangers again after each test."""
    yield houses
    for home in houses:
        for peer in here("--home", home, "--json", "peer", "list").json:
            assert here("--home", home, "peer", "remove", peer["name"]).code == 0


def invite(home: str, *words: str) -> dict[str, Any]:
    made = here("--home", home, "--json", "invite", "--no-wait", *words)
    assert made.code == 0, made.err
    return dict(made.json)


def are_peers(pair: tuple[str, str]) -> bool:
    """Whether both know each other and have a channel."""
    for home, other in (pair, pair[::-1]):
        node = here("--home", other, "identity", "show", "--json").json["node"]
        if here("--home", home, "--timeout", "5", "peer", "ping", node, "--count", "1").code:
            return False
    return True


def test_a_ticket_from_standard_input_makes_two_strangers_peers(pair: tuple[str, str]) -> None:
    host, guest = pair
    invited = spawn("--home", host, "invite")
    assert invited.code == 0
    assert invited.out.startswith("nz:")
    assert len(invited.out.splitlines()) == 1  # the ticket alone: for a pipe
    assert re.search(r"works for \d+ min on this machine only: tcp://", invited.err)
    joined = spawn("--home", guest, "join", "--json", stdin=invited.out)
    assert joined.code == 0, joined.err
    assert joined.json["name"] == "host"
    assert joined.json["node"].startswith("nzn1")
    assert are_peers(pair)


def test_a_picture_of_a_ticket_does_the_same(pair: tuple[str, str], tmp_path: Path, run: Run) -> None:
    pytest.importorskip("zxingcpp", reason="the extra `picture` is not installed")
    host, guest = pair
    picture = tmp_path / "ticket.png"
    invite(host, "--qr-png", str(picture))
    assert picture.stat().st_mode & 0o777 == 0o600
    joined = run("--home", guest, "--json", "join", "--image", picture, "--name", "alice")
    assert joined.code == 0, joined.err
    assert joined.json["name"] == "alice"
    assert are_peers(pair)


def test_a_file_with_a_ticket_does_the_same(pair: tuple[str, str], tmp_path: Path, run: Run) -> None:
    alice, bob = pair
    ticket = run("--home", alice, "--json", "invite", "--no-wait").json["ticket"]
    (tmp_path / "ticket.txt").write_text(f"{ticket[:60]}\n  {ticket[60:]}\n")
    assert run("--home", bob, "--json", "join", tmp_path / "ticket.txt").code == 0
    (tmp_path / "letter.txt").write_text("dear bob")
    ended = run("--home", bob, "--json", "join", tmp_path / "letter.txt")
    assert (ended.code, ended.error["code"]) == (2, "cli.nothing-to-join")


def test_two_cards_do_the_same(pair: tuple[str, str], run: Run) -> None:
    for home, other in (pair, pair[::-1]):
        card = run("--home", other, "identity", "card").out
        joined = spawn("--home", home, "join", "-", stdin=card)
        assert joined.code == 0, joined.err
        assert "is a peer now" in joined.out
    assert here("--home", pair[0], "peer", "connect", "guest").code == 0
    assert are_peers(pair)


class Talk:
    """`nzcore join` for a phrase, as a program would drive it: steps from its output, the answer into its input."""

    def __init__(self, home: str, *words: str) -> None:
        self.process = subprocess.Popen(
            [*own_command(), "--home", home, "--json", "join", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=own_environment(),
            text=True,
        )

    def step(self) -> dict[str, Any]:
        assert self.process.stdout
        return dict(json.loads(self.process.stdout.readline()))

    def answer(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def end(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode


def talks(pair: tuple[str, str]) -> tuple[Talk, Talk]:
    """Both commands, with the words on both sides."""
    waiting = Talk(pair[0], "--window")
    window = waiting.step()
    dialling = Talk(pair[1], window["instance"], *(word for one in window["addresses"] for word in ("--address", one)))
    assert dialling.step()["event"] == "window"
    assert waiting.step()["words"] == dialling.step()["words"]
    return waiting, dialling


def test_three_words_that_both_confirm_do_the_same(pair: tuple[str, str]) -> None:
    waiting, dialling = talks(pair)
    for talk in (waiting, dialling):
        talk.answer("yes")
    assert [talk.step()["event"] for talk in (waiting, dialling)] == ["paired", "paired"]
    assert [talk.end() for talk in (waiting, dialling)] == [0, 0]
    assert are_peers(pair)


def test_words_that_one_side_does_not_confirm_lead_to_nothing(pair: tuple[str, str]) -> None:
    waiting, dialling = talks(pair)
    waiting.answer("yes")
    dialling.answer("no")
    assert [talk.end() for talk in (waiting, dialling)] == [4, 4]
    assert here("--home", pair[0], "--json", "peer", "list").json == []


def test_a_used_ticket_is_refused_with_a_code_an_exit_code_and_a_hint(
    pair: tuple[str, str], home: str, run: Run
) -> None:
    host, guest = pair
    ticket = invite(host)["ticket"]
    assert run("--home", guest, "join", ticket).code == 0
    refused = run("--home", home, "--json", "join", ticket)
    assert (refused.code, refused.error["code"]) == (4, "ticket.used")
    assert "nzcore invite" in refused.error["hint"]


def test_a_ticket_outlives_a_kill_of_its_giver_and_still_works_once(tmp_path: Path, houses: tuple[str, str]) -> None:
    victim = str(tmp_path / "victim")
    start_node(Path(victim), "victim")
    guest, late = houses
    ticket = invite(victim)["ticket"]
    kill(victim)
    listening = json.loads(spawn("--home", victim, "--json", *LISTEN).out)["listen"][0]
    dead = here("--home", guest, "--json", "join", ticket)
    assert dead.code == 1  # port 0: the restarted node listens elsewhere
    fresh = invite(victim, "--advertise", listening.removeprefix("tcp://"))["ticket"]
    assert here("--home", guest, "join", fresh).code == 0
    kill(victim)
    again = spawn("--home", victim, "--json", "up", "-d", "--listen", listening, "--no-mdns")
    assert again.code == 0, again.err
    assert [one["name"] for one in here("--home", victim, "--json", "peer", "list").json] == ["host"]
    refused = here("--home", late, "--json", "join", fresh)
    assert refused.error["code"] == "ticket.used"
    assert here("--home", victim, "down").code == 0
    assert here("--home", guest, "peer", "remove", "victim").code == 0


def test_a_home_that_was_restored_from_a_copy_takes_no_earlier_ticket(tmp_path: Path, houses: tuple[str, str]) -> None:
    home, copy = str(tmp_path / "home"), tmp_path / "copy"
    start_node(Path(home), "restored")
    listening = here("--home", home, "--json", "state").json["listen"][0]
    ticket = invite(home)["ticket"]
    assert here("--home", home, "down").code == 0
    subprocess.run(["cp", "-a", home, str(copy)], check=True)
    subprocess.run(["cp", "-a", f"{copy}/.", home], check=True)  # over the originals, inodes and all
    started = spawn("--home", home, "--json", "up", "-d", "--listen", listening, "--no-mdns")
    assert started.code == 0, started.err
    assert here("--home", houses[0], "--json", "join", ticket).error["code"] == "ticket.void"
    assert here("--home", home, "down").code == 0


def test_tickets_are_listed_without_their_secret_and_taken_back(pair: tuple[str, str], run: Run) -> None:
    host, guest = pair
    made = invite(host, "--uses", "3", "--ttl", "90")
    assert (made["expires_s"], made["reach"]) == (90, "machine")
    listed = run("--home", host, "invite", "--list")
    assert made["tid"] in listed.out
    assert made["ticket"][4:40] not in listed.out
    assert run("--home", host, "invite", "--cancel", made["tid"]).code == 0
    refused = run("--home", guest, "--json", "join", made["ticket"])
    assert (refused.code, refused.error["code"]) == (4, "ticket.cancelled")
    for unknown in ("00" * 8, "nonsense", ""):
        ended = run("--home", host, "--json", "invite", f"--cancel={unknown}")
        assert (ended.code, ended.error["code"]) == (1, "ticket.unknown")


def test_no_sync_on_both_sides_grants_everything_else(pair: tuple[str, str], run: Run) -> None:
    host, guest = pair
    assert run("--home", guest, "join", "--no-sync", invite(host, "--no-sync")["ticket"]).code == 0
    for home in pair:
        (peer,) = here("--home", home, "--json", "peer", "list").json
        assert sorted(peer["scopes"]) == ["connect", "files", "introduce", "message", "route"]


def test_where_nothing_runs_a_program_is_told_what_to_type(run: Run, tmp_path: Path) -> None:
    bare = run("--home", tmp_path / "none", "--json", "invite")
    assert (bare.code, bare.error["code"]) == (3, "node.no-home")
    assert "nzcore init" in bare.error["hint"]
    make_home(tmp_path / "asleep")
    asleep = run("--home", tmp_path / "asleep", "--json", "join", "nz:A")
    assert (asleep.code, asleep.error["code"]) == (3, "ipc.not-running")
    assert asleep.error["hint"].endswith(f"nzcore --home {tmp_path / 'asleep'} up -d")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["nz:AEBAGBA"], "identity.bad-text"),
        (["--image", "/nonexistent.png"], "cli.unreadable"),
        (["--image", __file__], "cli.unreadable"),
        (["--image", ""], "cli.usage"),
        (["/nonexistent.txt"], "cli.unreadable"),
        (["AEBAGBA" * 10], "cli.nothing-to-join"),
        (["bob"], "discovery.off"),
        (["nz:A", "--window"], "cli.usage"),
        (["--address", "127.0.0.1:1"], "cli.usage"),
        (["bob", "--address", "nowhere"], "cli.usage"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_sentence(
    houses: tuple[str, str], run: Run, words: list[str], code: str
) -> None:
    if "--image" in words:
        pytest.importorskip("zxingcpp", reason="the extra `picture` is not installed")
    ended = run("--home", houses[0], "--json", "join", *words)
    assert ended.error["code"] == code
    assert ended.error["hint"]


def test_nothing_on_standard_input_is_nothing_to_join(houses: tuple[str, str]) -> None:
    ended = spawn("--home", houses[0], "--json", "join", stdin="\n")
    assert (ended.code, ended.error["code"]) == (2, "cli.nothing-to-join")


def test_a_picture_that_cannot_be_written_takes_the_ticket_back(
    houses: tuple[str, str], run: Run, tmp_path: Path
) -> None:
    there = tmp_path / "there.png"
    there.write_bytes(b"")
    before = {one["tid"] for one in here("--home", houses[0], "--json", "invite", "--list").json}
    ended = run("--home", houses[0], "--json", "invite", "--no-wait", "--qr-png", there)
    assert ended.error["code"] == "cli.file-exists"
    after = here("--home", houses[0], "--json", "invite", "--list").json
    assert [one["state"] for one in after if one["tid"] not in before] == ["cancelled"]


def test_on_a_terminal_the_code_is_shown_and_turns_into_the_newcomer(pair: tuple[str, str]) -> None:
    host, guest = pair
    with Terminal("--home", host, "invite", LINES="40") as screen:
        code = screen.expect("nz:")
        assert code.count("█") > 100
        ticket = "nz:" + "".join(screen.expect("\r\n\r\n").split())
        screen.expect("on this machine only: tcp://")
        screen.expect("waiting")
        assert here("--home", guest, "join", ticket).code == 0
        screen.expect("guest joined (")
        assert "post-quantum" in screen.expect(")")
        assert screen.end() == 0


def test_on_a_low_terminal_the_code_comes_last_and_stays_whole(pair: tuple[str, str]) -> None:
    with Terminal("--home", pair[0], "invite", "--no-wait", LINES="24") as screen:
        assert "█" not in screen.expect("or scan the code)")
        assert screen.end() == 0
        rows = screen.shown.partition("or scan the code)")[2].splitlines()
        assert "█" in rows[-1]
        assert len(rows) <= 24


def test_ctrl_c_stops_waiting_and_leaves_the_ticket(pair: tuple[str, str]) -> None:
    host, guest = pair
    with Terminal("--home", host, "invite") as screen:
        screen.expect("nz:")
        ticket = "nz:" + "".join(screen.expect("\r\n\r\n").split())
        screen.expect("waiting")
        screen.press(b"\x03")
        screen.expect("the ticket stays")
        assert screen.end() == 130
    assert here("--home", guest, "join", ticket).code == 0


def test_a_person_is_asked_for_the_ticket(pair: tuple[str, str]) -> None:
    host, guest = pair
    ticket = invite(host)["ticket"]
    with Terminal("--home", guest, "join") as screen:
        screen.expect("ticket, card or name")
        screen.enter(ticket)
        screen.expect("is a peer now")
        assert screen.end() == 0
    assert are_peers(pair)


def test_a_person_without_a_node_is_offered_one(tmp_path: Path) -> None:
    home = str(tmp_path / "new")
    with Terminal("--home", home, "invite") as screen:
        screen.expect("make one and start it?")
        screen.enter("n")
        assert screen.end() == 130
    assert not Path(home).exists()
    make_home(Path(home))
    with Terminal("--home", home, "invite", "--no-wait") as screen:
        screen.expect("the node does not run; start it?")
        screen.enter("y")
        screen.expect("ready")
        screen.expect("nz:")
        assert screen.end() == 0
    assert here("--home", home, "down").code == 0


def test_without_the_extra_a_picture_is_refused_with_what_to_install(
    houses: tuple[str, str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    ended = run("--home", houses[0], "--json", "join", "--image", "any.png")
    assert ended.error["code"] == "cli.no-picture-reader"
    (command,) = re.findall(r"pip install -e '\.\[(\w+)\]'", ended.error["hint"])
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert "zxing-cpp" in str(project["optional-dependencies"][command])
