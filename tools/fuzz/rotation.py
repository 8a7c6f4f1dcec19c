"""Any bytes as a rotation request of `nzcore.proto.identity`, as bytes and as text; and as a mnemonic."""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.rotation import RotationRequest


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and what was read returns from its text."""
    text = data.decode("utf-8", "replace")
    with suppress(PeerError):
        RotationRequest.parse_text(text)
    with suppress(PeerError):
        read = RotationRequest.parse(data)
        assert RotationRequest.parse_text(read.text) == read
    with suppress(PeerError):
        words = Mnemonic.parse(text)
        assert Mnemonic.parse(words.reveal()).reveal() == words.reveal()
