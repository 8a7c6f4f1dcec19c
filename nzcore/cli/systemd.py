"""Telling systemd how the node is (sd_notify): one datagram to NOTIFY_SOCKET, nothing where there is none."""

import os
import socket


def notify(state: str) -> None:
    """Sends `READY=1` or the like; that systemd does not listen is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagrams:
        try:
            datagrams.connect("\0" + address[1:] if address[0] == "@" else address)
            datagrams.send(state.encode("ascii"))
        except OSError:
            return
