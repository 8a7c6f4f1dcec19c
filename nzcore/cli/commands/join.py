"""`nzcore join`: becomes a peer by ticket, card or picture of either; or by three words that two people compare."""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from nzcore.base.errors import NzError
from nzcore.cli import output, qr
from nzcore.cli.arriving import need_node
from nzcore.cli.asking import ask_line, confirm
from nzcore.cli.commands.invite import address_of, scopes_without_sync
from nzcore.cli.errors import CommandLineError
from nzcore.cli.files import FILE, is_interactive, read_text
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session

_JOIN_S = 30.0  # how long the other node may take, unless --timeout says otherwise
_MARGIN_S = 10.0  # for the node's own word that it gave up
_WINDOW_S = 120.0
_TEXTS = ("nz:", "nzc:")
_NAME_LENGTH = 63  # what is longer is the name of no node: a ticket without its beginning


@declare("join", example="nzcore --home bob invite --no-wait | nzcore join")
@click.argument("what", metavar="[TICKET|CARD|FILE|NAME|-]", required=False)
@click.option("--image", type=FILE, metavar="F", help="Read the ticket or card from a picture of its QR code.")
@click.option("--name", metavar="N", help="What to call the other node here; without it, as it calls itself.")
@click.option("--no-sync", is_flag=True, help="Don't let them see whom you trust with what.")
@click.option("--window", is_flag=True, help="Open the pairing window and wait for the other side to dial.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    callback=lambda ctx, param, value: [address_of(ctx, param, text) for text in value],
    help="With NAME: dial there instead of looking on the local network; may be repeated.",
)
@click.pass_obj
def command(session: Session, /, **options: Any) -> None:
    """Join another node: by ticket, card, picture or phrase.

    Without an argument, the ticket is asked for, or read from standard input, so that it stays out of the list of
    processes. With NAME, both sides type `nzcore join` and the other's name, and compare three words; with --json, each
    step is a line, and `yes` on standard input confirms the words.
    """
    _check(options)
    need_node(session)
    text = _text(session, options)
    if text.lower().startswith(_TEXTS):
        _join(session, text, options)
    else:
        _pair(session, text, options)


def _check(options: dict[str, Any]) -> None:
    """Refuses what can't be meant, before anybody is asked anything."""
    what, image = options["what"], options["image"]
    if sum((what is not None, image is not None, options["window"])) > 1:
        raise click.UsageError("one of TICKET, --image and --window, not several")
    if options["addresses"] and (what is None or what == "-"):
        raise click.UsageError("--address needs the NAME that the other side shows")


def _text(session: Session, options: dict[str, Any]) -> str:
    """A ticket, a card, the name of a window, or nothing for a window of our own."""
    what, image = options["what"], options["image"]
    if options["window"]:
        return ""
    if image is not None:
        return qr.read(image)
    if what is None and is_interactive(session):
        text = ask_line("ticket, card or name")
    else:
        text = read_text("-") if what in (None, "-") else _named(str(what))
    text = "".join(text.split())
    if not text:
        raise CommandLineError("cli.nothing-to-join")
    if len(text) > _NAME_LENGTH and not text.lower().startswith(_TEXTS):
        message = "this is neither a ticket nor a card: those begin with nz: or nzc:"
        raise CommandLineError(
            "cli.nothing-to-join", message, hint="copy it again, from its prefix to its last character"
        )
    return text


def _named(what: str) -> str:
    """What stands in the line, or in the file of that name: no node's name has a path's separator.

    *Raises* CommandLineError `cli.nothing-to-join`; UnavailableError `cli.unreadable`.
    """
    if what.lower().startswith(_TEXTS) or not (os.sep in what or Path(what[:255]).is_file()):
        return what
    text = read_text(what)
    if not text.lower().startswith(_TEXTS):
        raise CommandLineError("cli.nothing-to-join", f"there is neither a ticket nor a card in {what}")
    return text


def _join(session: Session, text: str, options: dict[str, Any]) -> None:
    patience = min(session.timeout or _JOIN_S, 600.0)
    joined = session.call(
        "pair.join",
        {"text": text, "name": options["name"], "scopes": _scopes(options), "timeout_s": patience},
        wait_s=patience + _MARGIN_S,
    )
    session.show(joined, _joined)


def _pair(session: Session, name: str, options: dict[str, Any]) -> None:
    """Three steps; the answer to the second is a call of its own, while the stream goes on."""
    asked = {
        "name": name,
        "addresses": options["addresses"],
        "window_s": min(session.timeout or _WINDOW_S, 600.0),
        "petname": options["name"],
        "scopes": _scopes(options),
    }
    for step in session.stream("pair.phrase", asked):
        if step["event"] == "paired":
            session.show(step, _joined)
        else:
            session.show(step, partial(_opened, asked) if step["event"] == "window" else _words)
        if step["event"] == "words":
            _confirm(session)


def _confirm(session: Session) -> None:
    """Asks the person, or reads `yes` from standard input."""
    if is_interactive(session):
        accept = confirm("do both sides show these three words?")
    else:
        accept = sys.stdin.readline().strip().lower() == "yes"
    try:
        session.call("pair.confirm", {"accept": accept})
    except NzError as error:
        if not error.code.startswith("pair."):
            raise  # else the window has closed meanwhile: the stream says why


def _scopes(options: dict[str, Any]) -> list[str] | None:
    return scopes_without_sync() if options["no_sync"] else None


def _opened(asked: dict[str, Any], step: dict[str, Any]) -> Iterator[output.Block]:
    if asked["addresses"]:
        yield f"dialling {asked['name']} …"
        return
    yield f"the pairing window is open as {step['instance']}"
    if asked["name"]:
        yield f"looking for {asked['name']} on the local network …"
    where = " ".join(f"--address {one.removeprefix('tcp://')}" for one in step["addresses"][:2])
    yield f"the other side: nzcore join {step['instance']} {where}".rstrip()


def _words(step: dict[str, Any]) -> Iterator[output.Block]:
    yield f"{step['name']} is there  {step['node']}"
    yield ""
    yield output.Line("    " + "  ".join(step["words"]), "cyan")
    yield ""


def _joined(made: dict[str, Any]) -> Iterator[output.Block]:
    yield output.Line(f"{made['name']} is a peer now", "green")
    yield made["node"]
    if made.get("how") == "card" and not made["connected"]:
        yield "it connects once the other side has added this node's card: nzcore identity card"
