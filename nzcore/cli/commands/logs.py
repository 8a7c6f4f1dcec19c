"""`nzcore logs`: the node's log, read from its folder whether the node runs or not."""

import json
import os
import time
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import click

from nzcore.base.errors import UnavailableError
from nzcore.cli import output
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session

_POLL_S = 0.2  # files can't be waited for in a portable way; nobody reads faster
_LINE_BYTES = 1 << 20  # a longer line is read in pieces


@declare("logs", example="nzcore logs --lines 5")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=50, metavar="N", show_default=True, help="Last lines to show."
)
@click.pass_obj
def command(session: Session, follow: bool, lines: int) -> None:
    """Show the node's log."""
    path = session.home.log
    if not path.exists():
        session.home.require()
        if not follow:
            raise UnavailableError("cli.no-log", f"there is no log in {path}")
    for line in _following(path, lines) if follow else _last(path, lines):
        _show(session, line)


def _show(session: Session, line: bytes) -> None:
    text = line.decode("utf-8", "replace").rstrip("\n")
    try:
        entry = json.loads(text)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):  # half a line after a crash is still worth seeing
        entry = {"event": text}
    session.show(entry, lambda shown: [_human(shown)])


def _human(entry: dict[str, Any]) -> output.Line:
    rest = {name: value for name, value in entry.items() if name not in ("at", "level", "event")}
    if list(rest) == ["value"]:
        rest = rest["value"]
    at, level = str(entry.get("at", ""))[:19].replace("T", " "), str(entry.get("level", ""))
    colour = {"warning": "yellow", "error": "red", "critical": "red"}.get(level, "")
    return output.Line(f"{at} {level:<7} {entry.get('event', '')}  {output.facts(rest)}".strip(), colour)


def _last(path: Path, count: int) -> list[bytes]:
    """The last `count` lines, read from the end."""
    try:
        with path.open("rb") as file:
            return _tail(file, count)
    except OSError as error:
        raise UnavailableError("cli.unreadable", f"cannot read {path}: {error.strerror}") from error


def _tail(file: BufferedReader, count: int) -> list[bytes]:
    """The last `count` lines of what the file holds now; leaves the position at its end."""
    end = position = file.seek(0, os.SEEK_END)
    held = b""
    while position and held.count(b"\n") <= count:
        position = max(0, position - (1 << 16))
        file.seek(position)
        held = file.read(end - position)
    file.seek(end)
    return held.splitlines(keepends=True)[-count:] if count else []


def _following(path: Path, count: int) -> Iterator[bytes]:
    """The last lines, then new ones for ever; a rotated or removed log is followed to its successor."""
    held = b""
    first = True
    while True:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            first = False
            time.sleep(_POLL_S)
            continue
        with file:
            if first:
                yield from _tail(file, count)
                first = False
            while True:
                piece = file.readline(_LINE_BYTES)
                held += piece
                if held.endswith(b"\n") or len(held) >= _LINE_BYTES:
                    yield held
                    held = b""
                elif not piece:
                    if _replaced(path, file):
                        break
                    time.sleep(_POLL_S)


def _replaced(path: Path, file: BufferedReader) -> bool:
    try:
        now = path.stat()
    except FileNotFoundError:
        return True
    here = os.fstat(file.fileno())
    return (now.st_ino, now.st_dev) != (here.st_ino, here.st_dev) or now.st_size < file.tell()
