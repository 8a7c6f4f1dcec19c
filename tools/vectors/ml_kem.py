"""ML-KEM-768 after FIPS 203, slow and plain: an independent second reading, for vectors and tests only.

It makes what the library can't: a ciphertext from chosen randomness. Nothing here runs in constant time.
"""

import hashlib

Q, N, K = 3329, 256, 3
DU, DV = 10, 4
Poly = list[int]


def _reversed7(i: int) -> int:
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, _reversed7(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reversed7(i) + 1, Q) for i in range(128)]


def public_key(seed: bytes) -> bytes:
    """The 1,184-byte encapsulation key of the 64-byte seed d ‖ z (algorithms 13 and 16)."""
    rho, sigma = _g(seed[:32] + bytes([K]))
    noise = [_ntt(_cbd(sigma, i)) for i in range(2 * K)]
    a = _matrix(rho)
    t = [_add(_dot(a[i], noise[:K]), noise[K + i]) for i in range(K)]
    return b"".join(_encode(poly, 12) for poly in t) + rho


def encapsulate(public: bytes, m: bytes) -> tuple[bytes, bytes]:
    """Secret and ciphertext for the 32 bytes of randomness `m` (algorithms 14 and 17)."""
    secret, r = _g(m + hashlib.sha3_256(public).digest())
    t = [_decode12(public[384 * i : 384 * i + 384]) for i in range(K)]
    a = _matrix(public[384 * K :])
    noise = [_cbd(r, i) for i in range(2 * K + 1)]
    y = [_ntt(poly) for poly in noise[:K]]
    u = [_add(_inverse_ntt(_dot([a[j][i] for j in range(K)], y)), noise[K + i]) for i in range(K)]
    message = [(m[i // 8] >> i % 8 & 1) * ((Q + 1) // 2) for i in range(N)]
    v = _add(_add(_inverse_ntt(_dot(t, y)), noise[2 * K]), message)
    return secret, b"".join(_encode(_compress(poly, DU), DU) for poly in u) + _encode(_compress(v, DV), DV)


def _g(data: bytes) -> tuple[bytes, bytes]:
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def _matrix(rho: bytes) -> list[list[Poly]]:
    return [[_uniform(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def _uniform(seed: bytes) -> Poly:
    """Algorithm 7: coefficients below q out of 12-bit pieces."""
    stream, found = hashlib.shake_128(seed).digest(3 * 1024), []
    for i in range(0, len(stream), 3):
        b0, b1, b2 = stream[i : i + 3]
        found += [d for d in (b0 + 256 * (b1 % 16), b1 // 16 + 16 * b2) if d < Q]
    return found[:N]


def _cbd(seed: bytes, counter: int) -> Poly:
    """Algorithm 8 with η = 2: differences of sums of two bits."""
    bits = [byte >> i & 1 for byte in hashlib.shake_256(seed + bytes([counter])).digest(128) for i in range(8)]
    return [(bits[4 * i] + bits[4 * i + 1] - bits[4 * i + 2] - bits[4 * i + 3]) % Q for i in range(N)]


def _ntt(poly: Poly) -> Poly:
    f, i, length = poly[:], 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
            i += 1
        length //= 2
    return f


def _inverse_ntt(poly: Poly) -> Poly:
    f, i, length = poly[:], 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [value * 3303 % Q for value in f]


def _dot(left: list[Poly], right: list[Poly]) -> Poly:
    total = [0] * N
    for f, g in zip(left, right, strict=True):
        for i, gamma in enumerate(GAMMAS):
            a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            total[2 * i] += a0 * b0 + a1 * b1 * gamma
            total[2 * i + 1] += a0 * b1 + a1 * b0
    return [value % Q for value in total]


def _add(f: Poly, g: Poly) -> Poly:
    return [(a + b) % Q for a, b in zip(f, g, strict=True)]


def _compress(poly: Poly, d: int) -> Poly:
    return [((value << d) + Q // 2) // Q % (1 << d) for value in poly]


def _encode(poly: Poly, d: int) -> bytes:
    return sum(value << d * i for i, value in enumerate(poly)).to_bytes(32 * d, "little")


def _decode12(data: bytes) -> Poly:
    held = int.from_bytes(data, "little")
    return [held >> 12 * i & 0xFFF for i in range(N)]
