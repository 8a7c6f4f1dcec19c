"""`nzcore state`: whether the node is well, once or as it changes."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from nzcore.cli import output
from nzcore.cli.frame import command as declare
from nzcore.cli.peers import peer_table
from nzcore.cli.session import Session

_FIRST_LINE = 100  # characters of problems in it; longer ones have a line each, and the first says how many
_PROBLEMS = 12  # shown with the state; the rest are of the same kind, or `nzcore doctor` and --json tell
_PEERS = 12  # shown with the state; `nzcore peer list` shows all


@declare("state", example="nzcore state")
@click.option("--watch", is_flag=True, help="Go on and show every change.")
@click.pass_obj
def command(session: Session, watch: bool) -> None:
    """Show whether the node is well.

    The first line says so, or what is wrong; where that is much, how much, and then a line for each.
    """
    if not watch:
        _show(session, session.call("node.state"))
        return
    redraw = not session.json and sys.stdout.isatty()
    for state in session.stream("node.watch"):
        if redraw:
            output.write("\x1b[2J\x1b[H")
        _show(session, state)


def _show(session: Session, state: dict[str, Any]) -> None:
    """The state and, for a person, who the peers are."""
    peers = session.call("peer.list") if state["peers"] and not session.json else []
    session.show(state, lambda told: human(told, peers))


def human(state: dict[str, Any], peers: Sequence[dict[str, Any]] = ()) -> Iterator[output.Block]:
    """The state as a person reads it."""
    yield from _health([str(problem) for problem in state.get("problems") or []])
    first, *others = state["listen"] or ["nowhere"]
    yield output.pairs(
        [
            ("name", state["name"]),
            ("node", state["node"]),
            ("identity", state["identity"]),
            ("version", f"{state['version']}, up {output.ago(state['uptime_s'])}"),
            ("listening", first),
            *(("", address) for address in others),
            ("peers", f"{state['peers']} known, {state['channels']} connected"),
        ]
    )
    yield ""
    yield output.Table(
        ("service", "state", "since", "restarts"),
        [(s["name"], s["state"], output.ago(s["since_s"]), s["restarts"]) for s in state["services"]],
    )
    if peers:
        connected_first = sorted(peers, key=lambda peer: not peer["connected"])
        yield ""
        yield peer_table(connected_first[:_PEERS])
        if len(peers) > _PEERS:
            yield f"and {len(peers) - _PEERS} more: nzcore peer list"


def _health(problems: Sequence[str]) -> Iterator[output.Block]:
    if not problems:
        yield output.Line("healthy", "green")
        return
    together = "; ".join(problems)
    if len(problems) == 1 or len(together) <= _FIRST_LINE:
        yield output.Line(f"not well: {together}", "red")
        return
    yield output.Line(f"not well: {len(problems)} problems", "red")
    yield from (f"  {problem}" for problem in problems[:_PROBLEMS])
    if len(problems) > _PROBLEMS:
        yield f"  and {len(problems) - _PROBLEMS} more: nzcore doctor"
