"""COSE_Sign1 in the one form of signed objects (spec/crypto.md §4; RFC 9052 §4.2 and §4.4). Knows no keys.

The protected bucket is always `{1: -8}` (EdDSA) and so a constant; the purpose's label is the external_aad. Nothing
in the object tells a verifier which algorithm, key or label to use: that is why nothing in it can lie about them.
"""

from typing import NamedTuple

from nzcore.base.errors import PeerError, UsageError
from nzcore.codec import cbor

PROTECTED = bytes.fromhex("a10127")
"""The encoded protected bucket: algorithm EdDSA."""

SIGNATURE_BYTES = 64
MAX_LABEL = 64
"""Longest label in characters."""

_BYTES = 2  # CBOR's major type of byte strings
_START = b"\x84" + cbor.head(_BYTES, len(PROTECTED)) + PROTECTED + b"\xa0"  # array of 4, protected, empty unprotected
_SIGNATURE_HEAD = cbor.head(_BYTES, SIGNATURE_BYTES)
_SIG_STRUCTURE_START = b"\x84\x6aSignature1" + cbor.head(_BYTES, len(PROTECTED)) + PROTECTED


class Sign1(NamedTuple):
    """Payload and its signature (64 bytes), not yet verified."""

    payload: bytes
    signature: bytes


def to_be_signed(payload: bytes, label: str) -> bytes:
    """The Sig_structure whose Ed25519 signature makes `payload` a signed object of the purpose `label`.

    *Raises* UsageError `codec.unencodable` unless `label` has 1 to 64 printable ASCII characters.
    """
    if not (label.isascii() and label.isprintable() and 0 < len(label) <= MAX_LABEL):
        raise UsageError("codec.unencodable", "a label that is not 1 to 64 printable ASCII characters")
    return _SIG_STRUCTURE_START + _bstr(label.encode("ascii")) + _bstr(payload)


def encode_sign1(sign1: Sign1) -> bytes:
    """The untagged COSE_Sign1 array. *Raises* UsageError `codec.unencodable` unless the signature has 64 bytes."""
    if len(sign1.signature) != SIGNATURE_BYTES:
        raise UsageError("codec.unencodable", "a signature that has not 64 bytes")
    return _START + _bstr(sign1.payload) + _SIGNATURE_HEAD + sign1.signature


def decode_sign1(data: bytes, *, max_bytes: int) -> Sign1:
    """Payload and signature of the one form that is accepted: untagged, attached payload, no other header.

    *Raises* PeerError `codec.too-large`, or `codec.bad-sign1` for anything that `encode_sign1` would not have written.
    """
    if len(data) > max_bytes:
        raise PeerError("codec.too-large", size=len(data), limit=max_bytes)
    if not data.startswith(_START):
        raise PeerError("codec.bad-sign1")
    try:
        major, size, start = cbor.read_head(data, len(_START))
    except PeerError as error:
        raise PeerError("codec.bad-sign1") from error
    end = start + size
    signature_start = end + len(_SIGNATURE_HEAD)
    if (
        major != _BYTES
        or len(data) != signature_start + SIGNATURE_BYTES
        or data[end:signature_start] != _SIGNATURE_HEAD
    ):
        raise PeerError("codec.bad-sign1")
    return Sign1(bytes(data[start:end]), bytes(data[signature_start:]))


def _bstr(content: bytes) -> bytes:
    return cbor.head(_BYTES, len(content)) + content
