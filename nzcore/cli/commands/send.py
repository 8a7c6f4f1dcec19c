"""`nzcore send`: files and folders to a peer, however often that is interrupted."""

import os
from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.errors import UsageError
from nzcore.base.units import size
from nzcore.cli import output
from nzcore.cli.feeding import Feeder
from nzcore.cli.files import not_empty
from nzcore.cli.frame import Seconds
from nzcore.cli.frame import command as declare
from nzcore.cli.names import peer_argument
from nzcore.cli.progress import ProgressLine
from nzcore.cli.session import Session

_RATED_S = 0.05  # what took less says nothing of how fast it goes
_NOTES = {
    "queued": "waiting for other transfers",
    "connecting": "connecting",
    "waiting": "waiting for the peer",
    "finishing": "the peer puts it in place",
    "interrupted": "interrupted, trying again",
}


@declare("send", example="nzcore send bob letter.txt photos\ndate | nzcore send bob - --name today.txt")
@peer_argument()
@click.argument("paths", nargs=-1, required=True, metavar="PATH… | -", type=click.Path(), callback=not_empty)
@click.option("--name", metavar="NAME", help="What standard input is called there (default: stdin).")
@click.option(
    "--wait",
    "wait_s",
    type=Seconds(min=0, max=86_400),
    default=60.0,
    metavar="S",
    help="Seconds to wait for a peer that goes away meanwhile (default 60).",
)
@click.pass_obj
def command(session: Session, peer: str, paths: tuple[str, ...], name: str | None, wait_s: float) -> None:
    """Send files and folders to a peer.

    They arrive whole or not at all; nothing there is overwritten. Interrupted, the same command goes on where it was.
    `-` sends standard input.
    """
    try:
        result = _send(session, _arguments(peer, paths, name, wait_s))
    except KeyboardInterrupt:
        if "-" not in paths:
            output.say("interrupted: the same command goes on where it was")
        raise
    session.show(result, _human)


def _arguments(peer: str, paths: tuple[str, ...], name: str | None, wait_s: float) -> dict[str, Any]:
    if "-" in paths:
        if len(paths) > 1:
            raise UsageError("files.nothing-to-send", "standard input is sent alone", hint="send the files apart")
        return {"peer": peer, "stream": name or "stdin", "wait_s": wait_s}
    if name is not None:
        raise click.UsageError("--name names standard input: say - for the path")
    return {"peer": peer, "paths": [os.path.abspath(path) for path in paths], "wait_s": wait_s}


def _send(session: Session, arguments: dict[str, Any]) -> dict[str, Any]:
    digests: dict[str, str] = {}
    skipped: list[str] = []
    last: dict[str, Any] = {}
    with ProgressLine(shown=not session.json) as line:
        for last in session.stream("file.send", arguments):
            digests |= last["sha256"]
            skipped += last["skipped"]
            if last["tube"]:
                Feeder(session, last["tube"])
            line.update(last["bytes"], last["total_bytes"], _NOTES.get(last["phase"], ""))
    for path in skipped:
        session.warn("files.nothing-to-send", f"skipped {path}: a link, or neither a file nor a folder", "")
    return {
        "files": last["files"],
        "bytes": last["bytes"],
        "sha256": digests,
        "seconds": last["seconds"],
        "resumed_bytes": last["resumed_bytes"],
        "destination": last["destination"],
    }


def _human(result: dict[str, Any]) -> Iterator[output.Block]:
    files = f"{result['files']} file{'' if result['files'] == 1 else 's'}"
    seconds = result["seconds"]
    moved = result["bytes"] - result["resumed_bytes"]
    rate = f" ({size(moved / seconds)}/s)" if seconds >= _RATED_S else ""
    yield f"sent {files}, {size(result['bytes'])}, in {seconds:.1f} s{rate} to {result['destination']}"
    if result["resumed_bytes"]:
        yield f"{size(result['resumed_bytes'])} of it had arrived before"
