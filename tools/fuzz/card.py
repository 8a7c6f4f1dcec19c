"""Any bytes as a card of `nzcore.proto.identity`: encoded, armoured, as text, and as an address or a name."""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.proto.identity import armour
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.proto.identity.names import check_petname, sanitise, unique_petname


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and what was read returns from its text."""
    text = data.decode("utf-8", "replace")
    for attempt in (text, armour.encode("nzc", data)):
        with suppress(PeerError):
            read = Card.parse_text(attempt)
            assert Card.parse_text(read.qr_text) == read
    with suppress(PeerError):
        address = Address.parse(text)
        assert Address.parse(address.text) == address
    assert sanitise(sanitise(text)) == sanitise(text)
    name = unique_petname(text, [])
    assert unique_petname(text, [name]) != check_petname(name)
