"""A key from a passphrase by Argon2id (RFC 9106), with costs that are stored beside what they protect
(spec/crypto.md §8)."""

from typing import NamedTuple, Self
from unicodedata import normalize

import nacl.bindings as sodium
from nacl.exceptions import RuntimeError as SodiumError

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.crypto.keys import FixedBytes
from nzcore.crypto.random import random_bytes
from nzcore.crypto.secrets import KEY_BYTES, WrappingKey

MAX_PASSPHRASE_BYTES = 1024
MIN_OPERATIONS, MAX_OPERATIONS = 1, 16
MIN_MEMORY, MAX_MEMORY = 8 << 20, 1 << 30
"""Bounds of what a stored cost may demand, in passes and bytes: a damaged file must not take the machine's memory."""


class Cost(NamedTuple):
    """Passes over the memory, and its size in bytes; one lane."""

    operations: int
    memory_bytes: int

    @classmethod
    def stored(cls, operations: int, memory_bytes: int) -> Self:
        """A cost read from a file. *Raises* PeerError `crypto.bad-cost` outside the bounds."""
        if not (MIN_OPERATIONS <= operations <= MAX_OPERATIONS and MIN_MEMORY <= memory_bytes <= MAX_MEMORY):
            raise PeerError("crypto.bad-cost", operations=operations, memory_bytes=memory_bytes)
        return cls(operations, memory_bytes)


INTERACTIVE = Cost(2, 64 << 20)
"""About 0.06 s: for small machines and frequent starts."""

MODERATE = Cost(3, 256 << 20)
"""About 0.3 s: the default."""

COSTS = {"interactive": INTERACTIVE, "moderate": MODERATE}


class PassphraseSalt(FixedBytes):
    """Random salt of one derivation, stored with its cost."""

    SIZE = 16
    __slots__ = ()

    @classmethod
    def generate(cls) -> Self:
        """A fresh salt."""
        return cls(random_bytes(cls.SIZE))


def derive(passphrase: str, salt: bytes, cost: Cost) -> WrappingKey:
    """The key behind a passphrase, which is normalised to NFC and encoded as UTF-8; the caller wipes it.

    Blocks for the time that the cost takes, without the interpreter's lock. *Raises* UsageError `crypto.bad-passphrase`
    unless it has 1 to 1,024 bytes; PeerError `crypto.bad-size` unless `salt` has 16; PeerError `crypto.bad-cost`;
    UnavailableError `crypto.no-memory`.
    """
    cost = Cost.stored(*cost)
    salt = PassphraseSalt(salt)
    password = _encoded(passphrase)
    if not 0 < len(password) <= MAX_PASSPHRASE_BYTES:
        raise UsageError("crypto.bad-passphrase")
    try:
        key = sodium.crypto_pwhash_alg(
            KEY_BYTES,
            password,
            salt,
            cost.operations,
            cost.memory_bytes,
            sodium.crypto_pwhash_ALG_ARGON2ID13,
        )
    except SodiumError as error:
        raise UnavailableError("crypto.no-memory", memory_bytes=cost.memory_bytes) from error
    return WrappingKey(key)


def _encoded(passphrase: str) -> bytes:
    """Nothing where it can't be encoded: the library's error would carry the passphrase along."""
    try:
        return normalize("NFC", passphrase).encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates, from a terminal with another encoding
        return b""
