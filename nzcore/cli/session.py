"""One run of the command line: what was asked for everywhere, and how to reach the node.

Imports nothing slow: the node is asked over a blocking socket; only what no node can answer imports its parts.
"""

import os
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nzcore.base.errors import NzError, UnavailableError
from nzcore.cli import output
from nzcore.node.home import Home, default_home

if TYPE_CHECKING:
    from nzcore.ipc.client import Client

ANSWER_S = 10.0
"""How long a command waits for the node unless told: longer than any operation that only asks."""

Args = dict[str, Any]


class Session:
    """What `--json`, `--home` and `--timeout` said."""

    def __init__(self) -> None:
        self.json = False
        self.home_path: str | None = None
        self.timeout: float | None = None
        self.chosen_passphrase: str | None = None  # for a home that this run made: a person types it once
        self.piped_passphrase: str | None = None  # from standard input, which can be read once

    @property
    def home(self) -> Home:
        named = self.home_path or os.environ.get("NZCORE_HOME")
        return Home(Path(named) if named else default_home())

    def call(self, operation: str, args: Args | None = None, *, wait_s: float = ANSWER_S) -> Any:
        """The running node's answer. *Raises* its refusal, `ipc.not-running`, `node.no-home`, `ipc.timeout`."""
        with self.client(wait_s) as client:
            return client.call(operation, args or {})

    def stream(
        self, operation: str, args: Args | None = None, *, for_s: float | None = None
    ) -> Generator[Any, None, None]:
        """Items of a streaming operation until it ends, `for_s` seconds have passed or the caller leaves.

        *Raises* as `call`; `ipc.timeout` only where `--timeout` is what ended it.
        """
        try:
            with self.client(ANSWER_S) as client:
                yield from client.stream(operation, args or {}, timeout_s=for_s or self.timeout)
        except NzError as error:
            if for_s is None or error.code not in ("ipc.timeout", "ipc.deadline"):
                raise

    def ask(self, operation: str, args: Args | None = None, *, otherwise: Callable[[], Any]) -> Any:
        """The running node's answer; where none runs, what `otherwise` makes of the home. *Raises* as both do."""
        try:
            return self.call(operation, args)
        except NzError as error:
            if error.code != "ipc.not-running":
                raise
        return otherwise()

    def show(self, result: Any, human: Callable[[Any], Iterable[output.Block]]) -> None:
        """The result of a command: as JSON, or as `human` puts it."""
        if self.json:
            output.write(output.json_line(result))
        else:
            output.show(human(result))

    def warn(self, code: str, message: str, hint: str) -> None:
        """Something to know that does not stop the command."""
        output.warn(code, message, hint, as_json=self.json)

    def client(self, wait_s: float = ANSWER_S) -> "Client":
        """A connection to the running node, for several calls; the caller closes it. *Raises* as `call`."""
        from nzcore.ipc.client import Client
        from nzcore.ipc.path import socket_path

        home = self.home
        try:
            return Client(socket_path(home.path), timeout_s=self.timeout or wait_s)
        except NzError as error:
            if error.code == "ipc.not-running":
                home.require()
                raise self._not_running(error) from error
            raise

    def _not_running(self, error: NzError) -> NzError:
        """What to do about it; a node whose socket is not to be found can't be started once more."""
        from nzcore.cli.spawn import lock_owner

        pid = lock_owner(self.home.lock)
        if pid is None:
            return UnavailableError(error.code, hint=f"start it with: {self.line('up -d')}")
        message = f"the node (process {pid}) holds its home, but takes no commands at {error.facts.get('path')}"
        why = "else its socket was removed, or it was started with another XDG_RUNTIME_DIR or TMPDIR"
        hint = f"wait if it starts or ends just now; {why}: kill {pid} stops it"
        return UnavailableError(error.code, message, hint=hint, pid=pid)

    def line(self, words: str) -> str:
        """A command line to be typed next, about the same node."""
        if self.home_path is None:
            return f"nzcore {words}"
        from shlex import quote

        return f"nzcore --home {quote(self.home_path)} {words}"
