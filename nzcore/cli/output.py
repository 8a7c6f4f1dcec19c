"""What a command says: results to standard output, all else to standard error.

A human reads lines and tables, a program one compact JSON value a line. Text from elsewhere can't steer the
terminal: what is not printable is replaced.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple, TextIO

from nzcore.base.errors import NzError, UnavailableError
from nzcore.cli.errors import OutputClosed

ID_LENGTH = 62  # characters: nzn1 or nzi1, 52 for 32 bytes, 6 of checksum
_BROKEN = 12  # characters of a word in a table's cell above which it is rather broken than in the table's way
_GAP = 3  # columns between two of a table's
_NARROWEST = 40  # columns; below, breaking between words makes things worse


class Line(NamedTuple):
    """A line in a colour (as click names it) where the terminal has colours."""

    text: str
    colour: str = ""


class Table(NamedTuple):
    """Rows under column heads; drawn with rules on a terminal, aligned with spaces elsewhere.

    A cell that is a Line has its colour where there are colours.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


Block = str | Line | Table


def clean(value: object) -> str:
    """Text of `value` with nothing in it that a terminal would obey."""
    text = "" if value is None else value.text if isinstance(value, Line) else str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def json_line(value: object) -> str:
    """One compact line; bytes become hex, infinity and what is no number null, anything else unknown its text.

    What no terminal should see is escaped as JSON can: C1 controls, which some obey, directions, what some readers take
    for the end of the line, and halves of characters.
    """
    try:
        line = _dumped(value)
    except ValueError:  # what is no number has no form in JSON
        line = _dumped(_with_numbers(value))
    return (line if line.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in line)) + "\n"


def write(text: str) -> None:
    """Writes and flushes. *Raises* OutputClosed when nobody reads, UnavailableError `cli.output` where it can't."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None
    except (OSError, ValueError) as error:  # ValueError: closed by whoever started us
        reason = getattr(error, "strerror", None) or "it is closed"
        raise UnavailableError("cli.output", f"cannot write to standard output: {reason}") from error


def drop() -> None:
    """Lets the interpreter's last flush of standard output go nowhere instead of failing, once nobody reads it."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def show(blocks: Iterable[Block]) -> None:
    """Writes blocks for a human."""
    for block in blocks:
        if isinstance(block, Table):
            _show_table(block)
        elif isinstance(block, Line):
            write(paint(fold(clean(block.text), sys.stdout), block.colour, sys.stdout) + "\n")
        else:
            write("".join(fold(clean(line), sys.stdout) + "\n" for line in block.split("\n")))


def fold(line: str, stream: TextIO) -> str:
    """A line that is too long for the terminal, broken between words; what follows stands under its last column."""
    if len(line) <= _NARROWEST or not stream.isatty():
        return line
    from shutil import get_terminal_size
    from textwrap import wrap

    width = get_terminal_size().columns - 1
    column = line.rfind("  ", 0, width // 2) + 2
    longest = max(map(len, line.split()))
    if len(line) <= width or width < _NARROWEST or column + longest > width:
        return line
    indent = " " * column if column > 1 else ""
    return "\n".join(wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def pairs(facts: Iterable[tuple[str, object]]) -> str:
    """`name  value` lines with the values aligned; pairs without a value are left out."""
    kept = [(name, clean(value)) for name, value in facts if value not in (None, "", [])]
    width = max((len(name) for name, _ in kept), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in kept)


def facts(value: object) -> str:
    """`name=value` of each fact that says something, in a line; ids by their beginnings, which commands take too."""
    if not isinstance(value, dict):
        return "" if value is None else _short(value)
    return " ".join(f"{name}={_short(one)}" for name, one in value.items() if one not in (None, "", [], {}))


def short_id(text: str) -> str:
    """As much of a node's or an identity's text as tells it apart."""
    return f"{text[:12]}…"


def _short(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_short, value))
    text = str(value)
    return short_id(text) if len(text) == ID_LENGTH and text.startswith(("nzn1", "nzi1")) else text


def paint(text: str, colour: str, stream: TextIO) -> str:
    """`text` in `colour` if `stream` is a terminal that may have colours (NO_COLOR, TERM=dumb say no)."""
    if not colour or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    import click

    return click.style(text, fg=colour, bold=True)


def say(text: str) -> None:
    """A remark on standard error."""
    _remark(fold(clean(text), sys.stderr))


def say_help(text: str) -> None:
    """A help page, on standard error because nobody asked for it."""
    _remark(text)


def warn(code: str, message: str, hint: str, *, as_json: bool) -> None:
    """Something to know that does not stop the command."""
    _complain("warning", "yellow", code, message, hint, as_json=as_json)


def fail(error: NzError, *, as_json: bool) -> None:
    """The one report of an error; as JSON with the names it offers to choose from, where it does."""
    candidates = error.facts.get("candidates")
    offered = {"candidates": candidates} if isinstance(candidates, list) else {}
    _complain("error", "red", error.code, error.message, error.hint, as_json=as_json, **offered)


def ago(seconds: float) -> str:
    """A length of time as people say it."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def when(at: float) -> str:
    """A time of the wall clock, in seconds since 1970, as local people say it."""
    from time import localtime, strftime

    return strftime("%Y-%m-%d %H:%M", localtime(at))


def milliseconds(value: float | None) -> str:
    """A round trip; empty while it is unknown."""
    return "" if value is None else f"{value:.0f} ms" if value >= 100 else f"{value:.2f} ms"


def where(addresses: Sequence[str]) -> str:
    """The first of several addresses and how many more there are, short enough for a table."""
    if not addresses:
        return ""
    more = f" +{len(addresses) - 1}" if len(addresses) > 1 else ""
    return addresses[0].removeprefix("tcp://") + more


def listed(values: Sequence[str], most: int) -> str:
    """The first few of `values`, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


def _complain(kind: str, colour: str, code: str, message: str, hint: str, *, as_json: bool, **more: object) -> None:
    if as_json:
        _remark(json_line({kind: {"code": code, "message": message, "hint": hint, **more}}).rstrip("\n"))
        return
    _remark(fold(f"{kind}: {clean(message)}", sys.stderr).replace(f"{kind}:", paint(f"{kind}:", colour, sys.stderr), 1))
    if hint:
        _remark(fold(f"try: {clean(hint)}", sys.stderr))


def _remark(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # there is nowhere left to say that nothing can be said
        return


def _show_table(table: Table) -> None:
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from shutil import get_terminal_size

        if _least_width(table) > get_terminal_size().columns:
            _show_records(table)
            return
        from rich.console import Console

        console = Console(file=sys.stdout, highlight=False)
        with console.capture() as capture:
            console.print(rich_table(table.columns, table.rows))
        write(capture.get())
        return
    rows = [[clean(cell) for cell in row] for row in table.rows]
    lines = [[column.upper() for column in table.columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    for line in lines:
        write("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")


def _least_width(table: Table) -> int:
    """Columns of a terminal below which a drawn table would be unreadable, or lack what does not fit at all."""
    columns = list(zip(table.columns, *([clean(cell) for cell in row] for row in table.rows), strict=True))
    first = max(map(len, columns[0]))  # is never broken
    rest = (max((len(word) for cell in column for word in cell.split()), default=0) for column in columns[1:])
    return first + sum(_GAP + min(longest, _BROKEN) for longest in rest)


def _show_records(table: Table) -> None:
    """Each row as lines of names and values, for a terminal that is too narrow for columns."""
    for index, row in enumerate(table.rows):
        lines = pairs(zip(table.columns, row, strict=True)).split("\n")
        write("\n" * (index > 0) + "".join(fold(line, sys.stdout) + "\n" for line in lines))


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> object:
    """The table as rich draws it; the first column is never broken, and nothing is ever cut."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        drawn.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        colours = [f"bold {cell.colour}" if isinstance(cell, Line) and cell.colour else "" for cell in row]
        drawn.add_row(*(Text(clean(cell), style=colour) for cell, colour in zip(row, colours, strict=True)))
    return drawn


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_jsonable, allow_nan=False)


def _with_numbers(value: object) -> object:
    if isinstance(value, dict):
        return {name: _with_numbers(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_numbers(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _escaped(character: str) -> str:
    """Only within strings, because all else that JSON consists of is printable."""
    return json.dumps(character)[1:-1]


def _jsonable(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
