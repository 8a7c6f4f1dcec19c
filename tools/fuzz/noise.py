"""Fuzz target: any bytes as any message of any of the kernel's handshakes, and as a few general ones.

The first byte chooses pattern and message; the rest is the message. Keys are fixed, so that a finding repeats.
"""

from nzcore.base.errors import PeerError
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.patterns import parse
from tools.vectors.noise import pair

_NAMES = ("XXhfs+psk0", "NNhfs+psk0", "N", "NN", "NNhfs", "XX", "IK", "X")


def target(data: bytes) -> None:
    """Reads `data` where a genuine message is awaited; then the genuine one must still succeed."""
    if not data:
        return
    pattern = parse(_NAMES[data[0] % len(_NAMES)])
    initiator, responder = pair(pattern)
    count = data[0] // len(_NAMES) % len(pattern.messages)
    for index in range(count):
        writer, reader = _roles(initiator, responder, index)
        reader.read_message(writer.write_message())
    writer, reader = _roles(initiator, responder, count)
    genuine = writer.write_message(b"genuine")
    try:
        reader.read_message(data[1:])
    except PeerError:
        if reader.read_message(genuine) != b"genuine":
            raise AssertionError("a refused message left its mark") from None
        return
    try:
        if reader.writes_next:
            reader.write_message()
    except PeerError:
        return


def _roles(initiator: Handshake, responder: Handshake, index: int) -> tuple[Handshake, Handshake]:
    return (initiator, responder) if index % 2 == 0 else (responder, initiator)
