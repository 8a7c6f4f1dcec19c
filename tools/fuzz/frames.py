"""Any bytes into the MessagePack decoders: the same values whole and cut into pieces, or PeerError."""

from nzcore.base.errors import PeerError
from nzcore.codec import frames

MAX_BYTES = 1 << 16


def target(data: bytes) -> None:
    """One input, whose first byte chooses the size of the pieces; raises whatever is a bug."""
    step, stream = (data[0] % 16) + 1 if data else 1, data[1:]
    assert _read(stream, len(stream) or 1) == _read(stream, step)
    try:
        value = frames.unpack(stream, max_bytes=MAX_BYTES)
    except PeerError:
        return
    assert repr(frames.unpack(frames.pack(value))) == repr(value)


def _read(stream: bytes, step: int) -> str:
    """What a reader gives, as text (NaN is not equal to itself), or nothing where it refuses."""
    reader = frames.MessageReader(max_bytes=MAX_BYTES)
    values: list[object] = []
    try:
        for start in range(0, len(stream), step):
            values += reader.feed(stream[start : start + step])
    except PeerError:
        return "refused"
    return repr(values)
