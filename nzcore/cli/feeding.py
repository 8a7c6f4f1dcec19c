"""Carries this command's standard input into the node: a thread with a connection of its own, call by call.

A thread, because reading standard input waits for whoever writes it, while the node's items must be shown meanwhile.
"""

import os
import sys
import threading

from nzcore.base.errors import NzError
from nzcore.cli.session import Session

PIECE_BYTES = 256 << 10


class Feeder:
    """Started with the tube that the node named; ends by itself, at the latest with the process."""

    def __init__(self, session: Session, tube: str) -> None:
        self._session = session
        self._tube = tube
        self.error: NzError | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            with self._session.client(86_400.0) as client:
                while data := _read():
                    client.call("tube.write", {"tube": self._tube, "data": data})
                client.call("tube.end", {"tube": self._tube})
        except NzError as error:  # the node's items say why, if anything is wrong
            self.error = error


def _read() -> bytes:
    try:
        return os.read(sys.stdin.fileno(), PIECE_BYTES)
    except (OSError, ValueError):  # closed by whoever started us
        return b""
