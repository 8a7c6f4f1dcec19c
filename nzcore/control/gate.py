"""The way into every operation: known, well-formed, allowed, in one step and without waiting (spec/control.md §4.3)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nzcore.base.errors import PeerError
from nzcore.codec.types import convert
from nzcore.control.operation import AnyOperation
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Policy, Principal, Verdict, authorize


class Admission(NamedTuple):
    """A call that may go on to its handler."""

    operation: AnyOperation
    args: Any
    verdict: Verdict


def admit(
    principal: Principal,
    name: str,
    raw: object,
    *,
    policy: Policy = authorize,
    operations: Mapping[str, AnyOperation] = OPERATIONS,
) -> Admission:
    """Decides a call by its name and its arguments as plain values (a map, or nil for none).

    Who may not call an operation is refused before its arguments are judged, so they learn nothing from them.
    *Raises* PeerError `control.unknown-operation`, `control.bad-arguments`, or `control.refused` with the verdict
    among its facts.
    """
    operation = operations.get(name)
    if operation is None:
        raise PeerError("control.unknown-operation", operation=name[:64])
    try:
        args = convert({} if raw is None else raw, operation.args)
    except PeerError as error:
        _refuse_denied(policy(principal, operation, operation.resource()))
        raise PeerError("control.bad-arguments", f"bad arguments: {error.message}", operation=name) from None
    verdict = policy(principal, operation, operation.resource(args))
    _refuse_denied(verdict)
    return Admission(operation, args, verdict)


def _refuse_denied(verdict: Verdict) -> None:
    if not verdict.allowed:
        raise PeerError("control.refused", "refused: " + "; ".join(verdict.reasons), verdict=verdict)
