"""`nzcore inbox`: what peers have sent."""

from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.units import size
from nzcore.cli import output
from nzcore.cli.frame import command as declare
from nzcore.cli.names import peer_argument
from nzcore.cli.session import Session


@declare("inbox", example="nzcore inbox --last 10")
@peer_argument(required=False)
@click.option("--last", type=click.IntRange(min=1, max=1_000_000), metavar="N", help="Only the newest N files.")
@click.pass_obj
def command(session: Session, peer: str | None, last: int | None) -> None:
    """List the files that peers have sent, the newest last.

    They lie in the folder that `nzcore config get files.inbox_dir` names, or beside the home.
    """
    arguments = {"peer": peer, "last": last}
    files = [one for item in session.stream("file.inbox", arguments) for one in item["files"]]
    session.show(files, _human)


def _human(files: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not files:
        yield "nothing has arrived yet"
        return
    rows = [
        (
            one["from"],
            size(one["bytes"]),
            output.when(one["received_at"]),
            one["path"] + ("" if one["present"] else "  (gone)"),
        )
        for one in files
    ]
    yield output.Table(("from", "size", "received", "file"), rows)
