"""`nzcore pipe`: this side's standard input and output, joined with a peer's."""

import os
import sys

import click

from nzcore.base.errors import UnavailableError
from nzcore.cli.errors import OutputClosed
from nzcore.cli.feeding import Feeder
from nzcore.cli.frame import command as declare
from nzcore.cli.names import peer_argument
from nzcore.cli.output import say
from nzcore.cli.session import Session


@declare(
    "pipe",
    example="""
    (sleep 2; echo hello | nzcore pipe bob greeting) &
    nzcore --home bob pipe --wait alice greeting
    """,
)
@peer_argument()
@click.argument("name", default="pipe")
@click.option("--wait", is_flag=True, help="Wait until the peer dials; the other side runs it without.")
@click.pass_obj
def command(session: Session, peer: str, name: str, wait: bool) -> None:
    """Join standard input and output with those of a peer, through both nodes.

    One side waits, `nzcore pipe --wait alice NAME`; then the other dials, `nzcore pipe bob NAME`. It ends when both
    sides have ended their input. Nothing is stored on the way.
    """
    feeder: Feeder | None = None
    for item in session.stream("pipe.open", {"peer": peer, "name": name, "wait": wait}):
        if item["phase"] == "waiting" and sys.stderr.isatty():
            say(f"waiting for {peer} to run: nzcore pipe <this node> {name}")
        elif item["phase"] == "joined":
            feeder = Feeder(session, item["tube"])
        if item["data"]:
            _write(item["data"])
    if feeder is not None and feeder.error is not None and feeder.error.code != "files.no-tube":
        raise feeder.error


def _write(data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(sys.stdout.fileno(), view) :]
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise UnavailableError("cli.output", f"cannot write to standard output: {error.strerror}") from error
