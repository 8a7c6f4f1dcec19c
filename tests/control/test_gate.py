"""The gate: known, well-formed, allowed, or a PeerError that says which of them it was not."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.control.gate import admit
from nzcore.control.operation import AnyOperation
from nzcore.control.service_ops import ServiceForceArgs
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Principal, Verdict

OWNER = Principal("owner", "1000")
STRANGER = Principal("peer", "nzn1eve", scopes=frozenset({Scope.MESSAGE}))

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def test_an_admitted_call_has_typed_arguments_and_the_verdict() -> None:
    operation, args, verdict = admit(OWNER, "service.stop", {"name": "net", "force": True})
    assert operation is OPERATIONS["service.stop"]
    assert args == ServiceForceArgs(name="net", force=True)
    assert verdict.decision == "ALLOW"


def test_no_arguments_may_be_left_out() -> None:
    assert admit(OWNER, "node.state", None).args == admit(OWNER, "node.state", {}).args


def test_an_operation_that_is_not_in_the_table_is_unknown() -> None:
    with pytest.raises(PeerError) as refused:
        admit(OWNER, "node.explode", {})
    assert refused.value.code == "control.unknown-operation"


@pytest.mark.parametrize(
    "raw",
    [
        {"name": 1},
        {"name": ""},
        {"nmae": "net"},
        {"name": "net", "force": "yes"},
        {"name": "net", "sudo": True},
        [],
        "net",
        7,
    ],
)
def test_arguments_of_another_shape_are_refused_and_the_place_is_named(raw: object) -> None:
    with pytest.raises(PeerError) as refused:
        admit(OWNER, "service.stop", raw)
    assert refused.value.code == "control.bad-arguments"
    assert refused.value.message.startswith("bad arguments: ")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"name": ""}, "bad arguments: name: it is empty"),
        ({"name": 1}, "bad arguments: name: expected text, got whole number"),
        ({"name": "net", "force": "yes"}, "bad arguments: force: expected true or false, got text"),
        ({"force": True}, "bad arguments: name is missing"),
        ({"name": "net", "sudo": True}, "bad arguments: there is no sudo"),
        ([], "bad arguments: expected map, got list"),
    ],
)
def test_wrong_arguments_are_told_in_the_words_of_whoever_typed_them(raw: object, message: str) -> None:
    with pytest.raises(PeerError) as refused:
        admit(OWNER, "service.stop", raw)
    assert refused.value.message == message
    assert refused.value.hint == "nzcore schema service.stop shows what it takes"


def test_a_pattern_is_not_for_people() -> None:
    with pytest.raises(PeerError) as refused:
        admit(OWNER, "pair.cancel", {"tid": "zzz"})
    assert refused.value.message == "bad arguments: tid: expected text of another form"


def test_a_refusal_carries_its_verdict_and_says_its_reasons() -> None:
    with pytest.raises(PeerError) as refused:
        admit(STRANGER, "node.state", {})
    assert refused.value.code == "control.refused"
    verdict = refused.value.facts["verdict"]
    assert isinstance(verdict, Verdict)
    assert verdict.decision == "DENY"
    assert all(reason in refused.value.message for reason in verdict.reasons)


def test_who_may_not_call_learns_nothing_about_the_arguments() -> None:
    with pytest.raises(PeerError) as refused:
        admit(STRANGER, "service.stop", {"nonsense": 1})
    assert refused.value.code == "control.refused"


def test_another_policy_answers_at_the_same_place_and_sees_the_resource() -> None:
    seen: list[tuple[str, str]] = []

    def policy(principal: Principal, operation: AnyOperation, resource: str) -> Verdict:
        seen.append((operation.name, resource))
        return Verdict(decision="DENY", policy_ids=("house:1",), reasons=("not on sundays",), obligations=("tell",))

    with pytest.raises(PeerError, match="not on sundays"):
        admit(OWNER, "service.stop", {"name": "net"}, policy=policy)
    assert seen == [("service.stop", "service:net")]


@given(st.sampled_from(sorted(OPERATIONS)) | st.text(max_size=80), values)
def test_any_name_and_any_arguments_end_in_an_admission_or_a_peer_error(name: str, raw: object) -> None:
    for principal in (OWNER, STRANGER):
        with suppress(PeerError):
            admission = admit(principal, name, raw)
            assert isinstance(admission.args, admission.operation.args)


def test_secrets_in_bad_arguments_do_not_come_back_in_the_refusal() -> None:
    secret = "abandon " * 100
    with pytest.raises(PeerError) as refused:
        admit(OWNER, "identity.rotate", unpack(pack({"mnemonic": secret})))
    assert "abandon" not in refused.value.message + repr(refused.value)
