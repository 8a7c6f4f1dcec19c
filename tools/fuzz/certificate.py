"""Any bytes as a certificate or a retirement of `nzcore.proto.identity`, as bytes and as text."""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.proto.identity.certificate import Certificate, Retirement


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and what was read returns from its text."""
    for kind in (Certificate, Retirement):
        with suppress(PeerError):
            kind.parse_text(data.decode("utf-8", "replace"))
        with suppress(PeerError):
            read = kind.parse(data)
            assert kind.parse_text(read.text) == read
