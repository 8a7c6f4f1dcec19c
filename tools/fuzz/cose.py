"""Any bytes into the COSE_Sign1 decoder: an object that encodes to the same bytes, or PeerError."""

from nzcore.base import limits
from nzcore.base.errors import PeerError
from nzcore.codec import cose


def target(data: bytes) -> None:
    """One input; raises AssertionError or whatever else is a bug."""
    try:
        sign1 = cose.decode_sign1(data, max_bytes=limits.SIGNED_OBJECT_BYTES)
    except PeerError:
        return
    assert cose.encode_sign1(sign1) == data
