"""Any bytes as a ticket of `nzcore.proto.identity.ticket`: encoded, armoured and as text."""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.proto.identity import armour
from nzcore.proto.identity.ticket import Ticket


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and what was read returns from its bytes and its text."""
    with suppress(PeerError):
        read = Ticket.parse(data)
        assert read.encode() == data
        assert Ticket.parse_text(read.qr_text) == read
    for text in (data.decode("utf-8", "replace"), armour.encode("nz", data)):
        with suppress(PeerError):
            assert Ticket.parse_text(text).text
