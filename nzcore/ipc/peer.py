"""Which user is at the other end of a unix socket, asked of the operating system."""

import socket
import struct

_UCRED = struct.Struct("3i")  # Linux struct ucred: pid, uid, gid
_XUCRED = struct.Struct("2Ih16I")  # macOS struct xucred: version, uid, number of groups, groups
_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_VERSION = 0, 1, 0


def peer_uid(sock: socket.socket) -> int | None:
    """The uid of the process that connected or listens there, as the kernel noted it; None where it can't be told."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return int(_UCRED.unpack(raw)[1])
    return _xucred_uid(sock)


def _xucred_uid(sock: socket.socket) -> int | None:
    """macOS and the BSDs."""
    try:
        return parse_xucred(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
    except OSError:
        return None


def parse_xucred(raw: bytes) -> int | None:
    """The uid in a struct xucred; None if it is not one that we know."""
    if len(raw) < _XUCRED.size:
        return None
    version, uid = _XUCRED.unpack_from(raw)[:2]
    return int(uid) if version == _XUCRED_VERSION else None
