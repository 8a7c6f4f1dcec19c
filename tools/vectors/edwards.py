"""Signatures that only some verifiers of Ed25519 accept, made by plain arithmetic on the curve; for vectors only.

A point of order 8 is added to the commitment or the public key: the cofactored equation still holds, ours does no more.
"""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
Point = tuple[int, int]


def with_torsion_in_commitment(seed: bytes, message: bytes) -> tuple[bytes, bytes]:
    """Public key and a signature whose R has a part of order 8."""
    secret, public = _key(seed)
    encoded = _encode(public)
    commitment = _encode(_add(_multiply(_nonce(seed), BASE), TORSION))
    return encoded, commitment + _s(seed, secret, commitment, encoded, message)


def with_torsion_in_key(seed: bytes, message: bytes) -> tuple[bytes, bytes]:
    """A public key with a part of order 8, and a signature; `message` is one whose challenge is no multiple of 8."""
    secret, public = _key(seed)
    encoded = _encode(_add(public, TORSION))
    commitment = _encode(_multiply(_nonce(seed), BASE))
    assert _challenge(commitment, encoded, message) % 8
    return encoded, commitment + _s(seed, secret, commitment, encoded, message)


def _key(seed: bytes) -> tuple[int, Point]:
    secret = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & (1 << 254) - 8 | 1 << 254
    return secret, _multiply(secret, BASE)


def _nonce(seed: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"nonce" + seed).digest(), "little") % ORDER


def _challenge(commitment: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little") % ORDER


def _s(seed: bytes, secret: int, commitment: bytes, public: bytes, message: bytes) -> bytes:
    return ((_nonce(seed) + _challenge(commitment, public, message) * secret) % ORDER).to_bytes(32, "little")


def _add(left: Point, right: Point) -> Point:
    (x1, y1), (x2, y2) = left, right
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P)
    return x % P, y % P


def _multiply(times: int, point: Point) -> Point:
    result = (0, 1)
    while times:
        if times & 1:
            result = _add(result, point)
        point, times = _add(point, point), times >> 1
    return result


def _encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _decode(encoded: bytes) -> Point:
    y = int.from_bytes(encoded, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x if x & 1 == encoded[31] >> 7 else P - x), y


BASE = _decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
TORSION = _decode(ORDER_8)
