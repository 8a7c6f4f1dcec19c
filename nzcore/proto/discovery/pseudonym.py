"""Names that change all the time and that only peers recognise (spec/discovery.md §3).

Knows names and keys: not where they come from, and not when a name has had its time.
"""

from base64 import b32decode, b32encode
from collections.abc import Iterable
from typing import NamedTuple, Self, TypeVar

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.hashing import hmac_sha256, same_bytes
from nzcore.crypto.secrets import Key32

LABEL = b"NZ-DISCOVERY-01 mdns"
R_BYTES = 8
"""Random: two names of one node collide once in 2³² names."""

TAG_BYTES = 8
"""64 bits: a stranger's name passes for a peer's once in 2⁶⁴, and would only waste a dial."""

TEXT_CHARACTERS = 26
_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")

Owner = TypeVar("Owner")


class DiscoveryKey(Key32):
    """A node's discovery key `dk`: whoever has it recognises the node's pseudonyms."""

    __slots__ = ()


class Pseudonym(NamedTuple):
    """The name of an instance: random bytes, and a tag that says to peers whose they are."""

    r: bytes
    tag: bytes

    @classmethod
    def make(cls, key: DiscoveryKey, r: bytes, port: int) -> Self:
        """The name of a node with `key` that listens on `port`. *Raises* UsageError `discovery.bad-argument`."""
        if len(r) != R_BYTES or not 0 < port < 1 << 16:
            raise UsageError("discovery.bad-argument", port=port)
        return cls(r, _tag(key, r, port))

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `text` says, in letters of either case. *Raises* PeerError `discovery.bad-instance`."""
        folded = text.lower() if len(text) == TEXT_CHARACTERS and text.isascii() else ""
        if not folded or not _ALPHABET.issuperset(folded):
            raise PeerError("discovery.bad-instance")
        raw = b32decode(folded.upper() + "=" * (-len(folded) % 8))
        found = cls(raw[:R_BYTES], raw[R_BYTES:])
        if found.text != folded:  # several last symbols mean the same bytes: one of them is right
            raise PeerError("discovery.bad-instance")
        return found

    @property
    def text(self) -> str:
        """26 lower-case symbols of base32, without padding."""
        return b32encode(self.r + self.tag).decode().rstrip("=").lower()

    def is_of(self, key: DiscoveryKey, port: int) -> bool:
        """Whether the node with `key`, listening on `port`, is its author, or somebody repeats that node's name."""
        return same_bytes(self.tag, _tag(key, self.r, port))


def recognise(name: Pseudonym, port: int, keys: Iterable[tuple[Owner, DiscoveryKey]]) -> Owner | None:
    """The first owner whose key made `name` for `port`; None for a stranger's."""
    return next((owner for owner, key in keys if name.is_of(key, port)), None)


def _tag(key: DiscoveryKey, r: bytes, port: int) -> bytes:
    return hmac_sha256(key.view(), LABEL, b"\0", r, port.to_bytes(2, "big"))[:TAG_BYTES]
