"""`nzcore channel …`: the encrypted connections that are open now."""

from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.units import size
from nzcore.cli import output
from nzcore.cli.frame import Group
from nzcore.cli.names import channel_names, peer_argument
from nzcore.cli.session import Session

_peer = peer_argument(channel_names)


@click.group("channel", cls=Group)
def command() -> None:
    """Open channels: list, renew keys, close."""


@command.command("list", example="nzcore channel list")
@click.pass_obj
def list_channels(session: Session) -> None:
    """List all open channels."""
    session.show(session.call("channel.list"), _table)


@command.command("rekey", example="nzcore channel rekey bob")
@_peer
@click.pass_obj
def rekey(session: Session, peer: str) -> None:
    """Renew the keys of a channel now.

    Nothing on it is interrupted. It happens by itself too, after some time, some bytes and some records: see
    `nzcore config list`.
    """
    session.show(session.call("channel.rekey", {"peer": peer}), _asked)


@command.command("close", example="nzcore channel close bob")
@_peer
@click.pass_obj
def close(session: Session, peer: str) -> None:
    """Close a channel; it is opened again when it can be.

    To dial the peer no more, use `nzcore peer disconnect`; to end all trust in it, `nzcore peer remove`.
    """
    session.show(
        session.call("channel.close", {"peer": peer}), lambda ended: [f"closed the channel to {ended['name']}"]
    )


def _table(channels: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not channels:
        yield "no channel is open"
        return
    yield output.Table(
        ("peer", "way", "address", "age", "streams", "rekeys", "in", "out"),
        [
            (
                c["peer"],
                c["direction"],
                output.where([c["address"]]),
                output.ago(c["age_s"]),
                c["streams"],
                c["rekeys"],
                size(c["bytes_in"]),
                size(c["bytes_out"]),
            )
            for c in channels
        ],
    )


def _asked(channel: dict[str, Any]) -> Iterator[output.Block]:
    yield f"new keys for the channel to {channel['peer']} are on their way; renewed {channel['rekeys']} times before"
