"""Who may do what, decided in one place and explained (spec/control.md §4).

`authorize` is pure: the same principal, operation and resource give the same verdict. It checks scope, grant and
`local_only`; a policy engine answers at the same place by being a `Policy`.
"""

from typing import Final, Literal, Protocol

from msgspec import Struct

from nzcore.base.scopes import Scope
from nzcore.control.operation import AnyOperation

Decision = Literal["ALLOW", "DENY", "WARN"]
PrincipalKind = Literal["owner", "peer", "module"]

# Stable names of the rules that decide; logs and policies refer to them.
OWNER: Final = "nz:owner"
PEER_SCOPE: Final = "nz:peer-scope"
MODULE_GRANT: Final = "nz:module-grant"
LOCAL_ONLY: Final = "nz:local-only"
DANGER: Final = "nz:danger"


class Principal(Struct, frozen=True):
    """Who asks: the owner at this machine, another node, or a module; made by whoever authenticated them.

    `name` is the owner's uid, the peer's NodeId text or the module's name. `scopes` are a peer's, as the trust
    view has them now; `grants` are a module's, each `call:` and the full name of an operation.
    """

    kind: PrincipalKind
    name: str
    scopes: frozenset[Scope] = frozenset()
    grants: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Provenance(Struct, frozen=True):
    """Where a verdict comes from: who decided, how sure (0 to 1), and whether it was only a trial."""

    origin: str = "nzcore.control"
    confidence: float = 1.0
    simulation: bool = False


class Verdict(Struct, frozen=True, kw_only=True):
    """The answer to "may they?": a decision, the rules that led to it, why in words, and what must be done with it.

    WARN is allowed, and whoever shows or logs it says why. Obligations are names of acts that the caller of the
    policy owes before the effect; the rules of this module oblige to nothing.
    """

    decision: Decision
    policy_ids: tuple[str, ...]
    reasons: tuple[str, ...]
    obligations: tuple[str, ...] = ()
    provenance: Provenance = Provenance()

    @property
    def allowed(self) -> bool:
        return self.decision != "DENY"


class Policy(Protocol):
    """Decides a call; must be deterministic and must not wait."""

    def __call__(self, principal: Principal, operation: AnyOperation, resource: str) -> Verdict: ...


def authorize(principal: Principal, operation: AnyOperation, resource: str) -> Verdict:
    """The kernel's own policy. `resource` is `kind` or `kind:name`; only the reasons mention it."""
    rule, granted, why = _right(principal, operation)
    if principal.kind == "peer" and operation.local_only:
        return Verdict(
            decision="DENY",
            policy_ids=(LOCAL_ONLY,),
            reasons=(f"{operation.name} is only for the owner at this machine",),
        )
    if not granted:
        return Verdict(decision="DENY", policy_ids=(rule,), reasons=(why,))
    if operation.risk == "danger":
        return Verdict(
            decision="WARN",
            policy_ids=(rule, DANGER),
            reasons=(why, f"{operation.name} on {resource} interrupts service or spends a secret"),
        )
    return Verdict(decision="ALLOW", policy_ids=(rule,), reasons=(why,))


def _right(principal: Principal, operation: AnyOperation) -> tuple[str, bool, str]:
    """The rule for this kind of principal, whether it is met, and that in words."""
    if principal.kind == "owner":
        return OWNER, True, "the owner at this machine may do everything"
    if principal.kind == "peer":
        met = operation.scope in principal.scopes
        state = "holds" if met else "does not hold"
        return PEER_SCOPE, met, f"the peer {state} the scope {operation.scope.value} that {operation.name} needs"
    met = f"call:{operation.name}" in principal.grants
    state = "was" if met else "was not"
    return MODULE_GRANT, met, f"the module {principal.name} {state} granted call:{operation.name}"
