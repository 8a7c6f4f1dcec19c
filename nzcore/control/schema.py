"""The table as JSON Schema, for `nzcore schema` and for whoever writes a client. Import it lazily."""

from collections.abc import Mapping

from nzcore.codec.types import schema
from nzcore.control.operation import AnyOperation
from nzcore.control.table import OPERATIONS


def describe(operation: AnyOperation) -> dict[str, object]:
    """All that a caller needs to know of one operation; the result's schema is that of an item where it streams."""
    return {
        "summary": operation.summary,
        "args": schema(operation.args),
        "result": schema(operation.result),
        "stream": operation.stream,
        "scope": operation.scope.value,
        "risk": operation.risk,
        "local_only": operation.local_only,
        "offline": operation.offline,
    }


def describe_all(operations: Mapping[str, AnyOperation] = OPERATIONS) -> dict[str, dict[str, object]]:
    """Every operation by its name, in order of names."""
    return {name: describe(operation) for name, operation in sorted(operations.items())}
