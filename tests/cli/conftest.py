"""What the tests of the command line share: a home, a running node, and ways to run a command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nzcore.cli.app import main
from nzcore.cli.spawn import own_command, own_environment, wait_for_end
from nzcore.crypto.passphrase import MIN_MEMORY, MIN_OPERATIONS, Cost
from nzcore.store import vault
from nzcore.store.lock import holder

WAIT_S = 60


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The last line of standard error, which must be a JSON error."""
        return dict(json.loads(self.err.splitlines()[-1])["error"])


Run = Callable[..., Ended]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process, as a program would: without a terminal."""
    monkeypatch.delenv("NZCORE_HOME", raising=False)

    def run_here(*words: str | os.PathLike[str]) -> Ended:
        capfd.readouterr()
        code = main([os.fspath(word) for word in words])
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run_here


def spawn(*words: str, cwd: Path | None = None, stdin: str = "", **environment: str) -> Ended:
    """Runs a command line as a process of its own."""
    ended = subprocess.run(
        [*own_command(), *words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=own_environment() | environment,
        timeout=WAIT_S,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def here(*words: str) -> Ended:
    """Runs a command line in this process, for fixtures that outlive a test: no start of a process, no capture."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return Ended(code, out.getvalue(), err.getvalue())


def python(code: str, *arguments: str) -> str:
    """Standard output of a fresh Python that runs `code`, and nothing else: its coverage is not measured."""
    environment = {name: value for name, value in own_environment().items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=WAIT_S,
        check=True,
    ).stdout


@pytest.fixture(scope="session", autouse=True)
def cheap_passphrases() -> Iterator[None]:
    """What is sealed in this process is opened quickly everywhere: the cost is stored beside it."""
    with pytest.MonkeyPatch.context() as patch:
        for seals in (vault.create, vault.seal, vault.Lock.by_passphrase):
            assert seals.__kwdefaults__
            patch.setitem(seals.__kwdefaults__, "cost", Cost(MIN_OPERATIONS, MIN_MEMORY))
        yield


def make_home(home: Path, *words: str, name: str = "tester") -> dict[str, Any]:
    """A home without a passphrase, unless `words` say otherwise."""
    made = here("--json", "--home", str(home), "init", "--name", name, *(words or ("--no-passphrase",)))
    assert made.code == 0, made.err
    return dict(made.json)


def kill(home: str) -> None:
    """Ends the node of a home in the middle of whatever it does."""
    pid = holder(Path(home) / "lock")
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(pid, 10)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """What a command that runs in this process sets for signals ends with its test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def no_node_left(tmp_path: Path) -> Iterator[None]:
    """Ends what a failed test left running; a test that went well leaves nothing."""
    yield
    left = [pid for lock in tmp_path.rglob("lock") if (pid := holder(lock)) and not wait_for_end(pid, 0)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def start_node(home: Path, name: str) -> dict[str, Any]:
    """Makes a home and starts its node, reachable from this machine only; what `init` said."""
    made = make_home(home, name=name)
    started = spawn("--home", str(home), "--json", "up", "-d", "--listen", "tcp://127.0.0.1:0", "--no-mdns")
    assert started.code == 0, started.err
    return made


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `init` said of a home whose node runs, in a process of its own, for all tests that only ask."""
    home = tmp_path_factory.mktemp("running") / "home"
    yield start_node(home, "tester")
    assert here("--home", str(home), "down").code == 0


@pytest.fixture
def home(node: dict[str, Any]) -> str:
    """The folder of the running node."""
    return str(node["home"])


@pytest.fixture(scope="session")
def bob(node: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The folder of a second node; it and the first know each other as `bob` and `tester`."""
    home = tmp_path_factory.mktemp("bob") / "home"
    start_node(home, "bob")
    try:
        acquaint(str(node["home"]), str(home))
        yield str(home)
        assert here("--home", str(node["home"]), "peer", "remove", "bob").code == 0
    finally:  # also where they could not be made acquainted: no process outlives the tests
        assert here("--home", str(home), "down").code == 0


def acquaint(first: str, second: str) -> None:
    """Lets two running nodes add each other's cards, and waits for their channel."""
    for taker, giver in ((first, second), (second, first)):
        card = here("--home", giver, "identity", "card").out.strip()
        added = here("--home", taker, "peer", "add", card)
        assert added.code == 0, added.err
    assert (
        here("--home", first, "peer", "connect", here("--home", second, "identity", "show", "--json").json["node"]).code
        == 0
    )
