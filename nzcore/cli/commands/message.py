"""`nzcore message …`: short texts from and to peers."""

from collections.abc import Iterable, Iterator
from typing import Any

import click

from nzcore.cli import output
from nzcore.cli.frame import Group
from nzcore.cli.names import peer_argument
from nzcore.cli.session import Session


@click.group("message", cls=Group)
def command() -> None:
    """Short texts: send one, list those that came."""


@command.command("send", example='nzcore message send bob "are you there?"')
@peer_argument()
@click.argument("text")
@click.pass_obj
def send(session: Session, peer: str, text: str) -> None:
    """Send a text to a peer; done when the peer has stored it."""
    wait_s = session.timeout or 20.0
    sent = session.call("message.send", {"peer": peer, "text": text, "timeout_s": wait_s}, wait_s=wait_s + 5)
    session.show(sent, lambda result: [f"{result['name']} has it ({result['seconds'] * 1000:.0f} ms)"])


@command.command("list", example="nzcore message list --last 20")
@peer_argument(required=False)
@click.option("--last", type=click.IntRange(min=1, max=1_000_000), metavar="N", help="Only the newest N.")
@click.option("--follow", is_flag=True, help="Go on and show those that arrive.")
@click.pass_obj
def list_messages(session: Session, peer: str | None, last: int | None, follow: bool) -> None:
    """List received messages, the newest last.

    With --json and --follow, one message a line.
    """
    arriving = session.stream("message.list", {"peer": peer, "last": last, "follow": follow})
    if follow:
        for message in arriving:
            session.show(message, lambda one: _lines([one]))
        return
    session.show(list(arriving), _human)


def _human(messages: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not messages:
        yield "no message has come yet"
    yield from _lines(messages)


def _lines(messages: Iterable[dict[str, Any]]) -> Iterator[output.Block]:
    for one in messages:
        yield f"{output.when(one['at'])}  {one['from']}:  " + "\n      ".join(one["text"].split("\n"))
