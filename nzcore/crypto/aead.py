"""Sealing with ChaCha20-Poly1305 (RFC 8439), by purpose; no nonce is ever a parameter (spec/crypto.md §7).

`encrypt_into` and `decrypt_into` of the library are not used: measured, they win at most 4 % at 64 KiB and lose
below 1 KiB.
"""

from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.hashing import hkdf, hmac_sha256
from nzcore.crypto.keys import FixedBytes
from nzcore.crypto.random import random_bytes
from nzcore.crypto.secrets import KEY_BYTES, Hidden, Key32, SecretBytes, StoreKey

TAG_BYTES = 16
LAST_COUNTER = (1 << 64) - 1
"""Never used as a nonce: Noise reserves it (rev. 34 §5.1)."""

MAX_TRANSACTION_ROWS = 1 << 32
SECRET_SALT_BYTES = 32
MAX_LABEL = 64

_nonce = Struct("<4xQ").pack  # 4 zero bytes ‖ little-endian counter, as in Noise's ChaChaPoly


class CountingCipher(Hidden):
    """One direction of a connection: seals or opens messages in order under one key, each under the next counter.

    Never use one object for both directions, and never two objects with one key for sealing.
    """

    __slots__ = ("_aead", "_counter")

    def __init__(self, key: Key32 | bytes) -> None:
        """A cipher at counter 0. *Raises* UsageError `crypto.bad-size` unless the key has 32 bytes."""
        self._aead: ChaCha20Poly1305 | None = _aead(key)
        self._counter = 0

    @property
    def counter(self) -> int:
        """How many messages were sealed or opened."""
        return self._counter

    def encrypt(self, ad: bytes, plaintext: bytes) -> bytes:
        """Ciphertext, 16 bytes longer than `plaintext`, bound to `ad`.

        *Raises* UsageError `crypto.exhausted` after 2^64 - 1 messages, `crypto.wiped`.
        """
        counter = self._counter
        if self._aead is None or counter >= LAST_COUNTER:
            raise self._unusable()
        self._counter = counter + 1  # first: should sealing fail, the nonce is not used again
        return self._aead.encrypt(_nonce(counter), plaintext, ad)

    def decrypt(self, ad: bytes, ciphertext: bytes | memoryview) -> bytes:
        """Plaintext of the next message; the counter moves only if it opens.

        *Raises* PeerError `crypto.not-authentic`, UsageError `crypto.exhausted` or `crypto.wiped`.
        """
        counter = self._counter
        if self._aead is None or counter >= LAST_COUNTER:
            raise self._unusable()
        try:
            plaintext = self._aead.decrypt(_nonce(counter), ciphertext, ad)
        except InvalidTag as error:
            raise PeerError("crypto.not-authentic") from error
        self._counter = counter + 1
        return plaintext

    def wipe(self) -> None:
        """Drops the key, which the library then frees. Harmless when repeated."""
        self._aead = None

    def _unusable(self) -> UsageError:
        return UsageError("crypto.wiped") if self._aead is None else UsageError("crypto.exhausted")


class TransactionSalt(FixedBytes):
    """Random salt of one transaction, stored with its rows."""

    SIZE = 24
    __slots__ = ()


class TransactionSealer(Hidden):
    """Seals the rows of one transaction under a key of its own, row by row. One object, one transaction."""

    __slots__ = ("_aead", "_index", "salt")

    salt: TransactionSalt

    def __init__(self, key: StoreKey, label: str) -> None:
        """Draws the salt. *Raises* UsageError `crypto.bad-label` or `crypto.wiped`."""
        self.salt = TransactionSalt(random_bytes(TransactionSalt.SIZE))
        self._aead = _transaction_aead(key, label, self.salt)
        self._index = 0

    def seal(self, aad: bytes, plaintext: bytes) -> tuple[int, bytes]:
        """The row's index in the transaction, and its ciphertext (16 bytes longer), bound to `aad`.

        *Raises* UsageError `crypto.exhausted` after 2^32 rows.
        """
        index = self._index
        if index >= MAX_TRANSACTION_ROWS:
            raise UsageError("crypto.exhausted")
        self._index = index + 1
        return index, self._aead.encrypt(_nonce(index), plaintext, aad)


class TransactionOpener(Hidden):
    """Opens rows of one transaction, in any order."""

    __slots__ = ("_aead",)

    def __init__(self, key: StoreKey, salt: bytes, label: str) -> None:
        """*Raises* PeerError `crypto.bad-size` unless `salt` has 24 bytes, UsageError `crypto.bad-label`,
        `crypto.wiped`."""
        self._aead = _transaction_aead(key, label, TransactionSalt(salt))

    def open(self, index: int, aad: bytes, sealed: bytes) -> bytes:
        """The row's plaintext. *Raises* PeerError `crypto.not-authentic`."""
        if not 0 <= index < MAX_TRANSACTION_ROWS:
            raise PeerError("crypto.not-authentic")
        try:
            return self._aead.decrypt(_nonce(index), sealed, aad)
        except InvalidTag as error:
            raise PeerError("crypto.not-authentic") from error


def seal_secret(key: Key32, label: str, plaintext: bytes | bytearray, *, aad: bytes = b"") -> bytes:
    """`plaintext` sealed for storage: salt (32) ‖ ciphertext (16 longer), under a key derived for this call alone.

    Bound to `label` and `aad` (a file's header, say). *Raises* UsageError `crypto.bad-label` or `crypto.wiped`.
    """
    salt = random_bytes(SECRET_SALT_BYTES)
    return salt + _secret_aead(key, label, salt).encrypt(_nonce(0), plaintext, aad)


def open_secret(key: Key32, label: str, sealed: bytes, *, aad: bytes = b"") -> SecretBytes:
    """What `seal_secret` sealed under the same key, label and `aad`; the caller wipes it.

    *Raises* PeerError `crypto.not-authentic`, UsageError `crypto.bad-label` or `crypto.wiped`.
    """
    salt, ciphertext = sealed[:SECRET_SALT_BYTES], sealed[SECRET_SALT_BYTES:]
    try:
        return SecretBytes(_secret_aead(key, label, salt).decrypt(_nonce(0), ciphertext, aad))
    except InvalidTag as error:
        raise PeerError("crypto.not-authentic") from error


def _aead(key: Key32 | bytes) -> ChaCha20Poly1305:
    value = key.view() if isinstance(key, Key32) else key
    if len(value) != KEY_BYTES:
        raise UsageError("crypto.bad-size", size=len(value))
    return ChaCha20Poly1305(value)


def _transaction_aead(key: StoreKey, label: str, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hmac_sha256(key.view(), _label(label), b"\0", salt))


def _secret_aead(key: Key32, label: str, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hkdf(key.view(), salt=salt, info=_label(label), length=KEY_BYTES))


def _label(label: str) -> bytes:
    if not (label.isascii() and label.isprintable() and 0 < len(label) <= MAX_LABEL):
        raise UsageError("crypto.bad-label", length=len(label))
    return label.encode("ascii")
