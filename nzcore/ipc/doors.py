"""Which door a home has on this system: the unix socket, or the loopback where there are none."""

import socket
from pathlib import Path

from nzcore.ipc.client import TIMEOUT_S, Client
from nzcore.ipc.path import run_folder, socket_path

HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX")


def open_client(home: Path, *, timeout_s: float = TIMEOUT_S) -> Client:
    """A client of the node of this home. *Raises* as `Client`, and UnavailableError `ipc.no-socket-path`."""
    if HAS_UNIX_SOCKETS:
        return Client(socket_path(home), timeout_s=timeout_s)
    from nzcore.ipc.loopback import FILE_NAME, connect_loopback

    return Client(run_folder(home) / FILE_NAME, timeout_s=timeout_s, connect=connect_loopback)
