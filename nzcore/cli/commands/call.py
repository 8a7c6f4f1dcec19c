"""`nzcore call`: an operation of a module, or of the node, at a peer."""

import json
from typing import Any

import click

from nzcore.cli import output
from nzcore.cli.frame import command as declare
from nzcore.cli.names import operation_names, peer_argument, peer_names
from nzcore.cli.session import Session


@declare("call", example="nzcore call bob node.state || nzcore explain control.refused")
@peer_argument(peer_names)
@click.argument("operation", shell_complete=operation_names)
@click.argument("body", required=False, metavar="[JSON]")
@click.option("--key", metavar="KEY", help="Carried out once, however often it is called with this key.")
@click.pass_obj
def command(session: Session, peer: str, operation: str, body: str | None, key: str | None) -> None:
    """Call an operation at a peer and show the answer.

    A peer answers operations that its modules open to others and, for whom it grants admin, those of its node (see
    `nzcore schema`) that are not for its owner alone. Waits 20 s, or as --timeout says.
    """
    wait_s = session.timeout or 20.0
    args = {"peer": peer, "operation": operation, "body": _read(body), "deadline_s": min(wait_s, 3600.0), "key": key}
    answer = session.call("fabric.call", args, wait_s=wait_s + 5)
    if session.json:
        session.show(answer, lambda _: [])
    else:
        shown = json.dumps(answer["body"], indent=2, ensure_ascii=False, default=_text)
        output.write("".join(f"{output.clean(line)}\n" for line in shown.split("\n")))


def _read(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise click.BadParameter("it is not JSON", param_hint="JSON") from None


def _text(value: object) -> str:
    """Bytes, which JSON has not."""
    return value.hex() if isinstance(value, bytes) else str(value)
