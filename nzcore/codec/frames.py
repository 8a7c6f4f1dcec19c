"""MessagePack with limits, for what is not signed: local sockets and request streams (spec/crypto.md §9).

A value is skipped over before it is built: `skip` allocates nothing, so a header that claims a million elements
costs nothing until a million elements are there. Maps have distinct text keys: texts are hashed with a secret seed,
integers are not, and a map of chosen integers takes quadratic time.
"""

import msgpack  # type: ignore[import-untyped]  # it ships no types; this module is its only importer

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError

_SCALARS = {type(None), bool, int, float, bytes, str}
_CONTAINERS = {list, dict}
_SMALL_BYTES = 384  # built without being skipped over first: its claims can cost 400 KiB for a moment at worst
_READ_BYTES = 4096  # first buffer of a scanner; msgpack's default is 1 MiB


def pack(value: object) -> bytes:
    """MessagePack of None, bool, int (-2^63 to 2^64 - 1), float, bytes, str, and lists, tuples and dicts of them.

    *Raises* UsageError `codec.unencodable` for any other type.
    """
    try:
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError("codec.unencodable", type=type(value).__name__) from error
    return packed


def unpack(data: bytes, *, max_bytes: int = limits.MESSAGE_BYTES) -> object:
    """The exactly one value in `data`: arrays become lists; nested 8 deep at most; no extension types.

    *Raises* PeerError `codec.too-large`, `truncated`, `trailing`, `bad-message`, `bad-key`, `forbidden-type` or
    `too-deep`.
    """
    if len(data) > max_bytes:
        raise PeerError("codec.too-large", size=len(data), limit=max_bytes)
    if len(data) <= _SMALL_BYTES:
        try:
            return _build(data)
        except PeerError:  # what is wrong with it, the scanner says more exactly
            pass
    scanner = _scanner()
    scanner.feed(data)
    if not _skips(scanner):
        raise PeerError("codec.truncated")
    if scanner.tell() != len(data):
        raise PeerError("codec.trailing", offset=scanner.tell())
    return _build(data)


class MessageReader:
    """Cuts a stream of self-delimiting MessagePack values; holds at most one unfinished value of `max_bytes`, twice."""

    def __init__(self, *, max_bytes: int = limits.MESSAGE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._scanner = _scanner()
        self._held = bytearray()  # from the first byte of the unfinished value
        self._start = 0  # where `_held` begins in the stream
        self._refusal: PeerError | None = None

    def feed(self, data: bytes) -> list[object]:
        """The values that `data` completes, in order. Any cutting of a stream gives the same values.

        *Raises* PeerError as `unpack`, again at every later call: after one bad value, nothing shows where the next
        begins. Good values of the same call are dropped with it.
        """
        if self._refusal is not None:
            raise PeerError(self._refusal.code) from self._refusal
        try:
            return self._cut(data)
        except PeerError as error:
            self._refusal = error
            self._held.clear()
            raise

    def _cut(self, data: bytes) -> list[object]:
        values: list[object] = []
        self._held += data
        self._scanner.feed(data)
        taken = 0
        while taken < len(self._held) and _skips(self._scanner):
            end = self._scanner.tell() - self._start
            self._check_size(end - taken)
            values.append(_build(bytes(self._held[taken:end])))
            taken = end
        self._check_size(len(self._held) - taken)
        if taken:
            del self._held[:taken]
            self._start += taken
        return values

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise PeerError("codec.too-large", size=size, limit=self._max_bytes)


def _scanner() -> msgpack.Unpacker:
    return msgpack.Unpacker(max_buffer_size=0, read_size=_READ_BYTES)  # the callers bound what they feed


def _skips(scanner: msgpack.Unpacker) -> bool:
    """Whether one more whole value was there to skip. *Raises* PeerError `codec.bad-message`."""
    try:
        scanner.skip()
    except msgpack.OutOfData:
        return False
    except ValueError as error:  # FormatError for the byte c1, StackError beyond 1,024 levels
        raise PeerError("codec.bad-message") from error
    return True


def _build(data: bytes) -> object:
    try:
        value: object = msgpack.unpackb(data, object_pairs_hook=_map_of)
    except ValueError as error:  # invalid UTF-8, a key that is not text, a malformed timestamp
        raise PeerError("codec.bad-message") from error
    _check_types(value)
    return value


def _map_of(pairs: list[tuple[object, object]]) -> dict[object, object]:
    built = dict(pairs)
    if len(built) != len(pairs) or any(key.__class__ is not str for key in built):
        raise PeerError("codec.bad-key")
    return built


def _check_types(value: object) -> None:
    """Walks level by level at C speed. *Raises* PeerError `codec.forbidden-type` or `codec.too-deep`."""
    level, depth = [value], 0
    while _holds_containers(level):
        if depth == limits.NESTING:
            raise PeerError("codec.too-deep")
        below: list[object] = []
        for item in level:
            if isinstance(item, list):
                below += item
            elif isinstance(item, dict):
                below += item.values()
        level, depth = below, depth + 1


def _holds_containers(level: list[object]) -> bool:
    kinds = set(map(type, level))
    if not kinds - _CONTAINERS <= _SCALARS:  # extension types, timestamps
        raise PeerError("codec.forbidden-type")
    return bool(kinds & _CONTAINERS)
