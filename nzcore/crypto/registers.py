"""Clean vector registers, because what one primitive leaves in them makes the next one slow.

Knows no keys and changes no result. On processors with AVX-512, OpenSSL's ChaCha20-Poly1305 returns with the upper
halves of vector registers in use, whatever the size of the message. From then on everything in the same thread that
works with older instructions is slower, until something cleans them. Measured (OpenSSL 4.0, AMD EPYC): generating an
ML-KEM-768 key takes 120 instead of 68 µs, encapsulating 33 instead of 16, decapsulating 48 instead of 24, generating
an X25519 key 28 instead of 21. Agreements and Ed25519 signatures don't suffer.
"""

from hashlib import sha512


def clean_registers() -> None:
    """To be called right before slow work that suffers; takes 0.5 µs.

    OpenSSL's SHA-512 leaves all registers clean. So would AES-GCM, but then a key and a nonce would stand here that
    mean nothing; SHA-1, SHA-3 and BLAKE2 were measured and don't.
    """
    sha512().digest()
