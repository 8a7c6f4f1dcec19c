"""Deterministic CBOR in the strict subset of signed objects (spec/crypto.md §3; RFC 8949 §4.2.1).

A scan over the bytes decides first, so nothing is built from what is refused; then cbor2 builds, and its re-encoding
must equal the input. Two independent readings of the same bytes have to agree before a value leaves this module.
"""

from collections.abc import Mapping, Sequence
from unicodedata import is_normalized

import cbor2

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError

Value = int | bytes | str | bool | list["Value"] | dict[int, "Value"]
"""What `decode` returns."""

Encodable = int | bytes | str | bool | Sequence["Encodable"] | Mapping[int, "Encodable"]
"""What `encode` takes: as `Value`, covariant, with tuples for lists and subclasses (ids, keys) for bytes and text."""

MAX_UINT = (1 << 63) - 1
"""Largest integer: fits every language's signed 64-bit type."""

MAX_KEY = 23
"""Largest map key: keys stay one byte long, where the bytewise and the length-first orders of keys are the same."""

# Major types (RFC 8949 §3.1), the high three bits of an item's first byte.
_UINT, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 2, 3, 4, 5, 7
_FALSE, _TRUE = 0xF4, 0xF5
_INLINE = 24  # arguments below stand in the first byte; 24..27 announce 1, 2, 4, 8 more bytes
_SMALLEST = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}  # what makes an argument of that many bytes the shortest


def encode(value: Encodable) -> bytes:
    """The one encoding of `value`.

    *Raises* UsageError `codec.unencodable` for other types, negative or large integers, keys outside 0..23, text
    that is not NFC, or more than 8 levels.
    """
    encoded: bytes = cbor2.dumps(_checked(value, limits.NESTING), canonical=True)
    return encoded


def decode(data: bytes, *, max_bytes: int = limits.SIGNED_OBJECT_BYTES) -> Value:
    """The value whose one encoding is `data`; time and memory are linear in its length.

    *Raises* PeerError `codec.too-large` beyond `max_bytes`, else `codec.truncated`, `trailing`, `not-canonical`,
    `forbidden-type`, `bad-number`, `bad-key`, `bad-text` or `too-deep` for the first thing that is wrong.
    """
    if len(data) > max_bytes:
        raise PeerError("codec.too-large", size=len(data), limit=max_bytes)
    end = _scan_item(data, 0, limits.NESTING)
    if end != len(data):
        raise PeerError("codec.trailing", offset=end)
    try:
        value: Value = cbor2.loads(data)
    except cbor2.CBORDecodeError as error:
        raise PeerError("codec.not-canonical") from error
    if cbor2.dumps(value, canonical=True) != data:
        raise PeerError("codec.not-canonical")
    return value


def head(major: int, argument: int) -> bytes:
    """First bytes of an item: its major type and the shortest form of its argument (< 2^64)."""
    if argument < _INLINE:
        return bytes([major << 5 | argument])
    power = 0 if argument < 1 << 8 else 1 if argument < 1 << 16 else 2 if argument < 1 << 32 else 3
    return bytes((major << 5 | _INLINE + power,)) + argument.to_bytes(1 << power, "big")


def read_head(data: bytes, offset: int) -> tuple[int, int, int]:
    """Major type, argument and the offset behind them. *Raises* PeerError `codec.truncated` or
    `codec.not-canonical`."""
    if offset >= len(data):
        raise PeerError("codec.truncated", offset=offset)
    first = data[offset]
    major, short = first >> 5, first & 31
    if short < _INLINE:
        return major, short, offset + 1
    if short > _INLINE + 3:  # 28..30 are reserved, 31 is an indefinite length
        raise PeerError("codec.not-canonical", offset=offset)
    size = 1 << (short - _INLINE)
    end = offset + 1 + size
    if end > len(data):
        raise PeerError("codec.truncated", offset=offset)
    argument = int.from_bytes(data[offset + 1 : end], "big")
    if argument < _SMALLEST[size]:
        raise PeerError("codec.not-canonical", offset=offset)
    return major, argument, end


def _scan_item(data: bytes, offset: int, levels: int) -> int:
    """Offset behind the item at `offset`, of which `levels` more containers may be entered."""
    if data[offset : offset + 1] and data[offset] >> 5 == _SIMPLE:  # first: a float's argument is no length
        if data[offset] in (_FALSE, _TRUE):
            return offset + 1
        raise PeerError("codec.forbidden-type", offset=offset)
    major, argument, start = read_head(data, offset)
    if major == _UINT:
        if argument > MAX_UINT:
            raise PeerError("codec.bad-number", offset=offset)
        return start
    if major in (_BYTES, _TEXT):
        return _scan_string(data, start, argument, text=major == _TEXT)
    if major not in (_ARRAY, _MAP):  # negative integers and tags
        raise PeerError("codec.forbidden-type", offset=offset)
    if not levels:
        raise PeerError("codec.too-deep", offset=offset)
    if argument > (len(data) - start) // (1 if major == _ARRAY else 2):  # each element takes a byte at least
        raise PeerError("codec.truncated", offset=offset)
    return (
        _scan_array(data, start, argument, levels - 1)
        if major == _ARRAY
        else _scan_map(data, start, argument, levels - 1)
    )


def _scan_string(data: bytes, start: int, size: int, *, text: bool) -> int:
    end = start + size
    if end > len(data):
        raise PeerError("codec.truncated", offset=start)
    if text:
        try:
            content = data[start:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise PeerError("codec.bad-text", offset=start) from error
        if not is_normalized("NFC", content):
            raise PeerError("codec.bad-text", offset=start)
    return end


def _scan_array(data: bytes, offset: int, count: int, levels: int) -> int:
    for _ in range(count):
        offset = _scan_item(data, offset, levels)
    return offset


def _scan_map(data: bytes, offset: int, count: int, levels: int) -> int:
    last = -1
    for _ in range(count):
        if offset >= len(data):
            raise PeerError("codec.truncated", offset=offset)
        key = data[offset]  # an allowed key is its own encoding
        if key > MAX_KEY:
            raise PeerError("codec.bad-key", offset=offset)
        if key <= last:
            raise PeerError("codec.not-canonical", offset=offset)
        last, offset = key, _scan_item(data, offset + 1, levels)
    return offset


def _checked(value: object, levels: int) -> Value:
    """`value` in plain types. *Raises* UsageError `codec.unencodable`."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and 0 <= value <= MAX_UINT:
        return int(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, str) and _is_plain_text(value):
        return str(value)
    if isinstance(value, list | tuple) and levels:
        return [_checked(item, levels - 1) for item in value]
    if isinstance(value, Mapping) and levels:
        return {_checked_key(key): _checked(item, levels - 1) for key, item in value.items()}
    raise UsageError("codec.unencodable", type=type(value).__name__)


def _checked_key(key: object) -> int:
    if isinstance(key, int) and not isinstance(key, bool) and 0 <= key <= MAX_KEY:
        return int(key)
    raise UsageError("codec.unencodable", "a map key that is not an integer from 0 to 23", type=type(key).__name__)


def _is_plain_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates, as in undecodable command-line arguments
        return False
    return is_normalized("NFC", text)
