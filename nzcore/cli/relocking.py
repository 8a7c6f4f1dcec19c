"""What `nzcore identity passphrase` asks before the keys are sealed anew, and what it tells once they are.

Refuses what can't be meant before anybody is asked anything; what opens a vault and what crashes leave is not decided
here.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from nzcore.base.errors import UsageError
from nzcore.cli import output
from nzcore.cli.errors import CommandLineError
from nzcore.cli.files import is_interactive, new_passphrase, read_passphrase, unlock
from nzcore.cli.session import Session
from nzcore.cli.unit import unit_fault


class Relocking(NamedTuple):
    """What the command line said."""

    passphrase_file: str | None
    new_passphrase_file: str | None
    no_passphrase: bool


def ask_relocking(session: Session, said: Relocking) -> dict[str, Any]:
    """The arguments of `identity.passphrase`, from files and from a person. The session keeps the present passphrase,
    which also opens the home where no node runs.

    *Raises* CommandLineError `cli.no-protection`, `cli.passphrase-needed`; UsageError `store.same-lock`,
    `cli.empty-passphrase`, `store.wrong-passphrase` before a person is asked for a new one; UnavailableError
    `node.no-home`, `cli.unreadable`, `store.*`.
    """
    session.home.require()
    _check(session, said)
    session.chosen_passphrase = current = unlock(session, said.passphrase_file)
    new = None
    if said.new_passphrase_file:
        new = read_passphrase(session, said.new_passphrase_file)
    elif not said.no_passphrase:
        if current is not None:
            _try(session, current)
        new = new_passphrase(session, "new passphrase")
    return {"current": current, "new": new}


def relocked(done: dict[str, Any]) -> Iterator[output.Block]:
    """The sentence for a person."""
    if done["lock"] == "passphrase":
        yield "the keys are sealed under the new passphrase"
    else:
        yield "the keys are sealed under vault.key in the home: whoever reads the home has them"


def warn_of_unit(session: Session, said: Relocking, new: str | None) -> None:
    """Says what to do where the unit that starts the node at login would hand it what opens nothing any more."""
    file = said.new_passphrase_file
    new_file = os.path.abspath(file) if file and file != "-" else None
    if fault := unit_fault(session, lambda passphrase: passphrase == new, new_file=new_file):
        session.warn("cli.stale-unit", fault.message, fault.hint)


def _try(session: Session, passphrase: str) -> None:
    """Opens the vault, which takes 0.3 s, so that nobody thinks up and types a new passphrase in vain. Whoever changes
    the vault tries it again."""
    from nzcore.store.vault import Vault

    Vault.open(session.home.vault, passphrase=passphrase).wipe()


def _check(session: Session, said: Relocking) -> None:
    if said.no_passphrase and said.new_passphrase_file:
        raise click.UsageError("--no-passphrase and --new-passphrase-file exclude each other")
    if [said.passphrase_file, said.new_passphrase_file].count("-") > 1:
        raise click.UsageError("only one of the two files can be standard input")
    if not session.home.needs_passphrase():
        if said.passphrase_file:
            raise click.UsageError("a key file opens this home; the passphrase to be goes into --new-passphrase-file")
        if said.no_passphrase:
            raise UsageError("store.same-lock")
    if not (said.no_passphrase or said.new_passphrase_file or is_interactive(session)):
        hint = "--new-passphrase-file F, or --no-passphrase for a key file"
        raise CommandLineError("cli.no-protection", hint=hint)
