"""The door of a home: a unix socket where the system has them, else loopback (spec/control.md §6.2, §7).

Where it is, clients find by `doors.open_client`; what each door does stands in `server` and `loopback_server`.
"""

from pathlib import Path

import trio

from nzcore.ipc import doors
from nzcore.ipc.connection import Dispatch, Report
from nzcore.ipc.loopback import FILE_NAME
from nzcore.ipc.loopback_server import serve_loopback
from nzcore.ipc.path import run_folder, socket_path
from nzcore.ipc.server import serve


async def serve_home(
    home: Path,
    dispatch: Dispatch,
    *,
    report: Report,
    task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves the door that `doors.open_client` finds for this home; as `serve`, with the path chosen here."""
    if doors.HAS_UNIX_SOCKETS:
        await serve(socket_path(home), dispatch, report=report, task_status=task_status)
        return
    folder = run_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    await serve_loopback(folder / FILE_NAME, dispatch, report=report, task_status=task_status)
