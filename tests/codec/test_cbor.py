"""The CBOR subset of signed objects: one value, one encoding, and everything else refused before it is built."""

import time
import tracemalloc
import unicodedata

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.codec import cbor
from tests.codec.nesting import depth
from tests.refusals import code_of
from tools.fuzz.cbor import target

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(
    lambda text: unicodedata.normalize("NFC", text)
)
SCALARS = st.integers(0, cbor.MAX_UINT) | st.binary(max_size=300) | TEXT | st.booleans()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, cbor.MAX_KEY), inner, max_size=5),
    max_leaves=20,
).filter(lambda value: depth(value) <= limits.NESTING)


@given(VALUES)
def test_every_value_returns_from_its_encoding(value: cbor.Value) -> None:
    assert cbor.decode(cbor.encode(value), max_bytes=1 << 20) == value


@given(VALUES)
def test_an_encoding_is_what_another_library_calls_canonical(value: cbor.Value) -> None:
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_that_encodes_back_or_are_refused(data: bytes) -> None:
    target(data)


@given(VALUES, st.data())
def test_a_changed_byte_gives_another_value_or_a_refusal(value: cbor.Value, data: st.DataObject) -> None:
    encoded = bytearray(cbor.encode(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    target(bytes(encoded))


@pytest.mark.parametrize(
    ("hexadecimal", "code"),
    [
        ("", "codec.truncated"),
        ("f97e00", "codec.forbidden-type"),  # half float NaN
        ("fa47c35000", "codec.forbidden-type"),
        ("fb3ff199999999999a", "codec.forbidden-type"),
        ("f6", "codec.forbidden-type"),  # null
        ("f7", "codec.forbidden-type"),  # undefined
        ("f0", "codec.forbidden-type"),  # simple(16)
        ("f8ff", "codec.forbidden-type"),
        ("f814", "codec.forbidden-type"),  # false in two bytes
        ("ff", "codec.forbidden-type"),  # a break without a beginning
        ("20", "codec.forbidden-type"),  # -1
        ("c11a514b67b0", "codec.forbidden-type"),  # tag 1
        ("d81843010203", "codec.forbidden-type"),
        ("c249010000000000000000", "codec.forbidden-type"),  # bignum
        ("1b8000000000000000", "codec.bad-number"),  # 2^63
        ("1bffffffffffffffff", "codec.bad-number"),
        ("1817", "codec.not-canonical"),  # 23 in two bytes
        ("1900ff", "codec.not-canonical"),
        ("1a0000ffff", "codec.not-canonical"),
        ("1b00000000ffffffff", "codec.not-canonical"),
        ("5801ff", "codec.not-canonical"),  # a long length
        ("780161", "codec.not-canonical"),
        ("980101", "codec.not-canonical"),
        ("b8010001", "codec.not-canonical"),
        ("1c", "codec.not-canonical"),  # reserved
        ("5f4101ff", "codec.not-canonical"),  # indefinite lengths
        ("7f6161ff", "codec.not-canonical"),
        ("9f01ff", "codec.not-canonical"),
        ("bf0001ff", "codec.not-canonical"),
        ("a201000000", "codec.not-canonical"),  # unsorted keys
        ("a200010001", "codec.not-canonical"),  # a key twice
        ("a1181800", "codec.bad-key"),  # key 24
        ("a12000", "codec.bad-key"),  # key -1
        ("a1616100", "codec.bad-key"),  # key "a"
        ("a1410000", "codec.bad-key"),
        ("a1f400", "codec.bad-key"),
        ("a18000", "codec.bad-key"),
        ("a100a1616100", "codec.bad-key"),  # nested maps obey the same rules
        ("81a201000000", "codec.not-canonical"),
        ("61ff", "codec.bad-text"),
        ("62c080", "codec.bad-text"),  # overlong NUL
        ("63eda080", "codec.bad-text"),  # a surrogate
        ("6365cc81", "codec.bad-text"),  # e and a combining accent: NFD
        ("63e284ab", "codec.bad-text"),  # the Ångström sign, which NFC replaces
        ("18", "codec.truncated"),
        ("1bffff", "codec.truncated"),
        ("4201", "codec.truncated"),
        ("6261", "codec.truncated"),
        ("8101"[:2], "codec.truncated"),
        ("820101"[:4], "codec.truncated"),
        ("a100", "codec.truncated"),
        ("a20001", "codec.truncated"),
        ("5b7fffffffffffffff", "codec.truncated"),  # a length of 2^63 - 1
        ("9b7fffffffffffffff", "codec.truncated"),
        ("bb7fffffffffffffff", "codec.truncated"),
        ("0000", "codec.trailing"),
        ("a000", "codec.trailing"),
        ("818181818181818181" + "00", "codec.too-deep"),  # nine arrays
        ("a100" * 8 + "a0", "codec.too-deep"),
    ],
)
def test_everything_outside_the_subset_is_refused_with_its_code(hexadecimal: str, code: str) -> None:
    assert code_of(PeerError, cbor.decode, bytes.fromhex(hexadecimal)) == code


@pytest.mark.parametrize("value", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1])
def test_integers_at_the_edges_of_their_lengths_return(value: int) -> None:
    assert cbor.decode(cbor.encode(value)) == value


def test_eight_levels_are_the_most() -> None:
    nested: list[object] = []
    for _ in range(limits.NESTING - 1):
        nested = [nested]
    assert cbor.decode(cbor.encode(nested)) == nested
    with pytest.raises(UsageError) as caught:
        cbor.encode([nested])
    assert caught.value.code == "codec.unencodable"


def test_objects_beyond_the_limit_are_not_read() -> None:
    data = cbor.encode(bytes(100))
    assert cbor.decode(data, max_bytes=len(data)) == bytes(100)
    with pytest.raises(PeerError) as caught:
        cbor.decode(data, max_bytes=len(data) - 1)
    assert caught.value.code == "codec.too-large"


@pytest.mark.parametrize(
    "value",
    [
        -1, 1 << 63, 1.0, None, bytearray(b"x"), {1}, object(), "e\u0301", "\ud800",
        {24: 1}, {-1: 1}, {"a": 1}, {True: 1}, {b"": 1}, [None], {0: [1.5]},
    ],
)  # fmt: skip
def test_what_could_not_be_read_is_not_written(value: object) -> None:
    with pytest.raises(UsageError) as caught:
        cbor.encode(value)
    assert caught.value.code == "codec.unencodable"


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(UsageError):
        cbor.encode(loop)


def test_ids_and_tuples_are_written_as_bytes_and_arrays() -> None:
    node = NodeId(bytes(range(32)))
    assert cbor.encode((node, True)) == cbor.encode([bytes(node), True])


def test_keys_are_written_in_order() -> None:
    assert cbor.encode({2: 0, 0: 0, 23: 0}) == bytes.fromhex("a3000002001700")


def test_the_comparison_alone_would_refuse_other_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cbor, "_scan_item", lambda data, offset, levels: len(data))
    for text in ("1817", "a201000000", "9f01ff", "fb3ff8000000000000", "1c"):
        assert code_of(PeerError, cbor.decode, bytes.fromhex(text)) == "codec.not-canonical"


def test_false_lengths_cost_no_memory() -> None:
    hostile = bytes.fromhex("9b0000000fffffffff" * 400)[: limits.SIGNED_OBJECT_BYTES]
    code_of(PeerError, cbor.decode, hostile)
    tracemalloc.start()
    try:
        code_of(PeerError, cbor.decode, hostile)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_worst_object_of_the_largest_size_is_read_quickly() -> None:
    worst = cbor.encode([[0] * 4000, []])
    start = time.perf_counter()
    cbor.decode(worst)
    assert time.perf_counter() - start < 1  # a hundred times what it takes: linear, even on a loaded machine
