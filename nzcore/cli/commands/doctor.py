"""`nzcore doctor`: checks the folder, and the node itself if it runs."""

from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.errors import UnavailableError
from nzcore.cli import output
from nzcore.cli.errors import FAILED
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session


@declare("doctor", example="nzcore doctor")
@click.pass_obj
def command(session: Session) -> int:
    """Check the node and its folder.

    Exits with 1 if anything is wrong, and says what to try.
    """
    from nzcore.codec.types import builtins
    from nzcore.node.doctor import check_home

    found = builtins(check_home(session.home))
    assert isinstance(found, list)
    checks: list[dict[str, Any]] = [*found, *_ask_node(session)]
    session.show(checks, _human)
    return 0 if all(check["ok"] for check in checks) else FAILED


def _ask_node(session: Session) -> list[dict[str, Any]]:
    """What the node says of itself; that it does not run is a finding, not a fault of its folder."""
    if not session.home.exists():
        return []
    try:
        answer: list[dict[str, Any]] = session.call("node.doctor")
    except UnavailableError as error:
        running = error.code != "ipc.not-running"
        return [{"check": "node answers", "ok": not running, "detail": error.message, "hint": error.hint}]
    return [{"check": "node answers", "ok": True, "detail": "it runs and answers", "hint": ""}, *answer]


def _human(checks: list[dict[str, Any]]) -> Iterator[output.Block]:
    bad = [check for check in checks if not check["ok"]]
    yield output.Line(f"{len(bad)} of {len(checks)} checks failed", "red") if bad else output.Line("all well", "green")
    yield ""
    yield output.Table(
        ("check", "", "found", "try"),
        [(c["check"], "ok" if c["ok"] else "FAILED", c["detail"], c["hint"]) for c in checks],
    )
