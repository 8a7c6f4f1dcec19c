"""`nzcore up`: runs the node, here or detached.

What is printed never holds the node up: a thread of its own prints, what it can't keep up with is counted and
said, and a reader who goes away is only missed.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import Any, NamedTuple

import click

from nzcore.base.errors import NzError, UnavailableError
from nzcore.base.reasons import reason
from nzcore.cli import output
from nzcore.cli.errors import OutputClosed
from nzcore.cli.files import passphrase_option, unlock
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session
from nzcore.cli.systemd import notify
from nzcore.store.lock import holder

_READY_S = 30.0  # how long a detached node may take to become ready, unless --timeout says otherwise
_END_S = 5.0  # how long a node that did not become ready may take to stop before it is killed
_EVENTS_HELD = 1000  # events that wait for a slow reader before they are dropped and counted
_LAST_WORDS_S = 1.0  # how long the printer may finish its lines after the node has stopped
_SHOWN = 1  # addresses in the line that says ready; `nzcore state` shows all
_REPORT_BYTES = 1 << 16  # of a failed node's standard error that are read


@declare("up", example="nzcore up -d")
@click.option("-d", "--detach", is_flag=True, help="Run in the background; return when the node is ready.")
@click.option(
    "--listen",
    multiple=True,
    metavar="tcp://HOST:PORT",
    callback=lambda ctx, param, value: tuple(_address(ctx, param, text) for text in value),
    help="Listen there, and nowhere else; may be repeated.",
)
@click.option("--public", is_flag=True, help="Listen on addresses too that the internet reaches.")
@click.option("--no-mdns", is_flag=True, help="Don't show the node on the local network.")
@click.option("--no-modules", is_flag=True, help="Load no module, for when one of them keeps the node from starting.")
@click.option("--empty-store", is_flag=True, help="Begin with an empty store where the old one is gone.")
@passphrase_option("File whose first line is the passphrase (- for standard input); asked for if not given.")
@click.pass_obj
def command(
    session: Session,
    detach: bool,
    listen: tuple[str, ...],
    public: bool,
    no_mdns: bool,
    no_modules: bool,
    empty_store: bool,
    passphrase_file: str | None,
) -> int:
    """Run the node.

    It runs until it is stopped by `nzcore down`, SIGTERM or Ctrl-C. Prints a line when it is ready, then one for each
    event. Under systemd it says READY=1 and STOPPING=1.

    --listen, --public and --no-mdns hold for this run; `nzcore config set net.listen` and the like for all. So does
    --no-modules: what keeps the node from starting can then be disabled or removed.
    """
    session.home.require()
    if not empty_store:
        session.home.require_store()  # before anybody is asked for a passphrase
    _refuse_second(session)  # the lock does too, but behind the passphrase
    passphrase = unlock(session, passphrase_file)
    wanted = Wanted(listen, public, not no_mdns, empty_store, not no_modules)
    return _detached(session, passphrase, wanted) if detach else _foreground(session, passphrase, wanted)


class Wanted(NamedTuple):
    """What the line says of this run."""

    listen: tuple[str, ...]
    public: bool
    mdns: bool
    empty_store: bool = False
    modules: bool = True

    def words(self) -> list[str]:
        """The same as options."""
        named = [word for address in self.listen for word in ("--listen", address)]
        flags = (
            ("--public", self.public),
            ("--no-mdns", not self.mdns),
            ("--empty-store", self.empty_store),
            ("--no-modules", not self.modules),
        )
        return [*named, *(flag for flag, said in flags if said)]


def _address(ctx: click.Context, param: click.Parameter, text: str) -> str:
    from nzcore.proto.identity.address import Address

    try:
        return Address.parse(text if "://" in text else f"tcp://{text}").text
    except NzError as error:
        raise click.BadParameter(f"{text!r}: {error.message}; write tcp://host:port", ctx, param) from None


def _foreground(session: Session, passphrase: str | None, wanted: Wanted) -> int:
    from nzcore.node.run import run_node

    _stop_on_hangup()
    printer = Printer(as_json=session.json)
    try:
        return run_node(session.home.path, passphrase=passphrase, on_event=printer.put, **wanted._asdict())
    except UnavailableError as error:
        if error.code == "node.not-ready":
            raise _with_cause(error) from error
        if error.code != "store.home-busy":
            raise
        raise _busy(session, error.facts.get("pid"), _shut(session)) from error
    finally:
        notify("STOPPING=1")
        printer.close()


def _refuse_second(session: Session) -> None:
    """*Raises* UnavailableError `store.home-busy` where a node takes connections."""
    if _shut(session) is None:
        raise _busy(session, holder(session.home.lock), None)


def _shut(session: Session) -> NzError | None:
    """Why no node takes connections; None where one does."""
    try:
        session.client().close()
    except NzError as error:
        return error
    return None


def _busy(session: Session, pid: object, shut: NzError | None) -> UnavailableError:
    message = f"a node runs in {session.home.path} already (process {pid})"
    hint = shut.hint if shut else f"{session.line('state')} shows it, {session.line('down')} stops it"
    return UnavailableError("store.home-busy", message, hint=hint, pid=pid)


def _with_cause(error: UnavailableError) -> UnavailableError:
    """The same with the hint of its cause, whose code stands at the end of the message."""
    what, _, cause = error.message.rstrip("]").rpartition(" [")
    try:
        hint = reason(cause).hint
    except KeyError:
        return error
    return UnavailableError(error.code, what, hint=hint, **error.facts)


class Printer:
    """Prints events in a daemon thread; `put` never waits."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._queue: Queue[dict[str, Any] | None] = Queue(_EVENTS_HELD)
        self._lost = 0
        self._thread = Thread(target=self._run, name="printer", daemon=True)
        self._thread.start()

    def put(self, event: dict[str, Any]) -> None:
        """Takes an event to print, or counts it as lost."""
        if event.get("event") == "ready":
            notify("READY=1")
        elif event.get("event") == "node.stopping":
            notify("STOPPING=1")
        try:
            if self._lost:
                self._queue.put_nowait({"event": "lost", "count": self._lost})
                self._lost = 0
            self._queue.put_nowait(event)
        except Full:
            self._lost += 1

    def close(self) -> None:
        """Waits a moment for what is still to be printed, and for how much was not."""
        try:
            if self._lost:
                self._queue.put({"event": "lost", "count": self._lost}, timeout=_LAST_WORDS_S)
            self._queue.put(None, timeout=_LAST_WORDS_S)
        except Full:
            return
        self._thread.join(_LAST_WORDS_S)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                output.write(output.json_line(event) if self._as_json else event_line(event) + "\n")
            except OutputClosed:
                output.drop()
                break
            except NzError:
                break
        else:
            return
        while self._queue.get() is not None:  # nobody reads: the node goes on, its events go nowhere
            pass


def event_line(event: dict[str, Any]) -> str:
    """One event for a human."""
    if event.get("event") == "ready":
        listen = output.listed(event.get("listen") or [], _SHOWN) or "nothing but its own commands"
        return output.clean(f"ready: {event['node']}, listening on {listen}")
    at = event.get("at")
    clock = time.strftime("%H:%M:%S ", time.localtime(at)) if isinstance(at, int | float) else ""
    value = event.get("value", {key: value for key, value in event.items() if key not in ("event", "at")})
    return output.clean(f"{clock}{event.get('event', '')}  {output.facts(value)}".rstrip())


def _stop_on_hangup() -> None:
    """A closed terminal stops the node as SIGTERM does, unless hang-ups are ignored (nohup)."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def _detached(session: Session, passphrase: str | None, wanted: Wanted) -> int:
    """Starts `up` as a session of its own, hands it the passphrase by pipe, and waits until it is ready."""
    from nzcore.cli.spawn import own_command, own_environment

    home = session.home
    home.make_folders()
    complaints = home.logs / "stderr.log"
    line = [*own_command(), "--home", str(home.path), "--json", "up", *wanted.words()]
    if passphrase is not None:
        line += ["--passphrase-file", "-"]
    handle = os.open(complaints, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as errors:
        child = subprocess.Popen(  # noqa: S603  (our own program, no shell)
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd="/",
            env=own_environment(),
            start_new_session=True,
        )
    try:
        ready = _await_ready(child, passphrase, complaints, session.timeout or _READY_S)
    except _TooLate as error:
        late = _in_vain(session, error.seconds)  # asked first: a node that can stop takes its notes back
        _end(child)
        raise late from None
    except BaseException:
        _end(child)
        raise
    session.show(ready, lambda event: [event_line(event)])
    return 0


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Leaves no half-started node behind."""
    child.terminate()
    try:
        child.wait(_END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _await_ready(child: "subprocess.Popen[bytes]", passphrase: str | None, complaints: Path, seconds: float) -> Any:
    """The child's first line. *Raises* the child's own error, `cli.not-ready`, or _TooLate."""
    import json
    import select

    assert child.stdin
    assert child.stdout
    with child.stdout as answers:
        try:
            with child.stdin as questions:
                questions.write(b"" if passphrase is None else passphrase.encode("utf-8") + b"\n")
        except BrokenPipeError:
            pass  # it ended at once; why is read below
        if not select.select([answers], [], [], seconds)[0]:
            raise _TooLate(seconds)
        first = answers.readline()
    if first:
        return json.loads(first)
    raise _reported(child.wait(seconds), complaints)


class _TooLate(Exception):
    """A detached node was not ready in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _in_vain(session: Session, seconds: float) -> UnavailableError:
    """Why a node was waited for in vain, as far as it wrote that down: it may be in code that never lets go of it."""
    from nzcore.node.modules.beginnings import Beginnings, spoken

    message, longer = f"the node was not ready within {seconds:g} s", "give it longer with --timeout S"
    names = Beginnings(session.home.run).left()
    without = session.line("up -d --no-modules")
    if not names:
        hint = f"{longer}; {session.line('logs')} ends with what it waits for; {without} leaves its modules out"
        return UnavailableError("cli.timeout", message, hint=hint)
    disable = session.line(f"module disable {names[0]}")
    hint = f"{longer}; or start it without modules: {without}, and then: {disable}"
    return UnavailableError("cli.timeout", f"{message}: it got no further than {spoken(names)}", hint=hint)


class StartError(UnavailableError):
    """What a detached node said before it ended, with its exit code."""

    exit_code = 1


def _reported(code: int, complaints: Path) -> NzError:
    import json

    lines = complaints.read_bytes()[-_REPORT_BYTES:].decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        try:
            said = json.loads(line)["error"]
            error = StartError(said["code"], said["message"], hint=said["hint"])
        except (ValueError, TypeError, LookupError):
            continue
        error.exit_code = code if code > 0 else 1
        return error
    if not lines and shutil.disk_usage(complaints.parent).free < _REPORT_BYTES:
        return UnavailableError("cli.not-ready", "the disk is full: the node could not start, nor say why")
    return UnavailableError("cli.not-ready", f"the node ended with {code} before it was ready; see {complaints}")
