"""However records arrive, what comes out of them is the same; the short way for a single one changes nothing."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.channel.frames import DATA
from nzcore.proto.channel.records import SMALL, RecordReader, RecordWriter

KEY = bytes(range(32))


def reader() -> RecordReader:
    return RecordReader(CountingCipher(KEY))


def written(*sizes: int) -> list[bytes]:
    """A whole record for each size of data."""
    writer = RecordWriter(CountingCipher(KEY), 32 << 10)
    records = []
    for size in sizes:
        writer.data(1, bytes(size))
        records.append(b"".join(writer.take()))
    return records


def read(receiver: RecordReader, data: bytes) -> list[bytes]:
    """As a channel does it."""
    single = receiver.open_single(data)
    return [single] if single is not None else list(receiver.open(data))


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=5), st.data())
def test_records_mean_the_same_alone_joined_or_cut_anywhere(sizes: list[int], draw: st.DataObject) -> None:
    records = written(*sizes)
    stream = b"".join(records)
    alone, pieces = reader(), reader()
    expected = [plaintext for record in records for plaintext in read(alone, record)]
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    got = [text for at, to in pairwise(edges) for text in read(pieces, stream[at:to])]
    assert got == expected
    assert [len(text) - 7 for text in got] == sizes
    assert (pieces.records, pieces.bytes, pieces.total_bytes) == (alone.records, alone.bytes, alone.total_bytes)


@pytest.mark.parametrize("bad", [b"", b"\0", b"\0\x10" + bytes(16), b"\0\x11" + bytes(18)])
def test_what_is_no_single_record_goes_the_long_way_untouched(bad: bytes) -> None:
    receiver = reader()
    assert receiver.open_single(bad) is None
    assert (receiver.records, receiver.total_bytes) == (0, 0)


def test_a_record_behind_the_rest_of_another_is_no_single_one() -> None:
    first, second = written(5, 6)
    receiver = reader()
    assert list(receiver.open(first[:4])) == []
    assert receiver.open_single(second) is None
    assert len(list(receiver.open(first[4:] + second))) == 2


def test_a_forged_single_record_is_refused_and_counts_nothing() -> None:
    (record,) = written(5)
    receiver = reader()
    with pytest.raises(PeerError, match=r"crypto\.not-authentic"):
        receiver.open_single(record[:-1] + bytes([record[-1] ^ 1]))
    assert receiver.records == 0
    assert receiver.open_single(record) is not None


def test_small_records_are_one_buffer_and_large_ones_two() -> None:
    writer = RecordWriter(CountingCipher(KEY), 32 << 10)
    writer.data(1, bytes(100))
    assert len(writer.take()) == 1
    writer.data(1, bytes(SMALL))
    length, ciphertext = writer.take()
    assert int.from_bytes(length, "big") == len(ciphertext)
    assert reader().open_single(b"".join(written(100))) == bytes([DATA, 0, 0, 0, 1, 0, 100]) + bytes(100)
