"""Asymmetric keys as distinct types: Ed25519 signs, X25519 agrees, ML-KEM-768 encapsulates (spec/crypto.md §5).

Libraries were chosen by measurement (§12 there). Private X25519 and ML-KEM keys live inside OpenSSL, which
overwrites them when the last reference goes; `wipe` drops that reference. The Ed25519 key lives in a bytearray here,
which `wipe` overwrites, and as a copy for the length of each `sign`. See `nzcore.crypto.secrets` on what no wiping
reaches.
"""

from typing import ClassVar, Self

import nacl.bindings as sodium
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from nacl.exceptions import BadSignatureError

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.random import random_bytes
from nzcore.crypto.registers import clean_registers
from nzcore.crypto.secrets import Hidden, SecretBytes

SEED_BYTES = 32
KEM_SEED_BYTES = 64
KEM_CIPHERTEXT_BYTES = 1088
SHARED_BYTES = 32


class FixedBytes(bytes):
    """Public bytes of one size; equal to and hashed as their bytes. Use a subclass."""

    SIZE: ClassVar[int]
    __slots__ = ()

    def __new__(cls, value: bytes) -> Self:
        """*Raises* PeerError `crypto.bad-size` unless `value` has the type's size."""
        if len(value) != cls.SIZE:
            raise PeerError("crypto.bad-size", type=cls.__name__, size=len(value))
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self[:8].hex()}…>"

    __str__ = __repr__


class Signature(FixedBytes):
    """An Ed25519 signature, not yet verified."""

    SIZE = 64
    __slots__ = ()


class VerifyKey(FixedBytes):
    """An Ed25519 public key. Whether it is a usable point shows at `verify`."""

    SIZE = 32
    __slots__ = ()

    def verify(self, signature: bytes, message: bytes) -> None:
        """Returns if `signature` is this key's over `message`; strict: one verdict everywhere (spec/crypto.md §5.1).

        *Raises* PeerError `crypto.bad-signature` for anything else: a wrong signature or size, a key or a commitment of
        small order, a key that is not canonically encoded, an S that is not reduced.
        """
        if len(signature) != Signature.SIZE:
            raise PeerError("crypto.bad-signature")
        try:
            sodium.crypto_sign_open(signature + message, self)
        except BadSignatureError as error:
            raise PeerError("crypto.bad-signature") from error


class SigningKey(Hidden):
    """An Ed25519 private key. Its owner calls `wipe` at the end of its life."""

    __slots__ = ("_expanded", "public")

    public: VerifyKey

    def __init__(self, seed: SecretBytes | bytes) -> None:
        """From the 32-byte seed of RFC 8032. *Raises* UsageError `crypto.bad-size`."""
        public, expanded = sodium.crypto_sign_seed_keypair(_of_size(seed, SEED_BYTES))
        self._expanded = SecretBytes(expanded)  # seed ‖ public key: libsodium's form
        self.public = VerifyKey(public)

    @classmethod
    def generate(cls) -> Self:
        """A fresh random key."""
        return cls(random_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: SecretBytes | bytes) -> Self:
        """The key of a 32-byte seed. *Raises* UsageError `crypto.bad-size`."""
        return cls(seed)

    def sign(self, message: bytes) -> Signature:
        """64 bytes, the same for the same message. *Raises* UsageError `crypto.wiped`."""
        return Signature(sodium.crypto_sign(message, self._expanded.reveal())[: Signature.SIZE])

    def seed(self) -> SecretBytes:
        """The 32-byte seed, for the vault only; the caller wipes it. *Raises* UsageError `crypto.wiped`."""
        return SecretBytes(self._expanded.view()[:SEED_BYTES])

    def wipe(self) -> None:
        """Overwrites the key; the public half stays. Harmless when repeated."""
        self._expanded.wipe()


class AgreementPublic(FixedBytes):
    """An X25519 public key."""

    SIZE = 32
    __slots__ = ()


class AgreementSecret(Hidden):
    """An X25519 private key. Its owner calls `wipe` at the end of its life."""

    __slots__ = ("_key", "public")

    public: AgreementPublic

    def __init__(self, secret: SecretBytes | bytes) -> None:
        """From 32 secret bytes, clamped as RFC 7748 says. *Raises* UsageError `crypto.bad-size`."""
        clean_registers()
        key = X25519PrivateKey.from_private_bytes(_of_size(secret, SEED_BYTES))
        self._key: X25519PrivateKey | None = key
        self.public = AgreementPublic(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """A fresh random key."""
        return cls(random_bytes(SEED_BYTES))

    @classmethod
    def from_bytes(cls, secret: SecretBytes | bytes) -> Self:
        """The key of 32 secret bytes. *Raises* UsageError `crypto.bad-size`."""
        return cls(secret)

    def agree(self, public: AgreementPublic) -> bytes:
        """The 32-byte secret shared with the owner of `public`; not uniform: hash it before use as a key.

        *Raises* PeerError `crypto.zero-agreement` where `public` has small order, UsageError `crypto.wiped`.
        """
        try:
            return self._present().exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:
            raise PeerError("crypto.zero-agreement") from error

    def seed(self) -> SecretBytes:
        """The 32 secret bytes, for the vault only; the caller wipes them. *Raises* UsageError `crypto.wiped`."""
        return SecretBytes(self._present().private_bytes_raw())

    def wipe(self) -> None:
        """Drops the key, which OpenSSL then overwrites; the public half stays. Harmless when repeated."""
        self._key = None

    def _present(self) -> X25519PrivateKey:
        if self._key is None:
            raise UsageError("crypto.wiped", type=type(self).__name__)
        return self._key


class KemPublic(FixedBytes):
    """An ML-KEM-768 encapsulation key. Whether it is valid shows at `encapsulate`."""

    SIZE = 1184
    __slots__ = ()

    def encapsulate(self) -> tuple[bytes, bytes]:
        """A fresh shared secret (32 bytes) and the ciphertext (1,088 bytes) that carries it to the key's owner.

        *Raises* PeerError `crypto.bad-kem-key` where the key fails FIPS 203's modulus check.
        """
        clean_registers()
        try:
            return MLKEM768PublicKey.from_public_bytes(self).encapsulate()
        except ValueError as error:
            raise PeerError("crypto.bad-kem-key") from error


class KemSecret(Hidden):
    """An ML-KEM-768 decapsulation key. Its owner calls `wipe` at the end of its life."""

    __slots__ = ("_key", "public")

    public: KemPublic

    def __init__(self, seed: SecretBytes | bytes) -> None:
        """From FIPS 203's 64-byte seed d ‖ z. *Raises* UsageError `crypto.bad-size`."""
        clean_registers()
        key = MLKEM768PrivateKey.from_seed_bytes(_of_size(seed, KEM_SEED_BYTES))
        self._key: MLKEM768PrivateKey | None = key
        self.public = KemPublic(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """A fresh random key."""
        return cls(random_bytes(KEM_SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: SecretBytes | bytes) -> Self:
        """The key of a 64-byte seed. *Raises* UsageError `crypto.bad-size`."""
        return cls(seed)

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The 32-byte secret in `ciphertext`; for one that was tampered with, an unpredictable other one (FIPS 203
        §6.3).

        *Raises* PeerError `crypto.bad-kem-ciphertext` for another size than 1,088, UsageError `crypto.wiped`.
        """
        if len(ciphertext) != KEM_CIPHERTEXT_BYTES:
            raise PeerError("crypto.bad-kem-ciphertext", size=len(ciphertext))
        clean_registers()
        return self._present().decapsulate(ciphertext)

    def seed(self) -> SecretBytes:
        """The 64-byte seed, for the vault only; the caller wipes it. *Raises* UsageError `crypto.wiped`."""
        return SecretBytes(self._present().private_bytes_raw())

    def wipe(self) -> None:
        """Drops the key, which OpenSSL then overwrites; the public half stays. Harmless when repeated."""
        self._key = None

    def _present(self) -> MLKEM768PrivateKey:
        if self._key is None:
            raise UsageError("crypto.wiped", type=type(self).__name__)
        return self._key


def _of_size(secret: SecretBytes | bytes, size: int) -> bytes:
    value = secret.reveal() if isinstance(secret, SecretBytes) else secret
    if len(value) != size:
        raise UsageError("crypto.bad-size", size=len(value), expected=size)
    return value
