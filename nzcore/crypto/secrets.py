"""Bytes that must not be seen: hidden in `repr`, never pickled or copied, compared in constant time, wiped on request.

What wiping reaches, honestly: the bytearray held here. It does not reach `bytes` that a caller passed in or `reveal`
gave out, copies that CPython made while they were temporary, swapped-out pages, or core dumps. It shortens the time
in which a memory image holds the secret; it does not replace the encryption of disks and swap.
"""

import hmac
from typing import ClassVar, NoReturn, Self

from nzcore.base.errors import UsageError
from nzcore.crypto.random import random_bytes

KEY_BYTES = 32
"""Size of every symmetric key."""


class Hidden:
    """Base of all that holds a secret: refuses `pickle`, `copy` and a telling `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, hidden>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """*Raises* UsageError `crypto.secret-stays`: neither `pickle` nor `copy` may spread a secret."""
        raise UsageError("crypto.secret-stays", type=type(self).__name__)


class SecretBytes(Hidden):
    """Secret bytes of any size, or of the subclass's `SIZE`; equal only to the same type, in constant time; not
    hashable."""

    SIZE: ClassVar[int | None] = None
    __slots__ = ("_value",)

    def __init__(self, value: bytes | bytearray) -> None:
        """Copies `value`. *Raises* UsageError `crypto.bad-size` where the type has a size and this is another."""
        if self.SIZE is not None and len(value) != self.SIZE:
            raise UsageError("crypto.bad-size", type=type(self).__name__, size=len(value))
        self._value = bytearray(value)

    def reveal(self) -> bytes:
        """A copy of the bytes, which nothing can wipe: use it at once. *Raises* UsageError `crypto.wiped`."""
        return bytes(self.view())

    def view(self) -> bytearray:
        """The bytes themselves, for calls that take a buffer; not to be kept. *Raises* UsageError `crypto.wiped`."""
        if not self._value:
            raise UsageError("crypto.wiped", type=type(self).__name__)
        return self._value

    def wipe(self) -> None:
        """Overwrites the bytes with zeros and forgets them; harmless when repeated."""
        self._value[:] = bytes(len(self._value))
        self._value = bytearray()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._value, other._value)


class Key32(SecretBytes):
    """A symmetric key of 32 bytes. Use a subclass: each names its one purpose."""

    SIZE = KEY_BYTES
    __slots__ = ()

    @classmethod
    def generate(cls) -> Self:
        """A fresh random key."""
        return cls(random_bytes(KEY_BYTES))


class StoreKey(Key32):
    """Seals rows of the store, by transaction (`TransactionSealer`)."""

    __slots__ = ()


class WrappingKey(Key32):
    """Seals other secrets (`seal_secret`): from a passphrase, or from a key file."""

    __slots__ = ()
