"""The way into every operation: known, well-formed, allowed, in one step and without waiting (spec/control.md §4.3)."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from nzcore.base.errors import PeerError
from nzcore.codec.types import convert
from nzcore.control.operation import AnyOperation
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Policy, Principal, Verdict, authorize

_WORDS = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"^expected `str` of length >= 1$", "it is empty"),
        (r"^expected `str` of length (<=|>=) (\d+)$", r"expected text of length \1 \2"),
        (r"^expected `str` matching regex .*$", "expected text of another form"),
        (r"^object missing required field `(.*)`$", r"\1 is missing"),
        (r"^object contains unknown field `(.*)`$", r"there is no \1"),
        (r"`str`", "text"),
        (r"`int`", "whole number"),
        (r"`float`", "number"),
        (r"`bool`", "true or false"),
        (r"`array`", "list"),
        (r"`object`", "map"),
        (r"`null`", "nothing"),
    )
]
"""What msgspec calls things, and what people call them."""


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
        raise bad_arguments(name, error) from None
    verdict = policy(principal, operation, operation.resource(args))
    _refuse_denied(verdict)
    return Admission(operation, args, verdict)


def bad_arguments(name: str, error: PeerError) -> PeerError:
    """What `convert` found wrong with the arguments of an operation, in words for whoever typed them."""
    what, _, place = error.message.partition(" - at `$")
    for pattern, words in _WORDS:
        what = pattern.sub(words, what)
    where = place.rstrip("`").lstrip(".")
    message = f"bad arguments: {where}: {what}" if where else f"bad arguments: {what}"
    return PeerError("control.bad-arguments", message, hint=f"nzcore schema {name} shows what it takes", operation=name)


def _refuse_denied(verdict: Verdict) -> None:
    if not verdict.allowed:
        raise PeerError("control.refused", "refused: " + "; ".join(verdict.reasons), verdict=verdict)
