"""`nzcore init`: makes a node, or makes a known one again from its mnemonic.

Asks a person, or takes everything from options where nobody can be asked. The words are shown once and asked back
before anything is written; what fails half-way leaves nothing behind.
"""

import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nzcore.base.errors import UsageError
from nzcore.base.limits import NAME_BYTES
from nzcore.cli import output
from nzcore.cli.asking import ask_line
from nzcore.cli.errors import CommandLineError
from nzcore.cli.files import (
    FILE,
    is_interactive,
    new_passphrase,
    passphrase_option,
    read_passphrase,
    read_secret,
    require_empty,
    whole_or_nothing,
    write_new,
)
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nzcore.proto.identity.mnemonic import Mnemonic

_ASKED_BACK = 2  # words that a person types back
_ROUNDS = 3  # times that the words are shown before init gives up


@declare("init", example="nzcore init --name home --no-passphrase --mnemonic-out words.txt")
@click.option("--name", metavar="N", help="What this node suggests to be called; default: this machine's name.")
@click.option("--no-passphrase", is_flag=True, help="Keep the keys under a key file that only you can read.")
@passphrase_option("File whose first line is the passphrase that seals the keys (- for standard input).")
@click.option("--recover", is_flag=True, help="Make a known node again from its mnemonic.")
@click.option(
    "--mnemonic-file", type=FILE, metavar="F", help="With --recover: file with the 24 words (- for standard input)."
)
@click.option(
    "--index", type=click.IntRange(0, 2**32 - 1), default=0, metavar="N", help="Which node of the identity; default 0."
)
@click.option("--mnemonic-out", type=FILE, metavar="F", help="Write the 24 words to a new file, readable by you only.")
@click.pass_obj
def command(session: Session, /, **options: Any) -> None:
    """Make a node: its identity, keys and folder.

    Its 24 words are shown once: they are the identity, and the only way to get it back. Without a terminal, say
    --passphrase-file or --no-passphrase.
    """
    _check(session, options)
    interactive = is_interactive(session)
    name = _name(options["name"], ask=interactive)
    with _mnemonic(session, options) as mnemonic:
        passphrase = _passphrase(session, options, ask=interactive)
        show_on_terminal = interactive and not options["recover"] and not options["mnemonic_out"]
        if show_on_terminal:
            _show_and_ask_back(mnemonic)
        result = _create(session, name, mnemonic, options, passphrase)
        session.chosen_passphrase = passphrase
        if not (options["recover"] or options["mnemonic_out"] or show_on_terminal):
            result["mnemonic"] = mnemonic.reveal()
        session.show(result, lambda made: [*_human(made), "", f"next: {session.line('up -d')}"])


def _check(session: Session, options: dict[str, Any]) -> None:
    """Refuses what can't be meant, before anybody is asked anything."""
    if options["no_passphrase"] and options["passphrase_file"]:
        raise click.UsageError("--no-passphrase and --passphrase-file exclude each other")
    if options["mnemonic_file"] and not options["recover"]:
        raise click.UsageError("--mnemonic-file needs --recover")
    if options["recover"] and options["mnemonic_out"]:
        raise click.UsageError("--recover and --mnemonic-out exclude each other: you have the words")
    if [options["passphrase_file"], options["mnemonic_file"]].count("-") > 1:
        raise click.UsageError("only one of the two files can be standard input")
    require_empty(session.home)
    if not is_interactive(session):
        if not (options["no_passphrase"] or options["passphrase_file"]):
            raise CommandLineError("cli.no-protection")
        if options["recover"] and not options["mnemonic_file"]:
            raise CommandLineError("cli.no-mnemonic")
    if options["mnemonic_out"] and Path(options["mnemonic_out"]).exists():
        raise UsageError("cli.file-exists", f"{options['mnemonic_out']} is already there")


def _name(given: str | None, *, ask: bool) -> str:
    """The node's name: given, asked for, or this machine's."""
    if given is None and ask:
        given = ask_line("name of this node", default=_default_name())
    name = _default_name() if given is None else given.strip()
    if not name or len(name.encode("utf-8")) > NAME_BYTES or not name.isprintable():
        raise click.UsageError(f"a name has 1 to {NAME_BYTES} bytes, all printable")
    return name


def _default_name() -> str:
    host = re.sub(r"[^A-Za-z0-9-]", "", os.uname().nodename.partition(".")[0])
    return host[:NAME_BYTES] or os.environ.get("USER", "")[:NAME_BYTES] or "node"


@contextmanager
def _mnemonic(session: Session, options: dict[str, Any]) -> "Iterator[Mnemonic]":
    """The words, new or known; forgotten afterwards."""
    from nzcore.proto.identity.mnemonic import Mnemonic

    if not options["recover"]:
        with Mnemonic.generate() as mnemonic:
            yield mnemonic
        return
    if options["mnemonic_file"]:
        text = read_secret(session, options["mnemonic_file"])
    else:
        text = str(click.prompt("the 24 words", hide_input=True, err=True))
    with Mnemonic.parse(text) as mnemonic:
        yield mnemonic


def _passphrase(session: Session, options: dict[str, Any], *, ask: bool) -> str | None:
    if options["no_passphrase"]:
        return None
    if options["passphrase_file"]:
        return read_passphrase(session, options["passphrase_file"])
    assert ask  # _check has refused the rest
    return new_passphrase(session, "passphrase that seals the keys")


def _show_and_ask_back(mnemonic: "Mnemonic") -> None:
    """Shows the words on a screen of their own, which vanishes with them, and asks two of them back."""
    from random import SystemRandom

    words = mnemonic.words
    for rest in reversed(range(_ROUNDS)):
        with _own_screen():
            output.say("These 24 words are your identity. Write them down; nobody can tell you them again.")
            output.say("")
            rows = len(words) // 3
            for row in range(rows):
                line = "".join(f"{row + 1 + col * rows:>4}. {words[row + col * rows]:<12}" for col in range(3))
                click.echo(line, err=True)
            _wait_for_enter("\nEnter, when they are written down")
        places = sorted(SystemRandom().sample(range(len(words)), _ASKED_BACK))
        answers = [str(click.prompt(f"word {place + 1}", hide_input=True, err=True)) for place in places]
        if [answer.strip().lower() for answer in answers] == [words[place] for place in places]:
            return
        if not rest:
            break
        output.say("not these words; here they are again")
        _wait_for_enter("Enter, to see them")
    raise UsageError("cli.words-not-confirmed")


def _wait_for_enter(text: str) -> None:
    click.prompt(text, default="", show_default=False, prompt_suffix=" ", hide_input=True, err=True)


@contextmanager
def _own_screen() -> "Iterator[None]":
    """The terminal's alternate screen, cleared: what is shown there is not kept in its history."""
    if os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    sys.stderr.write("\x1b[?1049h\x1b[2J\x1b[H")
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write("\x1b[2J\x1b[?1049l")
        sys.stderr.flush()


def _create(
    session: Session, name: str, mnemonic: "Mnemonic", options: dict[str, Any], passphrase: str | None
) -> dict[str, Any]:
    """Writes words and home; takes back what it wrote when anything fails."""
    from nzcore.node.setup import create_home

    home, words_file = session.home.path, options["mnemonic_out"]
    if words_file:
        write_new(words_file, mnemonic.reveal().encode("ascii") + b"\n", mode=0o600)
    try:
        with whole_or_nothing(home):
            created = create_home(home, name=name, mnemonic=mnemonic, index=options["index"], passphrase=passphrase)
    except BaseException:
        if words_file:
            Path(words_file).unlink(missing_ok=True)
        raise
    return {"node": created.node.text, "identity": created.identity.text, "name": created.name, "home": str(home)}


def _human(result: dict[str, Any]) -> list[output.Block]:
    facts = [(key, result.get(key)) for key in ("name", "node", "identity", "home", "mnemonic")]
    return [output.pairs(facts)]
