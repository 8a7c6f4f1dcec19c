"""What an operation is: a name, typed arguments and result, the right it needs, its risk (spec/control.md §2).

Knows no handler and no face: IPC, HTTP, the command line, the typed client and the schema all read the same values.
"""

from typing import Any, Generic, Literal, TypeAlias, TypeVar

from msgspec import Struct

from nzcore.base.scopes import Scope

Risk = Literal["read", "change", "danger"]
"""`read` changes nothing; `change` can be undone by another operation; `danger` stops service or spends secrets."""

A = TypeVar("A", bound=Struct)
R_co = TypeVar("R_co", covariant=True)


class Args(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all arguments: a misspelt argument is refused, never ignored."""


class Nothing(Args, frozen=True):
    """No arguments."""


class Operation(Struct, Generic[A, R_co], frozen=True, kw_only=True, eq=False):
    """One thing that a caller can ask of a node.

    `result` is the type of the answer or, where `stream` is set, of each item. `names` is the argument that names
    the resource, if one does: `service.stop` with `name="net"` acts on the resource `service:net`. `local_only`
    operations are never open to peers, whatever they were granted; `offline` ones may also be carried out on a
    home whose node is not running.
    """

    name: str
    summary: str
    args: type[A]
    result: type[R_co]
    stream: bool = False
    scope: Scope = Scope.ADMIN
    risk: Risk = "read"
    local_only: bool = False
    offline: bool = False
    names: str = ""

    def resource(self, args: Struct | None = None) -> str:
        """`kind` or `kind:name`: what a call with these arguments acts on."""
        kind = self.name.partition(".")[0]
        name = getattr(args, self.names, "") if args is not None and self.names else ""
        return f"{kind}:{name}" if name else kind


AnyOperation: TypeAlias = Operation[Any, Any]
