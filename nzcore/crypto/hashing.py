"""SHA-256, HMAC and HKDF over it, and comparison in constant time (spec/crypto.md §6)."""

import hashlib
import hmac
from collections.abc import Callable

from nzcore.base.errors import UsageError

HASH_BYTES = 32
MAX_HKDF_BYTES = 255 * HASH_BYTES

INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
"""What HMAC does to each byte of its padded key (RFC 2104), as tables for `bytes.translate`."""

_BLOCK_BYTES = 64
_sha256 = hashlib.sha256


def sha256(*parts: bytes) -> bytes:
    """32 bytes over the joined parts. Callers make joins unambiguous: a label, `\\0`, fixed sizes."""
    return _sha256(b"".join(parts)).digest()


def hmac_sha256(key: bytes | bytearray, *parts: bytes | bytearray) -> bytes:
    """32 bytes over the joined parts, under a key of any size (RFC 2104).

    Spelled out, as all in this package that hashes short messages under a key: measured 0.77 µs instead of 1.17 by
    `hmac.new` and 1.34 by `hmac.digest`. A test holds it to the library's.
    """
    block = _block(key)
    inner = _sha256(b"".join((block.translate(INNER_PAD), *parts))).digest()
    return _sha256(block.translate(OUTER_PAD) + inner).digest()


def keyed_hmac_sha256(key: bytes | bytearray) -> Callable[[bytes], bytes]:
    """`hmac_sha256` under one key for many messages: the key is taken in once. Measured 0.53 µs a short message."""
    block = _block(key)
    start_inner = _sha256(block.translate(INNER_PAD)).copy
    start_outer = _sha256(block.translate(OUTER_PAD)).copy

    def keyed(message: bytes) -> bytes:
        inner, outer = start_inner(), start_outer()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    return keyed


def hkdf(ikm: bytes | bytearray, *, salt: bytes | bytearray = b"", info: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869), 1 to 8,160 bytes.

    *Raises* UsageError `crypto.bad-size` for another `length`.
    """
    if not 0 < length <= MAX_HKDF_BYTES:
        raise UsageError("crypto.bad-size", length=length)
    extracted = hmac_sha256(salt or bytes(HASH_BYTES), ikm)
    block, output = b"", b""
    for counter in range(1, -(-length // HASH_BYTES) + 1):
        block = hmac_sha256(extracted, block, info, bytes((counter,)))
        output += block
    return output[:length]


def same_bytes(a: bytes | bytearray, b: bytes | bytearray) -> bool:
    """Whether both are equal, in a time that depends on their sizes only."""
    return hmac.compare_digest(a, b)


def _block(key: bytes | bytearray) -> bytes:
    """What HMAC makes of a key: SHA-256's block, padded with zeros."""
    short = key if len(key) <= _BLOCK_BYTES else _sha256(key).digest()
    return bytes(short).ljust(_BLOCK_BYTES, b"\0")
