"""Files that a command line names, and the secrets in them.

A secret never comes from an argument or the environment: a file, standard input (`-`) or a hidden prompt.
"""

import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.cli.errors import CommandLineError
from nzcore.cli.session import Session
from nzcore.node.home import Home

Decorated = TypeVar("Decorated", bound="Callable[..., Any] | click.Command")

SECRET_BYTES = 4096  # a passphrase or 24 words; a file beyond this is not one
TEXT_BYTES = 1 << 16  # certificates, requests, signatures, exports: the largest has a few KiB
_ATTEMPTS = 3


class FileName(click.Path):
    """A file's name for an option: shells complete it, and an empty one, as of a variable that is not set, is refused
    instead of being taken for an option that was not given."""

    def __init__(self) -> None:
        super().__init__(allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


FILE = FileName()


def not_empty(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """One path or several, none of them empty: that would be the folder that we are in, for a variable that is not set.
    A callback of click."""
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.BadParameter("it is empty" if value == "" else "one of them is empty", ctx, param)
    return value


def passphrase_option(help_text: str) -> Callable[[Decorated], Decorated]:
    """`--passphrase-file F` for commands that open the vault."""
    return click.option("--passphrase-file", type=FILE, metavar="F", help=help_text)


def read_bytes(path: str, *, limit: int) -> bytes:
    """Contents of a file or, for `-`, of standard input. *Raises* UnavailableError `cli.unreadable`."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise UnavailableError("cli.unreadable", f"cannot read {spoken(path)}: {error.strerror}") from error
    if len(data) > limit:
        raise UnavailableError("cli.unreadable", f"{spoken(path)} has more than {limit} bytes")
    return data


def read_text(path: str, *, limit: int = TEXT_BYTES) -> str:
    """Text of a file, without surrounding blanks. *Raises* UnavailableError `cli.unreadable`."""
    return _decoded(read_bytes(path, limit=limit), path).strip()


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnavailableError("cli.unreadable", f"{spoken(path)} is not text") from error


def spoken(path: str) -> str:
    """A file as a sentence names it."""
    return "standard input" if path == "-" else path


def text_or_file(value: str, prefix: str) -> str:
    """The text itself where it begins as such texts do and no such file exists, else the file's."""
    if value != "-" and value.lower().startswith(prefix) and ":" in value and not Path(value[:255]).exists():
        return value
    return read_text(value, limit=TEXT_BYTES)


def write_new(path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Writes a file that must not exist yet. *Raises* UnavailableError `cli.file-exists`, `cli.unwritable`."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise UnavailableError("cli.file-exists", f"{path} is already there") from error
    except OSError as error:
        raise UnavailableError("cli.unwritable", f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        raise UnavailableError("cli.unwritable", f"cannot write {path}: {error.strerror}") from error


def require_empty(home: Home) -> None:
    """Refuses to make a node over another or among strange files. *Raises* UsageError `cli.home-exists`."""
    if home.exists():
        raise UsageError("cli.home-exists", f"there is a node already in {home.path}")
    if home.path.is_dir() and any(home.path.iterdir()):
        raise UsageError("cli.home-exists", f"{home.path} is not empty", hint="choose another folder with --home DIR")


@contextmanager
def whole_or_nothing(home: Path) -> Iterator[None]:
    """Makes a home inside, alone; when that fails, of whatever, the folder is again empty or absent, as it was.

    Alone, because whoever fails would clear away what another has just made, and has told of.

    *Raises* UnavailableError `cli.unwritable` for what the system refused; UsageError `cli.home-exists` where another
    has made a home since we looked, or makes one.
    """
    existed = home.exists()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UnavailableError("cli.unwritable", f"cannot make {home}: {error.strerror}") from error
    try:
        _take(home, folder)
        with _cleared_away(home, existed=existed):
            yield
    finally:
        os.close(folder)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Waits for whoever else is in here with the same folder; each stays a moment only, and leaves when it dies."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # where folders can't be locked
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _take(home: Path, folder: int) -> None:
    """Locks the open folder, which is the lock's only trace; where folders can't be locked, goes on without."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError("cli.home-exists", f"a node is just being made in {home}") from None
    except OSError:
        pass
    if not home.exists() or not os.path.samestat(os.fstat(folder), os.stat(home)):
        raise UsageError("cli.home-exists", f"{home} was just cleared away", hint="try again")
    if Home(home).exists():
        raise UsageError("cli.home-exists", f"there is a node already in {home}")


@contextmanager
def _cleared_away(home: Path, *, existed: bool) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        for path in home.iterdir() if home.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        if not existed and home.is_dir():
            home.rmdir()
        if isinstance(error, OSError):
            raise UnavailableError("cli.unwritable", f"cannot make {home}: {error.strerror}") from error
        raise


def read_secret(session: Session, path: str) -> str:
    """Text of a secret file, without surrounding blanks; says so when others can read it too.

    *Raises* UnavailableError `cli.unreadable`.
    """
    return _secret(session, path).strip()


def _secret(session: Session, path: str) -> str:
    """The same, as it is."""
    if path != "-":
        try:
            mode = Path(path).stat().st_mode
        except OSError as error:
            raise UnavailableError("cli.unreadable", f"cannot read {path}: {error.strerror}") from error
        if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
            session.warn("cli.exposed-file", f"other users of this machine can read {path}", f"chmod 600 {path}")
    return _decoded(read_bytes(path, limit=SECRET_BYTES), path)


def read_passphrase(session: Session, path: str) -> str:
    """First line of a passphrase file; of standard input the same however often it is asked for.

    Taken as it is, blanks and all, for so a person's is taken at a prompt: one and the same vault opens to both, and to
    `up -d`, which hands on by pipe what was typed. Only the line's end is not part of it, be it of Windows.

    *Raises* UsageError `cli.empty-passphrase`; as `read_secret` does.
    """
    if path == "-" and session.piped_passphrase is not None:
        return session.piped_passphrase
    first = _secret(session, path).partition("\n")[0].removesuffix("\r")
    if not first:
        raise UsageError("cli.empty-passphrase", f"there is no passphrase in {spoken(path)}")
    if path == "-":
        session.piped_passphrase = first
    return first


def is_interactive(session: Session) -> bool:
    """Whether a person sits there to be asked."""
    return not session.json and sys.stdin.isatty() and sys.stderr.isatty()


def unlock(session: Session, passphrase_file: str | None) -> str | None:
    """The passphrase of the session's home, None if it has a key file.

    *Raises* CommandLineError `cli.passphrase-needed` when there is neither a file nor a person to ask.
    """
    if not session.home.needs_passphrase():
        return None
    if passphrase_file:
        return read_passphrase(session, passphrase_file)
    if session.chosen_passphrase is not None:
        return session.chosen_passphrase
    if not is_interactive(session):
        raise CommandLineError("cli.passphrase-needed")
    return str(click.prompt("passphrase", hide_input=True, err=True))


def new_passphrase(session: Session, what: str = "passphrase") -> str:
    """Asks a person for a new passphrase, twice."""
    for _ in range(_ATTEMPTS):
        first = str(click.prompt(what, hide_input=True, err=True))
        if str(click.prompt(f"{what} again", hide_input=True, err=True)) == first:
            return first
        session.warn("cli.not-the-same", "these were not the same", "once more")
    raise UsageError("cli.not-the-same")
