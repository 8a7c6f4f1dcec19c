"""Ids as distinct types: 32 bytes each, and a text form each (spec/identity.md §2)."""

from typing import ClassVar, Self

from nzcore.base import bech32m
from nzcore.base.errors import PeerError


class Id(bytes):
    """32 bytes with a Bech32m text form; equal to and hashed as its bytes, shown as its text. Use a subclass."""

    SIZE: ClassVar[int] = 32
    PREFIX: ClassVar[str]
    __slots__ = ()

    def __new__(cls, value: bytes) -> Self:
        """*Raises* PeerError `base.bad-id-size` unless `value` has 32 bytes."""
        if len(value) != cls.SIZE:
            raise PeerError("base.bad-id-size", size=len(value))
        return super().__new__(cls, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The id whose text this is. *Raises* PeerError `base.bad-text` or `base.bad-id-size`."""
        return cls(bech32m.decode(cls.PREFIX, text))

    @property
    def text(self) -> str:
        """62 lower-case characters, beginning with the prefix and `1`."""
        return bech32m.encode(self.PREFIX, self)

    @property
    def short(self) -> str:
        """Prefix and first eight symbols: for logs and tables, never for a decision."""
        return self.text[: len(self.PREFIX) + 9]

    def __repr__(self) -> str:
        return f"<{self.text}>"

    __str__ = __repr__


class NodeId(Id):
    """Names a node for ever: SHA-256 over the identity's root key and a nonce; text `nzn1…`."""

    PREFIX = "nzn"
    __slots__ = ()


class IdentityId(Id):
    """Names an identity: its Ed25519 root public key; text `nzi1…`."""

    PREFIX = "nzi"
    __slots__ = ()
