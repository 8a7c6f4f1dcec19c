"""Fuzz target: any bytes into both ears of NZ-IPC-01, cut in two at a place that the first byte chooses."""

from nzcore.base.errors import PeerError
from nzcore.ipc.loopback import parse_token
from nzcore.ipc.peer import parse_xucred
from nzcore.ipc.wire import ClientWire, ServerWire

ROOMY = 1 << 12  # bytes a message: small enough that the limit itself is reached


def target(data: bytes) -> None:
    """Ends in events or PeerError; a cut stream gives the same events."""
    cut = data[0] if data else 0
    for ear in (ServerWire, ClientWire):
        try:
            whole = ear(max_bytes=ROOMY).receive(data)
        except PeerError:
            continue
        cautious = ear(max_bytes=ROOMY)
        parts = [*cautious.receive(data[:cut]), *cautious.receive(data[cut:])]
        assert repr(parts) == repr(whole)
    parse_xucred(data)
    try:
        parse_token(data)
    except PeerError:
        return
