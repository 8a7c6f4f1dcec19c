"""Any bytes, in any pieces, to both sides of `nzcore.proto.pairing.phrase`."""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.proto.pairing.phrase import Phrase


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and nobody agrees without having accepted."""
    step = 1 + (data[0] if data else 0)
    for initiator in (True, False):
        machine = Phrase(bytes(32), initiator=initiator)
        with suppress(PeerError):
            for start in range(0, len(data), step):
                machine.receive(data[start : start + step])
        assert not machine.agreed
