"""Any bytes into the CBOR decoder: a value that encodes to the same bytes, or PeerError."""

from nzcore.base.errors import PeerError
from nzcore.codec import cbor


def target(data: bytes) -> None:
    """One input; raises AssertionError or whatever else is a bug."""
    try:
        value = cbor.decode(data)
    except PeerError:
        return
    assert cbor.encode(value) == data
