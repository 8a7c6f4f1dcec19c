"""`send`, `inbox`, `message` and `pipe` as they are typed, between real processes, one of which is killed."""

import hashlib
import json
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

from nzcore.cli.progress import ProgressLine, clock, line
from nzcore.cli.spawn import own_command, own_environment

from .conftest import Run, acquaint, here, kill, make_home, spawn
from .terminal import Terminal

pytestmark = pytest.mark.real

LARGE = 96_000_000
"""Bytes: long enough under way that a kill meets it half-way."""


class Pair(NamedTuple):
    """The homes of two running nodes that know each other."""

    alice: str
    bob: str

    def inbox(self) -> Path:
        return Path(f"{self.bob}-inbox")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    homes = Pair(str(tmp_path / "alice"), str(tmp_path / "bob"))
    for home, name in ((homes.alice, "alice"), (homes.bob, "bob")):
        make_home(Path(home), name=name)
        up(home)
    acquaint(homes.alice, homes.bob)
    yield homes
    for home in homes:
        here("--home", home, "down")


def up(home: str) -> None:
    started = spawn("--home", home, "up", "-d", "--listen", "tcp://127.0.0.1:0", "--no-mdns")
    assert started.code == 0, started.err


def large(folder: Path) -> tuple[Path, str]:
    """A file that is its own at every place, and its digest."""
    path, digest = folder / "large.bin", hashlib.sha256()
    block = bytes(range(256)) * 4096
    with path.open("wb") as file:
        for number in range(LARGE // len(block)):
            piece = number.to_bytes(8, "big") + block[8:]
            file.write(piece)
            digest.update(piece)
    return path, digest.hexdigest()


def sending(home: str, *words: str) -> "subprocess.Popen[str]":
    """`nzcore send` as a process that goes on."""
    return subprocess.Popen(
        [*own_command(), "--home", home, "--json", "send", "bob", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=own_environment(),
    )


def wait_for_partial(inbox: Path) -> None:
    """Until some of a transfer lies on the receiver's disk. Real time, as these are real processes."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if sum(path.stat().st_size for path in inbox.rglob("large.bin")) > 8_000_000:
            return
        time.sleep(0.002)
    raise AssertionError("nothing arrived")


def test_a_killed_receiver_that_comes_back_gets_the_rest(pair: Pair, tmp_path: Path) -> None:
    path, digest = large(tmp_path)
    with sending(pair.alice, str(path)) as sender:
        wait_for_partial(pair.inbox())
        kill(pair.bob)
        up(pair.bob)
        out, err = sender.communicate(timeout=60)
    assert sender.returncode == 0, err
    sent = json.loads(out)
    assert sent["sha256"] == {"large.bin": digest}
    assert sent["resumed_bytes"] > 1_000_000
    assert hashlib.sha256((pair.inbox() / "alice/large.bin").read_bytes()).hexdigest() == digest


def test_a_killed_sender_goes_on_with_the_same_command(pair: Pair, tmp_path: Path) -> None:
    path, digest = large(tmp_path)
    with sending(pair.alice, str(path)) as sender:
        wait_for_partial(pair.inbox())
        kill(pair.alice)
        _, err = sender.communicate(timeout=60)
    assert sender.returncode == 1
    assert "ipc.connection-lost" in err
    assert not list(pair.inbox().glob("alice/*"))
    up(pair.alice)
    again = spawn("--home", pair.alice, "--json", "send", "bob", str(path))
    assert again.code == 0, again.err
    assert again.json["sha256"] == {"large.bin": digest}
    assert again.json["resumed_bytes"] > 1_000_000
    assert [file.name for file in pair.inbox().glob("alice/*")] == ["large.bin"]


def test_files_and_input_arrive_and_are_listed(run: Run, home: str, bob: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a b.txt").write_text("text")
    sent = run("--home", home, "--json", "send", "bob", str(tmp_path / "d"))
    digest = hashlib.sha256(b"text").hexdigest()
    assert sent.code == 0, sent.err
    assert sent.json == {
        "files": 1,
        "bytes": 4,
        "sha256": {"d/a b.txt": digest},
        "seconds": sent.json["seconds"],
        "resumed_bytes": 0,
        "destination": "bob:d",
    }
    piped = spawn("--home", home, "send", "bob", "-", "--name", "note.txt", stdin="from a pipe")
    assert piped.code == 0, piped.err
    assert piped.out.startswith("sent 1 file, 11 B, in ")
    listed = run("--home", bob, "--json", "inbox", "--last", "2").json
    assert [(Path(one["path"]).name, one["bytes"], one["from"]) for one in listed] == [
        ("a b.txt", 4, "tester"),
        ("note.txt", 11, "tester"),
    ]
    assert Path(listed[1]["path"]).read_text() == "from a pipe"
    assert Path(listed[1]["path"]).is_relative_to(f"{bob}-inbox")
    assert "note.txt" in run("--home", bob, "inbox").out


def test_nothing_to_list_is_said(run: Run, pair: Pair) -> None:
    assert run("--home", pair.alice, "inbox").out == "nothing has arrived yet\n"
    assert run("--home", pair.alice, "--json", "inbox").json == []
    assert run("--home", pair.alice, "message", "list").out == "no message has come yet\n"


def test_a_message_is_shown_on_its_own_lines(run: Run, home: str, bob: str) -> None:
    text = "first\n2026-01-01 00:00  boss:  second \x1b[2J"
    sent = run("--home", home, "message", "send", "bob", text)
    assert sent.code == 0, sent.err
    assert sent.out.startswith("bob has it (")
    shown = run("--home", bob, "message", "list", "--last", "1").out
    assert "tester:  first\n      2026-01-01 00:00  boss:  second \ufffd[2J\n" in shown
    (message,) = run("--home", bob, "--json", "message", "list", "--last", "1").json
    assert (message["from"], message["text"]) == ("tester", text.replace("\x1b", "\ufffd"))


def test_bytes_go_through_a_pipe_unchanged(home: str, bob: str) -> None:
    there, back = bytes(range(256)) * 128, b"and back"
    with piping(bob, "--wait", "tester", "raw") as waiting, ExitStack() as stack:
        stack.callback(waiting.kill)  # whatever fails: else its context would wait for it
        dialled = joined(home, waiting, there)
        out, err = waiting.communicate(back, timeout=60)
        assert waiting.returncode == 0, err
        assert out == there
        out, err = dialled.communicate(timeout=60)
        assert dialled.returncode == 0, err
        assert out == back


def piping(home: str, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*own_command(), "--home", home, "--json", "pipe", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=own_environment(),
    )


def joined(home: str, waiting: "subprocess.Popen[bytes]", data: bytes) -> "subprocess.Popen[bytes]":
    """A dialling side that found the waiting one, as something that comes out there shows; `data` was given to it."""
    for _ in range(50):
        dialling = piping(home, "bob", "raw")
        assert dialling.stdin is not None
        with suppress(BrokenPipeError):
            dialling.stdin.write(data)
        with suppress(BrokenPipeError):
            dialling.stdin.close()
        dialling.stdin = None  # `communicate` would write to it again
        while dialling.poll() is None:  # refused, as long as nobody waits yet
            if select.select([waiting.stdout], [], [], 0.05)[0]:
                return dialling
        dialling.communicate()
    raise AssertionError("nobody ever waited")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("send", "bob", "/nowhere/at/all"), "files.no-path"),
        (("send", "nobody", "/etc/hosts"), "node.unknown-peer"),
        (("send", "bob", "-", "/etc/hosts"), "files.nothing-to-send"),
        (("send", "bob", ""), "cli.usage"),
        (("send", "bob", "/etc/hosts", ""), "cli.usage"),
        (("send", "bob", "/etc/hosts", "--wait", "nan"), "cli.usage"),
        (("send", "bob", "/etc/\udcff"), "ipc.not-text"),
        (("pipe", "bob", "nobody-there"), "files.nobody-waits"),
        (("message", "send", "bob", ""), "control.bad-arguments"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(
    words: tuple[str, ...], code: str, run: Run, home: str, bob: str
) -> None:
    ended = run("--home", home, "--json", *words)
    assert ended.code in (1, 2)
    assert ended.error["code"] == code


def test_what_the_peer_refuses_ends_with_4(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("text")
    pair.inbox().write_text("in the way")
    refused = here("--home", pair.alice, "--json", "send", "bob", str(tmp_path / "note.txt"))
    assert (refused.code, refused.error["code"]) == (4, "files.cannot-write")
    assert here("--home", pair.bob, "peer", "remove", "alice").code == 0
    (tmp_path / "alice.card").write_text(here("--home", pair.alice, "identity", "card").out)
    added = here(
        "--home", pair.bob, "peer", "add", str(tmp_path / "alice.card"), "--scope", "connect", "--scope", "files"
    )
    assert added.code == 0, added.err
    assert here("--home", pair.bob, "peer", "connect", "alice").code == 0
    refused = here("--home", pair.alice, "--json", "message", "send", "bob", "hello")
    assert (refused.code, refused.error["code"]) == (4, "channel.out-of-scope")


def test_a_terminal_shows_how_far_a_transfer_is(pair: Pair, tmp_path: Path) -> None:
    path, _ = large(tmp_path)
    with Terminal("--home", pair.alice, "send", "bob", str(path)) as terminal:
        terminal.expect("] ")
        terminal.expect("MB/s")
        terminal.expect("sent 1 file, ")
        assert terminal.end() == 0


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (line(0, 100, 0.0), "[........................]   0%  0 B of 100 B"),
        (
            line(50_000_000, 200_000_000, 25e6, "bob"),
            "bob  [######..................]  25%  50.0 MB of 200 MB  25.0 MB/s  0:06 left",
        ),
        (line(5, None, 0.0), "5 B"),
        (line(100, 100, 10.0), "[########################] 100%  100 B of 100 B  10 B/s"),
        (line(0, 0, 0.0, "waiting"), "waiting  0 B"),
    ],
)
def test_the_line_says_share_size_rate_and_time_left(shown: str, text: str) -> None:
    assert shown == text


def test_times_are_said_as_people_say_them() -> None:
    assert [clock(n) for n in (0, 59.6, 3599, 3600, 400_000)] == ["0:00", "1:00", "59:59", "1:00:00", "days"]


def test_without_a_terminal_no_line_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(shown=True) as progress:
        progress.update(1, 2)
    assert capsys.readouterr().err == ""


def test_the_line_is_not_drawn_more_often_than_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    now, drawn = [100.0], StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", drawn)
    monkeypatch.setattr("nzcore.cli.progress.time.monotonic", lambda: now[0])
    monkeypatch.setenv("TERM", "xterm")
    with ProgressLine(shown=True) as progress:
        for done in range(101):
            progress.update(done * 1_000_000, 100_000_000, "sealing")
            now[0] += 0.001
        progress.update(0, 1, "unsealing")
    drawings = [one.split("%")[0] for one in drawn.getvalue().split("\r") if "%" in one]
    assert [one.rpartition(" ")[2] for one in drawings] == ["0", "50", "100", "0"]


def test_what_follows_an_interrupt_begins_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", drawn)
    monkeypatch.setenv("TERM", "xterm")

    def interrupted() -> None:
        with ProgressLine(shown=True) as progress:
            progress.update(0, 100, "waiting for other transfers")
            progress.update(0, 100)
            drawn.write("^C")  # as terminals do
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    text, rest = drawn.getvalue().rpartition("\r")[2].split("100 B")
    blanks = rest.count(" ")  # over what stood there; then back to where the text ends
    assert text
    assert blanks
    assert rest == " " * blanks + "\b" * blanks + "^C\n"


def test_an_interrupt_says_that_the_same_command_goes_on(pair: Pair, tmp_path: Path) -> None:
    path, _ = large(tmp_path)
    with Terminal("--home", pair.alice, "send", "bob", str(path)) as terminal:
        terminal.expect("] ")
        terminal.press(b"\x03")
        terminal.expect("the same command goes on where it was")
        assert terminal.end() == 130
    again = spawn("--home", pair.alice, "--json", "send", "bob", str(path))
    assert again.code == 0, again.err
    assert [file.name for file in pair.inbox().glob("alice/*")] == ["large.bin"]
