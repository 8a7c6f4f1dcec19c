"""Questions to a person, asked on standard error: yes or no, or one line that may be seen.

Whoever leaves a question by Ctrl-C or Ctrl-D leaves its line too: what comes next begins on one of its own.
"""

import click

from nzcore.cli import output


def confirm(question: str, *, default: bool = False) -> bool:
    """Yes or no, asked until it is either; `default` for an empty line. *Raises* click.Abort."""
    choices = "Y/n" if default else "y/N"
    while True:
        answer = ask_line(f"{question} [{choices}]", default="").strip().lower()
        if not answer:
            return default
        if answer in ("y", "yes", "n", "no"):
            return answer[0] == "y"
        output.say("y for yes, n for no")


def agree(question: str, *, default: bool = False) -> None:
    """Returns where the person says yes. *Raises* click.Abort."""
    if not confirm(question, default=default):
        raise click.Abort


def ask_line(question: str, *, default: str | None = None) -> str:
    """One line; without a `default` until it is not empty. *Raises* click.Abort."""
    try:
        return str(click.prompt(question, default=default, show_default=bool(default), err=True))
    except click.Abort:
        output.say("")
        raise
