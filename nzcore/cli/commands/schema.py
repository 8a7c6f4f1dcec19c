"""`nzcore schema`: JSON Schema of the operations, from the table itself; no node needed."""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import click

from nzcore.base.errors import UsageError
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
    from nzcore.control.schema import describe, describe_all
    from nzcore.control.table import OPERATIONS

    if operation is None:
        session.show(describe_all(), _table)
        return
    if operation not in OPERATIONS:
        near = get_close_matches(operation, OPERATIONS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else ""
        raise UsageError("cli.unknown-operation", f"there is no operation {operation}", hint=hint)
    described = {"name": operation, **describe(OPERATIONS[operation])}
    session.show(described, lambda found: [json.dumps(found, indent=2, ensure_ascii=False)])


def _table(operations: dict[str, dict[str, Any]]) -> Iterator[output.Block]:
    yield output.Table(
        ("operation", "risk", "scope", "what"),
        [(name, found["risk"], found["scope"], found["summary"]) for name, found in operations.items()],
    )
    yield ""
    yield "one of them: nzcore schema OPERATION; all of them: nzcore schema --json"
