"""`nzcore down`: stops the node and waits until its process is gone."""

from typing import Any

import click

from nzcore.base.errors import NzError, UnavailableError
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session
from nzcore.cli.spawn import wait_for_end
from nzcore.store.lock import holder

_END_S = 30.0  # more than all services together may take to stop


@declare("down", example="nzcore down")
@click.pass_obj
def command(session: Session) -> None:
    """Stop the node.

    Returns when its process has ended.
    """
    pid = holder(session.home.lock)
    try:
        stopping: dict[str, Any] = session.call("node.stop")
    except NzError as error:
        if error.code != "ipc.timeout" or not pid:
            raise
        hint = f"give it longer with --timeout S; kill -9 {pid} ends it, and what it has kept stays whole"
        raise UnavailableError(error.code, f"the node (process {pid}) does not answer", hint=hint) from error
    seconds = session.timeout or _END_S
    if pid and not wait_for_end(pid, seconds):
        raise UnavailableError("cli.timeout", f"the node (process {pid}) has not ended within {seconds:g} s")
    session.show({**stopping, "stopped": True}, lambda _: ["stopped"])
