"""`nzcore completion`: the script that teaches a shell our commands and live names."""

import click

from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session


@declare("completion", example="nzcore completion zsh")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    For bash, put `source <(nzcore completion bash)` into ~/.bashrc; for zsh, `source <(nzcore completion zsh)` into
    ~/.zshrc, behind compinit; for fish: `nzcore completion fish > ~/.config/fish/completions/nzcore.fish`.
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script
    source = script(ctx.find_root().command, {}, "nzcore", "_NZCORE_COMPLETE").source()
    ctx.ensure_object(Session).show({"shell": shell, "script": source}, lambda made: [made["script"]])
