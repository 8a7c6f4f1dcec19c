"""MessagePack with limits: whole messages, streams in any cutting, hostile bytes."""

import tracemalloc

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError
from nzcore.codec import frames
from tests.codec.nesting import depth
from tests.refusals import code_of
from tools.fuzz.frames import target

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.binary(max_size=50)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: depth(value) <= limits.NESTING)


@given(VALUES)
def test_every_value_returns_from_its_message(value: object) -> None:
    assert frames.unpack(frames.pack(value)) == value


@given(st.lists(VALUES, max_size=6), st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_any_cutting_of_a_stream_gives_the_same_values(values: list[object], sizes: list[int]) -> None:
    stream, reader, read, turn = b"".join(map(frames.pack, values)), frames.MessageReader(), [], 0
    while stream:
        size = sizes[turn % len(sizes)]
        read += reader.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert read == values


@given(st.binary(max_size=120))
def test_any_bytes_are_values_or_are_refused(data: bytes) -> None:
    target(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "codec.truncated"),
        (b"\x92\x01", "codec.truncated"),
        (b"\xc6\x7f\xff\xff\xff", "codec.truncated"),
        (b"\xdd\xff\xff\xff\xff", "codec.truncated"),
        (b"\xdf\xff\xff\xff\xff", "codec.truncated"),
        (b"\x01\x02", "codec.trailing"),
        (b"\xc1", "codec.bad-message"),
        (b"\xa1\xff", "codec.bad-message"),  # not UTF-8
        (b"\x81\x01\x01", "codec.bad-message"),  # a key that is no text
        (b"\x81\x90\x01", "codec.bad-message"),
        (b"\x91" * 2000 + b"\x01", "codec.bad-message"),
        (b"\x81\xc4\x01a\x01", "codec.bad-key"),  # bytes as key
        (b"\x82\xa1a\x01\xa1a\x02", "codec.bad-key"),  # a key twice
        (b"\xd6\xff\x00\x00\x00\x00", "codec.forbidden-type"),  # a timestamp
        (b"\x91\xd4\x05\x00", "codec.forbidden-type"),  # an extension
        (b"\x91" * 9 + b"\x01", "codec.too-deep"),
        (b"\x81\xa1a" * 9 + b"\x01", "codec.too-deep"),
    ],
)
def test_hostile_messages_are_refused_with_their_code(data: bytes, code: str) -> None:
    assert code_of(PeerError, frames.unpack, data) == code


def test_eight_levels_are_the_most() -> None:
    assert frames.unpack(b"\x91" * 8 + b"\x01") == [[[[[[[[1]]]]]]]]
    assert frames.unpack(b"\x91" * 7 + b"\x90") == [[[[[[[[]]]]]]]]


def test_messages_beyond_the_limit_are_not_read() -> None:
    data = frames.pack("x" * 100)
    assert frames.unpack(data, max_bytes=len(data)) == "x" * 100
    assert code_of(PeerError, frames.unpack, data, max_bytes=len(data) - 1) == "codec.too-large"


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800", {1, 2}])
def test_what_has_no_message_is_not_packed(value: object) -> None:
    with pytest.raises(UsageError) as caught:
        frames.pack(value)
    assert caught.value.code == "codec.unencodable"


def test_a_value_that_contains_itself_is_not_packed() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(UsageError):
        frames.pack(loop)


def test_a_reader_that_refused_once_refuses_for_ever() -> None:
    reader = frames.MessageReader()
    for data in (b"\xc1", b"\x01", b""):
        with pytest.raises(PeerError) as caught:
            reader.feed(data)
        assert caught.value.code == "codec.bad-message"


def test_a_reader_refuses_a_message_as_soon_as_it_is_too_long() -> None:
    reader = frames.MessageReader(max_bytes=10)
    assert reader.feed(frames.pack(b"x" * 8) * 5) == [b"x" * 8] * 5  # the limit counts each message
    assert reader.feed(b"\xc4\xff" + bytes(8)) == []
    with pytest.raises(PeerError) as caught:
        reader.feed(b"\0")
    assert caught.value.code == "codec.too-large"


def test_a_complete_message_beyond_the_limit_is_refused_in_a_stream() -> None:
    with pytest.raises(PeerError) as caught:
        frames.MessageReader(max_bytes=10).feed(frames.pack(b"x" * 9))
    assert caught.value.code == "codec.too-large"


def test_a_reader_lets_go_of_what_it_has_given_out() -> None:
    reader, message = frames.MessageReader(), frames.pack(b"x" * 10_000)
    reader.feed(message)
    tracemalloc.start()
    try:
        for _ in range(500):
            reader.feed(message)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_claimed_elements_cost_no_memory_before_they_are_there() -> None:
    hostile = b"\xdd\x00\x0f\xff\xff" * 1000 + bytes(1000)
    code_of(PeerError, frames.unpack, hostile)
    tracemalloc.start()
    try:
        code_of(PeerError, frames.unpack, hostile)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_arrays_and_maps_are_read_as_another_library_writes_them() -> None:
    assert frames.unpack(msgpack.packb([1, {"a": b"x"}, (2.5, None)])) == [1, {"a": b"x"}, [2.5, None]]
