"""The only source of randomness: the operating system's generator. Every key here is made from these bytes.

One exception that the library leaves no way around: ML-KEM encapsulation draws 32 bytes from OpenSSL's own generator.
"""

import os


def random_bytes(n: int) -> bytes:
    """`n` unpredictable bytes; blocks only at boot, before the system has gathered enough."""
    return os.urandom(n)
