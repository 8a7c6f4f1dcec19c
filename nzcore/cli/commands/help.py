"""`nzcore help`: the help page of a command, for whoever types it that way."""

import click

from nzcore.cli.errors import CommandLineError
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session


@declare("help", example="nzcore help peer add")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show how a command is used.

    The same as --help behind the command; without one, all commands are listed.
    """
    session = ctx.ensure_object(Session)
    if session.json:  # a program that reads lines of JSON would choke on a page of text
        hint = "`nzcore schema --json` describes what the node can be asked; without --json, the page is shown"
        raise CommandLineError("cli.usage", "help pages are text for people, not JSON", hint=hint)
    root = ctx.find_root().command
    root.main([*words, "--help"], prog_name="nzcore", standalone_mode=False, obj=session)
