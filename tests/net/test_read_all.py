"""Reading a whole reply, however it is cut."""

import tracemalloc

import pytest

from nzcore.base.errors import PeerError
from nzcore.net.requests import read_all


class Drip:
    """A stream on which two bytes come at a time."""

    def __init__(self, pieces):
        self.left = pieces

    async def receive_some(self):
        if not self.left:
            return b""
        self.left -= 1
        return self.left.to_bytes(2, "big")


async def test_a_reply_in_small_pieces_takes_about_its_size():
    pieces = 50_000
    tracemalloc.start()
    try:
        data = await read_all(Drip(pieces), 2 * pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(data) == 2 * pieces
    assert peak < 8 * len(data)


async def test_a_reply_that_is_too_long_is_refused_at_the_first_byte_too_many():
    drip = Drip(100)
    with pytest.raises(PeerError) as refused:
        await read_all(drip, 5)
    assert refused.value.code == "net.reply-too-long"
    assert drip.left == 97
