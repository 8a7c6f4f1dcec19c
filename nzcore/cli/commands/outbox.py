"""`nzcore outbox …`: deliveries that wait until their receivers have kept them."""

from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.units import size
from nzcore.cli import output
from nzcore.cli.frame import Group
from nzcore.cli.names import delivery_ids, peer_argument
from nzcore.cli.session import Session


@click.group("outbox", cls=Group)
def command() -> None:
    """Deliveries that peers have not yet kept: list, retry, drop."""


@command.command("list", example="nzcore outbox list")
@peer_argument(required=False)
@click.pass_obj
def list_outbox(session: Session, peer: str | None) -> None:
    """List what waits, the oldest first, and why a peer did not take it."""
    session.show(list(session.stream("outbox.list", {"peer": peer})), _table)


@command.command("retry", example="nzcore outbox retry")
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=delivery_ids)
@click.pass_obj
def retry(session: Session, ids: tuple[str, ...]) -> None:
    """Send waiting deliveries again now: all, or those that are named."""
    done = session.call("outbox.retry", {"ids": list(ids) or None})
    session.show(done, lambda one: [f"{one['deliveries']} sent again as soon as the peer can be reached"])


@command.command("drop", example="nzcore outbox drop 0a1b2c3d-1 || nzcore outbox list")
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=delivery_ids)
@click.pass_obj
def drop(session: Session, ids: tuple[str, ...]) -> None:
    """Give deliveries up. One that is on its way may still arrive."""
    session.show(session.call("outbox.drop", {"ids": list(ids)}), lambda one: [f"{one['deliveries']} dropped"])


def _table(waiting: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not waiting:
        yield "nothing waits"
        return
    yield output.Table(
        ("id", "peer", "topic", "size", "refused"),
        [
            (
                one["id"],
                one["name"] or output.short_id(one["node"]),
                one["topic"],
                size(one["bytes"]),
                one["refused"],
            )
            for one in waiting
        ],
    )
