"""Who may do what: the kernel's own policy as a table of claims."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.scopes import Scope
from nzcore.control.operation import AnyOperation
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Policy, Principal, authorize

OWNER = Principal("owner", "1000")
ADMIN = Principal("peer", "nzn1bob", scopes=frozenset(Scope))
STRANGER = Principal("peer", "nzn1eve")
GRANTED = Principal("module", "chat", grants=frozenset({"call:service.list", "call:node.stop"}))

principals = st.builds(
    Principal,
    st.sampled_from(["owner", "peer", "module"]),
    st.text(max_size=8),
    scopes=st.frozensets(st.sampled_from(Scope)),
    grants=st.frozensets(st.sampled_from([f"call:{name}" for name in OPERATIONS])),
)
operations = st.sampled_from(list(OPERATIONS.values()))


@pytest.mark.parametrize(
    ("principal", "name", "decision", "policy_ids"),
    [
        (OWNER, "node.state", "ALLOW", ("nz:owner",)),
        (OWNER, "identity.export", "WARN", ("nz:owner", "nz:danger")),
        (OWNER, "config.set", "ALLOW", ("nz:owner",)),
        (ADMIN, "node.state", "ALLOW", ("nz:peer-scope",)),
        (ADMIN, "node.stop", "WARN", ("nz:peer-scope", "nz:danger")),
        (ADMIN, "config.set", "DENY", ("nz:local-only",)),
        (ADMIN, "identity.export", "DENY", ("nz:local-only",)),
        (STRANGER, "node.state", "DENY", ("nz:peer-scope",)),
        (STRANGER, "config.set", "DENY", ("nz:local-only",)),
        (GRANTED, "service.list", "ALLOW", ("nz:module-grant",)),
        (GRANTED, "node.stop", "WARN", ("nz:module-grant", "nz:danger")),
        (GRANTED, "service.show", "DENY", ("nz:module-grant",)),
    ],
)
def test_the_decision_follows_kind_scope_grant_and_risk(
    principal: Principal, name: str, decision: str, policy_ids: tuple[str, ...]
) -> None:
    verdict = authorize(principal, OPERATIONS[name], "thing")
    assert (verdict.decision, verdict.policy_ids) == (decision, policy_ids)
    assert verdict.allowed is (decision != "DENY")


def test_a_refusal_names_the_scope_or_grant_that_is_missing() -> None:
    assert "does not hold the scope admin" in authorize(STRANGER, OPERATIONS["node.state"], "node").reasons[0]
    assert "was not granted call:service.show" in authorize(GRANTED, OPERATIONS["service.show"], "service:x").reasons[0]


def test_a_warning_names_the_resource() -> None:
    assert "service:net" in authorize(OWNER, OPERATIONS["service.kill"], "service:net").reasons[-1]


def test_scopes_do_not_help_a_module_nor_grants_a_peer() -> None:
    everything = frozenset(f"call:{name}" for name in OPERATIONS)
    crossed = (Principal("module", "m", scopes=frozenset(Scope)), Principal("peer", "p", grants=everything))
    assert [authorize(who, OPERATIONS["node.state"], "node").decision for who in crossed] == ["DENY", "DENY"]


@given(principals, operations, st.text(max_size=16))
def test_no_peer_reaches_a_local_operation_and_no_one_is_let_in_without_a_right(
    principal: Principal, operation: AnyOperation, resource: str
) -> None:
    verdict = authorize(principal, operation, resource)
    right = {
        "owner": True,
        "peer": operation.scope in principal.scopes and not operation.local_only,
        "module": f"call:{operation.name}" in principal.grants,
    }[principal.kind]
    assert verdict.allowed is right
    assert verdict.reasons
    assert verdict.policy_ids
    assert (verdict.decision == "WARN") is (right and operation.risk == "danger")
    assert (verdict.provenance.origin, verdict.provenance.simulation) == ("nzcore.control", False)
    assert authorize(principal, operation, resource) == verdict


def test_the_kernels_policy_fits_where_an_engine_goes() -> None:
    policy: Policy = authorize
    assert policy(OWNER, OPERATIONS["node.state"], "node").allowed
