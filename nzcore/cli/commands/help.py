"""`nzcore help`: the help page of a command, for whoever types it that way."""

import click

from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session


@declare("help", example="nzcore help peer add")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show how a command is used.

    The same as --help behind the command; without one, all commands are listed.
    """
    root = ctx.find_root().command
    root.main([*words, "--help"], prog_name="nzcore", standalone_mode=False, obj=ctx.ensure_object(Session))
