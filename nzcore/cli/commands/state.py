"""`nzcore state`: whether the node is well, once or as it changes."""

import sys
from collections.abc import Iterator
from typing import Any

import click

from nzcore.cli import output
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session


@declare("state", example="nzcore state")
@click.option("--watch", is_flag=True, help="Go on and show every change.")
@click.pass_obj
def command(session: Session, watch: bool) -> None:
    """Show whether the node is well.

    The first line says so, or what is wrong.
    """
    if not watch:
        session.show(session.call("node.state"), human)
        return
    redraw = not session.json and sys.stdout.isatty()
    for state in session.stream("node.watch"):
        if redraw:
            output.write("\x1b[2J\x1b[H")
        session.show(state, human)


def human(state: dict[str, Any]) -> Iterator[output.Block]:
    """The state as a person reads it."""
    problems = state.get("problems") or []
    if problems:
        yield output.Line(f"not well: {'; '.join(str(problem) for problem in problems)}", "red")
    else:
        yield output.Line("healthy", "green")
    yield output.pairs(
        [
            ("node", f"{state['name']}  {state['node']}"),
            ("identity", state["identity"]),
            ("version", f"{state['version']}, up {output.ago(state['uptime_s'])}"),
            ("listening", ", ".join(state["listen"])),
            ("peers", f"{state['peers']} known, {state['channels']} connected"),
        ]
    )
    yield ""
    yield output.Table(
        ("service", "state", "since", "restarts"),
        [(s["name"], s["state"], output.ago(s["since_s"]), s["restarts"]) for s in state["services"]],
    )
