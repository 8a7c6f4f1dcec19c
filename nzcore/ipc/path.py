"""Where a home's socket is: the same answer for server and client (spec/control.md §6.1)."""

import os
import sys
from pathlib import Path

from nzcore.base.errors import UnavailableError

SOCKET_NAME = "nzcore.sock"
MAX_SOCKET_PATH = 103 if sys.platform != "linux" else 107  # bytes of sun_path, less the closing zero
SHORTEST_FOLDER = "/tmp"  # noqa: S108 - where TMPDIR is too long itself; the folder made in it must be ours alone
_HASH_DIGITS = 24  # 96 bits of SHA-256: two homes never share a name by accident


def socket_path(home: Path) -> Path:
    """`HOME/run/nzcore.sock`; where that is too long for a socket, a name made of the home's path elsewhere.

    Elsewhere is XDG_RUNTIME_DIR or, unset or itself too long, a folder of this user under the temporary folder or
    under `/tmp`.
    Reads the environment, touches no file. *Raises* UnavailableError `ipc.no-socket-path` where nothing fits.
    """
    near = run_folder(home) / SOCKET_NAME
    if _fits(near):
        return near
    name = f"nzcore-{_digest(home)}.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _fits(Path(runtime, name)):
        return Path(runtime, name)
    import tempfile  # here: costs 4 ms, needed by hardly anyone

    for folder in (tempfile.gettempdir(), SHORTEST_FOLDER):
        fallback = Path(folder, f"nzcore-{os.getuid()}", name)
        if _fits(fallback):
            return fallback
    raise UnavailableError("ipc.no-socket-path", home=str(home))


def run_folder(home: Path) -> Path:
    """Holds what exists only while the node runs: absolute, mode 0700, made by the server."""
    return Path(os.path.realpath(home), "run")


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= MAX_SOCKET_PATH


def _digest(home: Path) -> str:
    import hashlib  # here: loads OpenSSL, needed only for long paths

    return hashlib.sha256(os.fsencode(os.path.realpath(home))).hexdigest()[:_HASH_DIGITS]
