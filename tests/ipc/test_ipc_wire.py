"""Both ears of NZ-IPC-01: what each side may say, and nothing else."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.codec.frames import pack
from nzcore.ipc import wire
from nzcore.ipc.loopback import ClientChallenge, ServerChallenge, Token, parse_token
from tools.fuzz import arguments as arguments_target
from tools.fuzz import ipc as ipc_target
from tools.vectors import ipc as vectors

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "ipc.json").read_text())["cases"]


def _cases(field: str) -> pytest.MarkDecorator:
    chosen = [case for case in CASES if field in case]
    assert chosen
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case["name"])


def test_the_vectors_come_out_the_same_when_made_again() -> None:
    assert json.loads(json.dumps(vectors.generate()))["cases"] == CASES


@_cases("bytes")
def test_a_message_gives_the_events_or_the_code_of_its_vector(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    if case["expect"] == "ok":
        heard = [vectors.describe(event) for event in vectors.ear(case["side"]).receive(data)]
        assert json.loads(json.dumps(heard)) == case["events"]
    else:
        with pytest.raises(PeerError) as refused:
            vectors.ear(case["side"]).receive(data)
        assert refused.value.code == case["expect"]


@_cases("hello")
def test_a_challenge_runs_or_fails_as_its_vector_says(case: dict[str, Any]) -> None:
    token = Token(case["port"], bytes.fromhex(case["secret"]))
    client = ClientChallenge(token, bytes.fromhex(case["client_nonce"]))
    answer = bytes.fromhex(case["answer"])
    assert client.hello.hex() == case["hello"]
    if case["expect"] == "ok":
        server = ServerChallenge(token, bytes.fromhex(case["server_nonce"]))
        assert server.greet(client.hello) == answer
        assert client.answer(answer).hex() == case["proof"]
        server.verify(bytes.fromhex(case["proof"]))
    else:
        with pytest.raises(PeerError) as refused:
            client.answer(answer)
        assert refused.value.code == case["expect"]


@_cases("token")
def test_a_token_file_is_read_or_refused_as_its_vector_says(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["token"])
    if case["expect"] == "ok":
        assert parse_token(data).encode() == data
    else:
        with pytest.raises(PeerError) as refused:
            parse_token(data)
        assert refused.value.code == case["expect"]


@given(st.binary(max_size=300))
def test_any_bytes_end_in_events_or_a_peer_error(data: bytes) -> None:
    ipc_target.target(data)
    arguments_target.target(data)


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 1 << 40) | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.sampled_from([0, 1, 2, "item", "cancel", "close", 7, None]) | _plain, max_size=5))
def test_any_messagepack_ends_in_events_or_a_peer_error(message: list[object]) -> None:
    for side in ("server", "client"):
        with suppress(PeerError):
            assert len(vectors.ear(side).receive(pack(message))) == 1


@given(st.integers(0, wire.MAX_ID), _plain, st.integers(0, 40))
def test_a_call_survives_the_wire_however_it_is_cut(call_id: int, args: object, cut: int) -> None:
    call = wire.Call(call_id, "node.state", args, 2.5)
    data, ear = wire.encode_call(call), wire.ServerWire()
    with suppress(PeerError):  # arguments nested too deep
        assert [*ear.receive(data[:cut]), *ear.receive(data[cut:])] == [call]


def test_an_ear_that_refused_once_stays_deaf() -> None:
    ear = wire.ServerWire()
    with pytest.raises(PeerError):
        ear.receive(pack(5) + wire.encode_cancel(1) + b"\xc1")
    with pytest.raises(PeerError):
        ear.receive(wire.encode_cancel(1))


def test_a_message_beyond_the_limit_is_refused_before_it_is_whole() -> None:
    ear = wire.ServerWire(max_bytes=100)
    with pytest.raises(PeerError) as refused:
        ear.receive(wire.encode_call(wire.Call(1, "x", "y" * 200, None))[:150])
    assert refused.value.code == "codec.too-large"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PeerError("control.refused"), "refused"),
        (PeerError("control.bad-arguments"), "usage"),
        (PeerError("control.unknown-operation"), "usage"),
        (PeerError("ipc.deadline"), "timeout"),
        (PeerError("ipc.cancelled"), "failed"),
        (PeerError("files.over-quota"), "refused"),
        (PeerError("files.disk-full"), "refused"),
        (PeerError("files.hash-mismatch"), "failed"),
        (PeerError("message.too-fast"), "refused"),
        (UnavailableError("channel.out-of-scope"), "refused"),
        (UsageError("base.bad-text"), "usage"),
    ],
)
def test_a_failure_says_of_which_kind_it_is(error: PeerError | UnavailableError | UsageError, kind: str) -> None:
    failure = wire.failure_of(error)
    (reply,) = wire.ClientWire().receive(wire.encode_failure(1, failure))
    assert isinstance(reply, wire.Reply)
    assert reply.failure is not None
    assert reply.failure.kind == kind
    assert reply.failure.hint


def test_endless_sentences_are_cut() -> None:
    failure = wire.Failure("a.b", "m" * 9000, "h" * 9000)
    (close,) = wire.ClientWire().receive(wire.encode_close(failure))
    assert isinstance(close, wire.Close)
    assert (len(close.failure.message), len(close.failure.hint)) == (wire.MAX_SENTENCE, wire.MAX_SENTENCE)


def test_the_worked_example_of_the_specification_is_what_is_sent() -> None:
    page = (Path(__file__).parents[2] / "spec" / "control.md").read_text()
    example = page.split("### 6.5")[1].split("```")[1].split("\n\n")[0]
    told = "".join(
        "".join(re.findall(r"^ *((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  |$)", line)) for line in example.splitlines()
    )
    assert bytes.fromhex(told) == wire.encode_call(wire.Call(7, "service.show", {"name": "ipc"}, 30.0))
