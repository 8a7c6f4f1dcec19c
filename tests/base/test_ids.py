import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base import bech32m
from nzcore.base.errors import PeerError
from nzcore.base.ids import IdentityId, NodeId


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("abcdef", "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx"),
        ("split", "split1checkupstagehandshakeupstreamerranterredcaperredlc445v"),
    ],
)
def test_bip350_texts_have_a_valid_checksum(prefix: str, text: str) -> None:
    symbols = [bech32m._VALUE[s] for s in text.rpartition("1")[2]]
    assert bech32m._polymod([*bech32m._expand(prefix), *symbols]) == bech32m._BECH32M


@pytest.mark.parametrize("text", ["A1LQFN3A", "a1lqfn3a"])
def test_bip350_empty_data_is_read_in_either_case(text: str) -> None:
    assert bech32m.decode("a", text) == b""


@given(st.binary(max_size=45), st.sampled_from(["nzn", "nzi", "a"]))
def test_text_returns_the_same_bytes(data: bytes, prefix: str) -> None:
    assert bech32m.decode(prefix, bech32m.encode(prefix, data)) == data


@given(st.text(max_size=100))
def test_any_text_is_an_id_or_a_peer_error(text: str) -> None:
    try:
        node = NodeId.parse(text)
    except PeerError:
        return
    assert NodeId.parse(node.text) == node


@given(st.binary(min_size=32, max_size=32), st.integers(4, 61), st.sampled_from(bech32m.ALPHABET))
def test_one_wrong_symbol_is_found(value: bytes, place: int, symbol: str) -> None:
    text = NodeId(value).text
    changed = text[:place] + symbol + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(PeerError):
        NodeId.parse(changed)


def test_a_node_text_is_not_an_identity_text() -> None:
    with pytest.raises(PeerError):
        IdentityId.parse(NodeId(bytes(32)).text)


def test_mixed_case_is_refused() -> None:
    text = NodeId(bytes(32)).text
    with pytest.raises(PeerError):
        NodeId.parse(text[:10].upper() + text[10:])


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_id_has_exactly_32_bytes(size: int) -> None:
    with pytest.raises(PeerError):
        NodeId(bytes(size))


def test_an_id_is_shown_as_its_text_and_shortened_for_tables() -> None:
    node = NodeId(bytes(range(32)))
    assert len(node.text) == 62
    assert repr(node) == f"<{node.text}>"
    assert node.text.startswith(node.short)
    assert len(node.short) == 12
