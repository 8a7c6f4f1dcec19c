"""CipherState and SymmetricState, named as in the specification (Noise rev. 34 §5.1, §5.2; spec/noise.md §5).

Knows the running key, chaining key and hash of a handshake: no patterns, no key pairs, no turns. After the split
records are sealed by `nzcore.crypto.aead.CountingCipher` itself; `CipherState` serves the handshake only.
"""

import hashlib

from nzcore.base.errors import PeerError
from nzcore.crypto.aead import CountingCipher
from nzcore.crypto.hashing import INNER_PAD, OUTER_PAD, hmac_sha256

HASH_BYTES = 32

Mark = tuple[bytes, bytes, bytes | None, int]
"""Where a SymmetricState can return to: hash, chaining key, key, messages sealed under that key."""


_sha256 = hashlib.sha256
_PADDING = bytes(32)  # from a key of 32 bytes to SHA-256's block of 64


def hkdf(chaining_key: bytes, material: bytes, count: int) -> tuple[bytes, ...]:
    """The specification's HKDF (§4.3): 2 or 3 outputs of 32 bytes; both keys in it have 32 bytes.

    HMAC is spelled out (RFC 2104), because all outputs share one padded key and a handshake makes some 50 HMACs:
    measured, half the time of `hmac.digest`, and 0.72 of `cryptography`'s HKDF. A test holds it to the library's.
    """
    block = chaining_key + _PADDING
    inner = _sha256(block.translate(INNER_PAD) + material).digest()
    block = _sha256(block.translate(OUTER_PAD) + inner).digest() + _PADDING
    inner_keyed, outer_keyed = _sha256(block.translate(INNER_PAD)), _sha256(block.translate(OUTER_PAD))
    first = _finish(inner_keyed.copy(), outer_keyed.copy(), b"\x01")
    if count == 2:
        return first, _finish(inner_keyed, outer_keyed, first + b"\x02")
    second = _finish(inner_keyed.copy(), outer_keyed.copy(), first + b"\x02")
    return first, second, _finish(inner_keyed, outer_keyed, second + b"\x03")


def _finish(inner: "hashlib._Hash", outer: "hashlib._Hash", message: bytes) -> bytes:
    """An HMAC whose two hashes have taken in their padded keys."""
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()


class CipherState:
    """A key, or none yet, and how many messages it has sealed or opened: the nonce of the next one.

    The cipher is made at first use, because most keys of a handshake are replaced before any.
    """

    __slots__ = ("_cipher", "_key", "_uses")

    def __init__(self) -> None:
        self._cipher: CountingCipher | None = None
        self._key: bytes | None = None
        self._uses = 0

    def initialize_key(self, key: bytes | None, uses: int = 0) -> None:
        """Takes a new key of 32 bytes; `uses` above 0 is a return to an earlier point."""
        self._cipher = None
        self._key = key
        self._uses = uses

    @property
    def has_key(self) -> bool:
        return self._key is not None

    @property
    def position(self) -> tuple[bytes | None, int]:
        """What `initialize_key` needs to come back here."""
        return self._key, self._uses

    def encrypt_with_ad(self, ad: bytes, plaintext: bytes) -> bytes:
        """Ciphertext and tag; the plaintext itself while there is no key."""
        if self._key is None:
            return plaintext
        sealed = self._ready(self._key).encrypt(ad, plaintext)
        self._uses += 1
        return sealed

    def decrypt_with_ad(self, ad: bytes, ciphertext: bytes) -> bytes:
        """The plaintext; the input itself while there is no key. *Raises* PeerError `noise.not-authentic`."""
        if self._key is None:
            return ciphertext
        try:
            opened = self._ready(self._key).decrypt(ad, ciphertext)
        except PeerError as error:
            raise PeerError("noise.not-authentic") from error
        self._uses += 1
        return opened

    def _ready(self, key: bytes) -> CountingCipher:
        """The cipher at this position. Its nonce can't be set, so after a roll-back it is brought there by use."""
        if self._cipher is None:
            self._cipher = CountingCipher(key)
            for _ in range(self._uses):
                self._cipher.encrypt(b"", b"")
        return self._cipher


class SymmetricState:
    """Chaining key, hash and cipher of one handshake."""

    __slots__ = ("_chaining_key", "_cipher", "_hash")

    def __init__(self, protocol_name: str) -> None:
        """InitializeSymmetric."""
        name = protocol_name.encode("ascii")
        self._hash = name.ljust(HASH_BYTES, b"\0") if len(name) <= HASH_BYTES else _sha256(name).digest()
        self._chaining_key = self._hash
        self._cipher = CipherState()

    def __repr__(self) -> str:
        return "<SymmetricState>"

    def mix_key(self, material: bytes) -> None:
        self._chaining_key, key = hkdf(self._chaining_key, material, 2)
        self._cipher.initialize_key(key)

    def mix_hash(self, data: bytes) -> None:
        self._hash = _sha256(self._hash + data).digest()

    def mix_key_and_hash(self, material: bytes) -> None:
        self._chaining_key, mixed, key = hkdf(self._chaining_key, material, 3)
        self.mix_hash(mixed)
        self._cipher.initialize_key(key)

    def get_handshake_hash(self) -> bytes:
        """32 bytes that name this very handshake: both sides hold the same only if they saw the same."""
        return self._hash

    @property
    def has_key(self) -> bool:
        return self._cipher.has_key

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        sealed = self._cipher.encrypt_with_ad(self._hash, plaintext)
        self._hash = _sha256(self._hash + sealed).digest()
        return sealed

    def decrypt_and_hash(self, sealed: bytes) -> bytes:
        """*Raises* PeerError `noise.not-authentic`; the state is then to be rolled back."""
        plaintext = self._cipher.decrypt_with_ad(self._hash, sealed)
        self._hash = _sha256(self._hash + sealed).digest()
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """Keys of the two directions, the initiator's sending one first."""
        first, second = hkdf(self._chaining_key, b"", 2)
        return first, second

    def export(self, label: str) -> bytes:
        """32 bytes bound to this handshake under `label`: HMAC(chaining key, label, 0, hash)."""
        return hmac_sha256(self._chaining_key, label.encode("ascii") + b"\0" + self._hash)

    def mark(self) -> Mark:
        return (self._hash, self._chaining_key, *self._cipher.position)

    def roll_back(self, mark: Mark) -> None:
        self._hash, self._chaining_key, key, uses = mark
        self._cipher.initialize_key(key, uses)
