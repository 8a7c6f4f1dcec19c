"""Any bytes as any message of the kernel's handshakes and of a few general ones: a payload, or PeerError and no trace.

The readers wait from input to input: whatever a refused one left behind would break the genuine message later.
"""

from typing import NamedTuple

from nzcore.base.errors import PeerError
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.patterns import parse
from tools.vectors.noise import exchange, pair, payload

_NAMES = ("XXhfs+psk0", "NNhfs+psk0", "N", "NN", "NNhfs", "XX", "IK", "X")
_PLACES = [(name, count) for name in _NAMES for count in range(len(parse(name).messages))]


class _Waiting(NamedTuple):
    reader: Handshake
    genuine: bytes


_waiting: dict[tuple[str, int], _Waiting] = {}


def target(data: bytes) -> None:
    """One input at every place; one of the places, chosen by its size, then has to read its genuine message."""
    for place in _PLACES:
        waiting = _waiting.get(place) or _prepare(*place)
        _waiting[place] = waiting
        try:
            waiting.reader.read_message(data)
            del _waiting[place]
            if waiting.reader.writes_next:
                waiting.reader.write_message()
        except PeerError:
            continue
    chosen = _PLACES[len(data) % len(_PLACES)]
    if chosen in _waiting:
        waiting = _waiting.pop(chosen)
        assert waiting.reader.read_message(waiting.genuine) == payload(chosen[1])


def _prepare(name: str, count: int) -> _Waiting:
    """A reader that awaits message `count` of the handshake in the vectors, and that message."""
    initiator, responder = pair(parse(name))
    exchange(initiator, responder, count)
    writer, reader = (initiator, responder) if count % 2 == 0 else (responder, initiator)
    return _Waiting(reader, writer.write_message(payload(count)))
