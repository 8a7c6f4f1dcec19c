"""`nzcore schema`: JSON Schema of the operations, from the table itself; no node needed."""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import click

from nzcore.base.errors import NzError, UsageError
from nzcore.cli import output
from nzcore.cli.frame import command as declare
from nzcore.cli.names import operation_names
from nzcore.cli.session import Session


@declare("schema", example="nzcore schema node.state")
@click.argument("operation", required=False, shell_complete=operation_names)
@click.pass_obj
def command(session: Session, operation: str | None) -> None:
    """JSON Schema of what the node can be asked.

    Without a name, all operations are shown.
    """
    from nzcore.control.schema import describe_all
    from nzcore.control.table import OPERATIONS

    known: dict[str, dict[str, Any]] = describe_all()
    if operation not in OPERATIONS:
        known |= _of_modules(session)
    if operation is None:
        session.show(known, _table)
        return
    if operation not in known:
        near = get_close_matches(operation, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else ""
        raise UsageError("cli.unknown-operation", f"there is no operation {operation}", hint=hint)
    described = {"name": operation, **known[operation]}
    session.show(described, lambda found: [json.dumps(found, indent=2, ensure_ascii=False)])


def _of_modules(session: Session) -> dict[str, dict[str, Any]]:
    """What modules of the running node add; nothing where none runs: the table needs no node."""
    try:
        described: list[dict[str, str]] = session.call("module.operations")
    except NzError:
        return {}
    return {one["name"]: json.loads(one["described"]) for one in described}


def _table(operations: dict[str, dict[str, Any]]) -> Iterator[output.Block]:
    yield output.Table(
        ("operation", "risk", "scope", "what"),
        [(name, found["risk"], found["scope"], found["summary"]) for name, found in operations.items()],
    )
    yield ""
    yield "one of them: nzcore schema OPERATION; all of them: nzcore schema --json"
