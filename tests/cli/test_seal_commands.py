"""Files sealed by one node and unsealed by another, by command, with running nodes and without."""

import os
import re
import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nzcore.base.errors import UnavailableError
from nzcore.cli.sealing import released
from nzcore.cli.spawn import own_command, own_environment
from nzcore.ipc.client import Client
from nzcore.ipc.path import socket_path

from .conftest import WAIT_S, Ended, Run, make_home, spawn
from .terminal import Terminal

CONTENT = b"dear bob" * 20_000
CHUNK = 65_408


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the homes of alice, whose node rests, and bob, whose node rests too; cards and words beside."""
    folder = tmp_path_factory.mktemp("sealing")
    for who in ("alice", "bob"):
        make_home(folder / who, "--name", who, "--no-passphrase", "--mnemonic-out", str(folder / f"{who}.words"))
        (folder / f"{who}.card").write_text(spawn("--home", str(folder / who), "identity", "card").out)
    return folder


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    path = tmp_path / "letter"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def sealed(run: Run, places: Path, letter: Path) -> Path:
    """The letter, from alice to bob."""
    made = run("--home", places / "alice", "seal", "--to", places / "bob.card", letter)
    assert made.code == 0, made.err
    return letter.with_name("letter.sealed")


def node_of(place: Path) -> str:
    return str(spawn("--home", str(place), "--json", "identity", "show").json["node"])


def test_what_alice_seals_bob_unseals(run: Run, places: Path, letter: Path, tmp_path: Path) -> None:
    made = run("--home", places / "alice", "--json", "seal", letter, "--to", places / "bob.card").json
    envelope = tmp_path / "letter.sealed"
    assert made == {"file": str(envelope), "to": node_of(places / "bob"), "bytes": envelope.stat().st_size}
    letter.unlink()
    opened = run("--home", places / "bob", "--json", "unseal", envelope).json
    assert set(opened) == {"file", "from", "bytes"}
    assert (opened["file"], opened["bytes"]) == (str(letter), len(CONTENT))
    assert (opened["from"]["node"], opened["from"]["name"]) == (node_of(places / "alice"), "alice")
    assert opened["from"]["identity"].startswith("nzi1")
    assert letter.read_bytes() == CONTENT
    assert letter.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter", "letter.sealed"]


def test_a_card_is_taken_as_text_and_a_certificate_too(run: Run, places: Path, letter: Path, tmp_path: Path) -> None:
    texts = [(places / "bob.card").read_text().strip(), (places / "bob" / "certificate").read_text().strip()]
    for index, text in enumerate(texts):
        made = run("--home", places / "alice", "--json", "seal", letter, "--to", text, "-o", tmp_path / str(index))
        assert made.json["to"] == node_of(places / "bob")


def test_files_pass_through_pipes(places: Path) -> None:
    piped = (
        f"'{own_command()[0]}' -P -m nzcore --home alice seal --to bob.card - -o - | "
        f"'{own_command()[0]}' -P -m nzcore --home bob unseal - -o -"
    )
    ended = subprocess.run(
        ["sh", "-c", piped],
        input=CONTENT,
        cwd=places,
        env=own_environment(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == CONTENT
    assert b"from      alice  nzn1" in ended.stderr


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[:-1], "envelope.truncated"),
        (lambda data: data[:72], "envelope.truncated"),
        (lambda data: data[: 72 + CHUNK + 19], "envelope.truncated"),
        (lambda data: data + b"\0", "envelope.trailing"),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "envelope.damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "envelope.damaged"),
        (lambda data: data[72:], "envelope.not-an-envelope"),
        (lambda data: b"", "envelope.truncated"),
    ],
)
def test_nothing_is_left_of_an_envelope_that_is_not_whole(
    run: Run, places: Path, sealed: Path, tmp_path: Path, change: Callable[[bytes], bytes], code: str
) -> None:
    sealed.write_bytes(change(sealed.read_bytes()))
    before = sorted(tmp_path.iterdir())
    refused = run("--home", places / "bob", "--json", "unseal", sealed, "-o", tmp_path / "out")
    assert (refused.code, refused.out, refused.error["code"]) == (1, "", code)
    assert sorted(tmp_path.iterdir()) == before
    piped = run("--home", places / "bob", "unseal", sealed, "-o", "-")
    assert (piped.code, piped.out) == (1, "")


def test_another_node_is_told_that_it_is_not_meant(run: Run, places: Path, sealed: Path, tmp_path: Path) -> None:
    refused = run("--home", places / "alice", "--json", "unseal", sealed, "-o", tmp_path / "out")
    assert (refused.code, refused.error["code"]) == (1, "envelope.other-recipient")


@pytest.mark.parametrize("command", ["seal", "unseal"])
def test_an_existing_file_is_never_replaced(run: Run, places: Path, sealed: Path, letter: Path, command: str) -> None:
    words = {"seal": ("seal", "--to", places / "bob.card", letter), "unseal": ("unseal", sealed)}[command]
    kept = {path: path.read_bytes() for path in (sealed, letter)}
    refused = run("--home", places / ("alice" if command == "seal" else "bob"), "--json", *words)
    assert (refused.code, refused.error["code"]) == (1, "cli.file-exists")
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (("seal", "--to", "CARD", "/nonexistent", "-o", "out"), 1, "cli.unreadable"),
        (("seal", "--to", "CARD", "LETTER", "-o", "/nonexistent/out"), 1, "cli.unwritable"),
        (("seal", "--to", "WORDS", "LETTER", "-o", "out"), 1, "identity.bad-card"),
        (("seal", "--to", "nzc:AAAA", "LETTER", "-o", "out"), 1, "identity.bad-text"),
        (("seal", "--to", "nobody", "LETTER", "-o", "out"), 3, "ipc.not-running"),
        (("seal", "--to", "CARD", "-"), 2, "cli.usage"),
        (("seal", "--to", "CARD", "LETTER", "-o", "-"), 2, "cli.usage"),
        (("seal", "--to", "CARD", "-", "-o", "out", "--passphrase-file", "-"), 2, "cli.usage"),
        (("seal", "LETTER"), 2, "cli.usage"),
        (("unseal", "LETTER"), 2, "cli.usage"),
        (("unseal", "LETTER", "-o", "out"), 1, "envelope.not-an-envelope"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    run: Run,
    places: Path,
    letter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    exit_code: int,
    code: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    real = {"CARD": str(places / "bob.card"), "WORDS": str(places / "bob.words"), "LETTER": str(letter)}
    ended = run("--home", places / "alice", "--json", *(real.get(word, word) for word in words))
    assert (ended.code, ended.out, ended.error["code"]) == (exit_code, "", code)
    assert list(tmp_path.iterdir()) == [letter]


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["seal", "unseal"])
def test_a_command_that_is_told_to_end_leaves_no_half_file(
    places: Path, sealed: Path, tmp_path: Path, command: str, number: signal.Signals
) -> None:
    pipe, data = tmp_path / "pipe", sealed.read_bytes()[: 72 + CHUNK + 19]
    os.mkfifo(pipe)
    before = sorted(tmp_path.iterdir())
    words = {
        "seal": ("--home", str(places / "alice"), "seal", "--to", str(places / "bob.card")),
        "unseal": ("--home", str(places / "bob"), "unseal"),
    }[command]
    process = subprocess.Popen(
        [*own_command(), *words, str(pipe), "-o", str(tmp_path / "out")], env=own_environment(), stderr=subprocess.PIPE
    )
    with process, pipe.open("wb") as feed:  # opens when the command reads: by then the new file is begun
        feed.write(data)
        feed.flush()
        assert len(list(tmp_path.glob(".nzcore-*.part"))) == 1
        deadline = time.monotonic() + WAIT_S
        while process.poll() is None:  # again and again, as people do: none of it may harm the cleaning up
            if time.monotonic() > deadline:
                process.kill()
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
    assert process.returncode == 130
    assert sorted(tmp_path.iterdir()) == before


def test_a_home_with_a_passphrase_asks_before_the_work_and_once(
    run: Run, places: Path, letter: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    home = tmp_path / "carol"
    make_home(home, "--name", "carol", "--passphrase-file", str(secret))
    card = tmp_path / "carol.card"
    card.write_text(spawn("--home", str(home), "identity", "card", "--passphrase-file", str(secret)).out)
    refused = run("--home", home, "--json", "seal", "--to", card, letter)
    assert (refused.code, refused.error["code"]) == (2, "cli.passphrase-needed")
    given = spawn(
        "--home", str(home), "seal", "--to", str(card), str(letter), "--passphrase-file", "-", stdin="correct horse\n"
    )
    assert given.code == 0, given.err
    opened = spawn(
        *("--home", str(home), "--json", "unseal", f"{letter}.sealed", "-o", str(tmp_path / "opened")),
        *("--passphrase-file", "-"),
        stdin="correct horse\n",
    )
    assert opened.json["from"]["known"] is True  # its own


# With a running node, which knows peers.


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of dora, whose node runs and has nobody to talk to."""
    home = tmp_path_factory.mktemp("dora") / "home"
    make_home(home, "--name", "dora", "--no-passphrase")
    started = spawn("--home", str(home), "--json", "up", "-d")
    assert started.code == 0, started.err
    yield home
    assert spawn("--home", str(home), "down").code == 0


def call(home: Path, operation: str, **args: object) -> Any:
    with Client(socket_path(home)) as client:
        return client.call(operation, args)


@pytest.mark.real
def test_a_running_node_seals_for_peers_and_knows_senders(
    run: Run, places: Path, running: Path, letter: Path, tmp_path: Path
) -> None:
    """Eve is a stranger, then a peer, then rotates her keys."""
    eve, words, card = tmp_path / "eve", tmp_path / "eve.words", tmp_path / "eve.card"
    make_home(eve, "--name", "eve", "--no-passphrase", "--mnemonic-out", str(words))
    old = run("--home", eve, "identity", "card").out.strip()
    card.write_text(run("--home", running, "identity", "card").out)

    def seal(home: Path, to: object, out: str) -> Ended:
        return run("--home", home, "--json", "seal", letter, "--to", str(to), "-o", tmp_path / out)

    def unseal(home: Path, name: str) -> Ended:
        (tmp_path / "out").unlink(missing_ok=True)
        return run("--home", home, "--json", "unseal", tmp_path / name, "-o", tmp_path / "out")

    assert seal(eve, card, "first").code == 0
    assert unseal(running, "first").json["from"]["known"] is False
    assert seal(running, "evelyn", "to stranger").error["code"] == "node.unknown-peer"

    call(running, "peer.add", card=old, name="evelyn")
    sender = unseal(running, "first").json["from"]
    assert (sender["name"], sender["known"]) == ("evelyn", True)
    (tmp_path / "evelyn").write_text((places / "bob.card").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)  # a file of a peer's name is not the peer
        assert seal(running, "evelyn", "second").json["to"] == sender["node"]
        assert seal(running, "eve", "third").json["to"] == sender["node"]
    assert unseal(eve, "second").code == 0
    assert (tmp_path / "out").read_bytes() == CONTENT

    assert run("--home", eve, "identity", "rotate", "--mnemonic-file", words).code == 0
    assert unseal(eve, "second").error["code"] == "envelope.other-keys"
    call(running, "peer.add", card=run("--home", eve, "identity", "card").out.strip())
    assert unseal(running, "first").error["code"] == "envelope.sender-rotated"
    assert seal(running, old, "fourth").code == 0  # an old card, and yet for the keys that eve has now
    assert unseal(eve, "fourth").code == 0


def test_a_reader_who_leaves_ends_it_quietly_and_leaves_nothing(places: Path, sealed: Path) -> None:
    process = subprocess.Popen(
        [*own_command(), "--home", str(places / "bob"), "unseal", str(sealed), "-o", "-"],
        env=own_environment() | {"TMPDIR": str(sealed.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert (process.wait(timeout=60), process.stderr.read()) == (141, b"")
    process.stderr.close()
    assert sorted(path.name for path in sealed.parent.iterdir()) == ["letter", "letter.sealed"]


def test_a_file_system_without_hard_links_will_do(
    run: Run, places: Path, sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    out = tmp_path / "out"
    assert run("--home", places / "bob", "unseal", sealed, "-o", out).code == 0
    assert out.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter", "letter.sealed", "out"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: os.stat("/nonexistent"))
    out = tmp_path / "out"
    block = released(str(out), mode=0o600)
    block.__enter__()(b"ours")
    out.write_bytes(b"theirs")
    with pytest.raises(UnavailableError) as refused:
        block.__exit__(None, None, None)
    assert refused.value.code == "cli.file-exists"
    assert out.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [out]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(UnavailableError) as refused, released(str(tmp_path / "out"), mode=0o600) as write:
            write(bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert refused.value.code == "cli.unwritable"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A file that is long enough for a line that shows how far it is."""
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    return path


def test_a_long_file_on_a_terminal_shows_share_rate_and_size(places: Path, long: Path, tmp_path: Path) -> None:
    for word, *command in (
        ["sealing", "--home", str(places / "alice"), "seal", "--to", str(places / "bob.card"), str(long)],
        ["unsealing", "--home", str(places / "bob"), "unseal", f"{long}.sealed", "-o", str(tmp_path / "out")],
    ):
        with Terminal(*command) as terminal:
            assert terminal.end() == 0
            last = terminal.shown[terminal.shown.rindex(f"{word}  [") :]
            assert re.match(rf"{word}  \[#+\] 100%  67\.\d MB of 67\.\d MB  [\d.]+ [MG]B/s", last), last


def test_a_pipe_that_turns_out_long_shows_how_much_has_come(places: Path, long: Path, tmp_path: Path) -> None:
    line = (
        f"cat {long} | {shlex.join(own_command())} --home {places / 'alice'} seal --to {places / 'bob.card'} - -o out"
    )
    with Terminal(program=["/bin/sh", "-c", f"cd {tmp_path} && {line}"]) as terminal:
        assert terminal.end() == 0
        assert re.search(r"sealing  67\.\d MB", terminal.shown)


def test_what_is_wrong_with_a_long_file_is_told_on_a_line_of_its_own(places: Path, long: Path, tmp_path: Path) -> None:
    made = spawn("--home", str(places / "alice"), "seal", "--to", str(places / "bob.card"), str(long))
    assert made.code == 0, made.err
    with Path(f"{long}.sealed").open("r+b") as file:
        file.seek(-(1 << 20), os.SEEK_END)
        file.write(bytes(4))
    with Terminal("--home", str(places / "bob"), "unseal", f"{long}.sealed", "-o", str(tmp_path / "out")) as terminal:
        assert terminal.end() == 1
        before, found, _ = terminal.shown.partition("error")
        assert found
        assert "unsealing  [" in before
        assert "unsealing" not in before[before.rindex("\r") :]


def test_being_told_to_end_while_a_finalizer_runs_ends_it_too(tmp_path: Path) -> None:
    class Dying:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(100):  # time for the signal to be heard in here
                pass

    def work() -> None:
        with released(str(tmp_path / "new"), mode=0o600) as write:
            write(b"half")
            Dying()
            signal.sigtimedwait([], WAIT_S)  # any signal with a handler ends it

    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert list(tmp_path.iterdir()) == []
