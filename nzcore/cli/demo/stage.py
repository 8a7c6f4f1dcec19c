"""The demo's stage: a temporary folder and real processes in it, none of which outlives it."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nzcore.base.errors import NzError, UnavailableError
from nzcore.cli.demo.companion import companion_command
from nzcore.cli.spawn import own_command, own_environment
from nzcore.ipc.client import Client
from nzcore.ipc.path import socket_path

COMMAND_S = 30.0  # how long one command of the demo may take on a busy machine
STOP_S = 10.0  # how long a node may take to stop before it is killed


LOOPBACK = "tcp://127.0.0.1:0"
"""Where the players listen: a demo shows nothing to the network that the machine is in."""


class Player:
    """One node of the demo: its home and, while it runs, its process."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        self.node = ""

    def command(self, *words: str, stdin: str = "") -> Any:
        """Runs one nzcore command on this home; its JSON answer. *Raises* UnavailableError `cli.demo-failed`."""
        line = [*own_command(), "--home", str(self.home), "--json", *words]
        ended = subprocess.run(  # noqa: S603  (our own program, no shell)
            line,
            input=stdin.encode(),
            capture_output=True,
            env=own_environment(),
            timeout=COMMAND_S,
            start_new_session=True,
            check=False,
        )
        if ended.returncode:
            raise failed(f"`nzcore {' '.join(words)}` of {self.name}: {_complaint(ended.stderr)}")
        return json.loads(ended.stdout)

    def begin(self, *words: str) -> "subprocess.Popen[bytes]":
        """Begins a command and goes on; `finish` waits for it. The stage's end ends it too, with its node."""
        return subprocess.Popen(  # noqa: S603  (our own program, no shell)
            [*companion_command(), "--home", str(self.home), "--json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=own_environment(),
            start_new_session=True,
        )

    def finish(self, begun: "subprocess.Popen[bytes]") -> Any:
        """The JSON answer of a command that was begun. *Raises* UnavailableError `cli.demo-failed`."""
        try:
            answer, complaint = begun.communicate(timeout=COMMAND_S)
        except subprocess.TimeoutExpired:
            begun.kill()
            begun.communicate()
            raise failed(f"a command of {self.name} did not end within {COMMAND_S:g} s") from None
        if begun.returncode:
            raise failed(f"a command of {self.name}: {_complaint(complaint)}")
        return json.loads(answer)

    @property
    def inbox(self) -> Path:
        """Where files from peers arrive."""
        return self.home.with_name(f"{self.home.name}-inbox")

    def arrived_bytes(self) -> int:
        """Bytes in the inbox on disk, unfinished files included."""
        return sum(path.stat().st_size for path in self.inbox.rglob("*") if path.is_file())

    def kill(self) -> None:
        """Ends the node as a power cut would."""
        assert self.process
        self.process.kill()
        self._reap()

    def make(self) -> None:
        """Makes the player's home, as `init` does. *Raises* as `command`."""
        words = self.home.parent / f"{self.name}.words"
        made = self.command("init", "--name", self.name, "--no-passphrase", "--mnemonic-out", str(words))
        self.node = str(made["node"])

    def ask(self, operation: str, **args: Any) -> Any:
        """One operation over the socket. *Raises* as `Client.call`."""
        with Client(socket_path(self.home), timeout_s=COMMAND_S) as client:
            return client.call(operation, args)

    def up(self) -> dict[str, Any]:
        """Starts the node as a process of its own and waits for its first line. The stage ends it."""
        assert self.process is None
        log = (self.home.parent / f"{self.name}.stderr").open("wb")
        with log:
            self.process = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                [*companion_command(), "--home", str(self.home), "--json", "up", "--listen", LOOPBACK, "--no-mdns"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=own_environment(),
                start_new_session=True,
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise failed(f"{self.name} did not start: {_complaint(Path(log.name).read_bytes())}")
        ready: dict[str, Any] = json.loads(line)
        self.ask("config.set", name="net.listen", value=ready["listen"])  # the same port when it is started again
        return ready

    def down(self) -> int:
        """Stops the node by command and waits for its process; its exit code."""
        assert self.process
        self.command("down")
        return self._reap()

    def end(self) -> None:
        """Ends the process, gently, then not; for a stage that is being left."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self._reap()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self._reap()

    def _reap(self) -> int:
        assert self.process
        code = self.process.wait(STOP_S)
        if self.process.stdout:
            self.process.stdout.close()
        self.process = None
        return code


class Stage:
    """Players in a temporary folder. A context manager: leaving it ends every process and removes the folder."""

    def __init__(self, *, keep: bool = False) -> None:
        self.keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix="nzcore-demo-"))
        self.players: dict[str, Player] = {}
        self.sending: subprocess.Popen[bytes] | None = None
        """A command that one step has begun and a later one finishes."""
        self.pids: list[int] = []

    def player(self, name: str) -> Player:
        """The player of that name, made at first use."""
        return self.players.setdefault(name, Player(name, self.folder / name))

    def start(self, name: str) -> dict[str, Any]:
        """Starts a player's node and notes its process id; its ready line."""
        player = self.player(name)
        ready = player.up()
        assert player.process
        self.pids.append(player.process.pid)
        return ready

    def until(self, what: str, happens: Callable[[], bool], *, seconds: float = COMMAND_S) -> None:
        """Asks again and again until it happens. *Raises* UnavailableError `cli.demo-failed` when it does not."""
        deadline = time.monotonic() + seconds
        while not happens():
            if time.monotonic() > deadline:
                raise failed(f"{what} did not happen within {seconds:g} s")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for player in self.players.values():
            with suppress(OSError, subprocess.TimeoutExpired):
                player.end()
        if self.sending is not None and self.sending.poll() is None:
            self.sending.kill()
            self.sending.communicate()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def failed(what: str) -> NzError:
    """The error of a step that did not do what it should."""
    return UnavailableError("cli.demo-failed", what)


def _complaint(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    try:
        return str(json.loads(lines[-1])["error"]["message"])
    except (IndexError, ValueError, TypeError, KeyError):
        return lines[-1] if lines else "no reason was given"
