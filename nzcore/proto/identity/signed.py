"""Signed objects: deterministic CBOR in COSE_Sign1 under Ed25519, one label a purpose (NZ-IDENTITY-01 §1).

Knows how the three belong together and no purpose of its own; trust and routing sign their objects here too.
"""

from collections.abc import Callable
from typing import NamedTuple

from nzcore.base import limits
from nzcore.codec import cbor, cose
from nzcore.codec.cbor import Encodable, Value
from nzcore.crypto.keys import SigningKey, VerifyKey

KeyFinder = Callable[[Value], VerifyKey]
"""Takes the decoded, not yet verified payload and names the key that must have signed it, or raises PeerError."""


class Opened(NamedTuple):
    """A verified object: its value, and the payload bytes that ids and comparisons are made of."""

    value: Value
    payload: bytes


def sign_object(key: SigningKey, label: str, value: Encodable) -> bytes:
    """The encoded COSE_Sign1 over `value` for the purpose `label`.

    *Raises* UsageError `codec.unencodable` for a value outside the CBOR subset.
    """
    payload = cbor.encode(value)
    return cose.encode_sign1(cose.Sign1(payload, key.sign(cose.to_be_signed(payload, label))))


def open_signed(
    data: bytes, label: str, key: VerifyKey | KeyFinder, *, max_bytes: int = limits.SIGNED_OBJECT_BYTES
) -> Opened:
    """The value in `data` and its payload bytes, once the signature of `key` under `label` verifies.

    A callable `key` sees the payload before it is verified; what it raises comes out unchanged.
    *Raises* PeerError `codec.*` for bytes that are no such object, `crypto.bad-signature` for any other signer,
    purpose or content.
    """
    sign1 = cose.decode_sign1(data, max_bytes=max_bytes)
    value = cbor.decode(sign1.payload, max_bytes=max_bytes)
    verify_key = key if isinstance(key, VerifyKey) else key(value)
    verify_key.verify(sign1.signature, cose.to_be_signed(sign1.payload, label))
    return Opened(value, sign1.payload)


def open_object(
    data: bytes, label: str, key: VerifyKey | KeyFinder, *, max_bytes: int = limits.SIGNED_OBJECT_BYTES
) -> Value:
    """The value alone; see `open_signed`."""
    return open_signed(data, label, key, max_bytes=max_bytes).value
