"""Types on messages: conversion that says where it failed, ids as text, bytes kept or base64."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.codec import frames, types
from nzcore.crypto.keys import VerifyKey

NODE = NodeId(bytes(range(32)))
KEY = VerifyKey(bytes(range(1, 33)))


class Address(msgspec.Struct, frozen=True):
    host: str
    port: int


class Peer(msgspec.Struct, frozen=True):
    node: NodeId
    name: str
    addresses: list[Address] = []
    proof: bytes = b""
    key: VerifyKey | None = None
    by_port: dict[int, str] = {}


PEER = Peer(NODE, "bob", [Address("::1", 5)], b"\xff\0", KEY, {7: "seven"})


def refusal(value: object, type_: type[object]) -> str:
    with pytest.raises(PeerError) as caught:
        types.convert(value, type_)
    assert caught.value.code == "codec.wrong-type"
    return caught.value.message


def test_a_struct_returns_from_a_message() -> None:
    assert types.convert(frames.unpack(frames.pack(types.builtins(PEER))), Peer) == PEER


def test_a_struct_returns_from_json() -> None:
    line = types.json_line(PEER)
    assert b"\n" not in line
    assert types.convert(json.loads(line), Peer) == PEER


def test_ids_are_text_and_bytes_are_bytes_in_builtins() -> None:
    assert types.builtins(PEER) == {
        "node": NODE.text, "name": "bob", "addresses": [{"host": "::1", "port": 5}],
        "proof": b"\xff\0", "key": bytes(KEY), "by_port": {"7": "seven"},
    }  # fmt: skip


def test_a_wrong_type_is_named_with_its_place() -> None:
    assert refusal({"node": NODE.text, "name": 5}, Peer) == "expected `str`, got `int` - at `$.name`"
    bad = {"node": NODE.text, "name": "b", "addresses": [{"host": "a", "port": 1}, {"host": "a"}]}
    assert refusal(bad, Peer) == "object missing required field `port` - at `$.addresses[1]`"


@pytest.mark.parametrize("node", [5, b"\0" * 32, "nzn1", "", NODE.text[:-1], None])
def test_what_is_no_id_is_refused_with_its_place(node: object) -> None:
    assert refusal({"node": node, "name": "b"}, Peer).endswith("at `$.node`")


def test_a_key_of_the_wrong_size_is_refused_with_its_place() -> None:
    assert refusal({"node": NODE.text, "name": "b", "key": b"short"}, Peer).endswith("at `$.key`")
    assert refusal({"node": NODE.text, "name": "b", "key": 7}, Peer).endswith("at `$.key`")


def test_values_that_are_ids_already_stay_as_they_are() -> None:
    assert types.convert({"node": NODE, "name": "b", "key": KEY}, Peer) == Peer(NODE, "b", key=KEY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["node", "name", "addresses", "host", "key", "x"]), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_value_is_a_peer_or_is_refused(value: object) -> None:
    try:
        converted = types.convert(value, Peer)
    except PeerError:
        return
    assert isinstance(converted, Peer)


def test_what_has_no_builtin_form_is_a_bug_of_the_caller() -> None:
    loop: list[object] = []
    loop.append(loop)
    for value in (object(), {"a": object()}, loop):
        with pytest.raises(UsageError):
            types.builtins(value)
        with pytest.raises(UsageError):
            types.json_line(value)


def test_a_type_that_nobody_can_convert_is_a_bug_and_climbs() -> None:
    with pytest.raises(UsageError):
        types.convert(1, complex)


def test_the_schema_describes_ids_as_text_and_bytes_as_base64() -> None:
    described = types.schema(Peer)
    properties = described["$defs"]["Peer"]["properties"]
    assert properties["node"] == {"type": "string", "pattern": "^nzn1[02-9ac-hj-np-z]{58}$"}
    assert properties["proof"]["contentEncoding"] == "base64"
    assert {"contentEncoding": "base64", "type": "string"} in properties["key"]["anyOf"]
    assert described["$defs"]["Peer"]["required"] == ["node", "name"]


def test_a_type_without_a_schema_is_a_bug_and_climbs() -> None:
    with pytest.raises(UsageError):
        types.schema(complex)
