"""spec/control.md §5 lists exactly the operations of the table, each as it is."""

import re
from pathlib import Path
from typing import get_args

import msgspec

from nzcore.base.scopes import Scope
from nzcore.control.operation import AnyOperation
from nzcore.control.table import OPERATIONS

PAGE = (Path(__file__).parents[2] / "spec" / "control.md").read_text()


def _row(operation: AnyOperation) -> list[str]:
    fields = msgspec.structs.fields(operation.args)
    inner = get_args(operation.result)
    result = f"list of {inner[0].__name__}" if inner else operation.result.__name__
    return [
        f"`{operation.name}`",
        ", ".join(f"`{field.name}`" + ("" if field.required else "?") for field in fields) or "–",
        f"stream of {result}" if operation.stream else result,
        operation.risk,
        "yes" if operation.local_only else "–",
        "yes" if operation.offline else "–",
    ]


def test_the_specification_lists_the_operations_as_they_are() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\| `\w+\.\w+` .*$", PAGE, re.M)
    ]
    assert rows == [_row(operation) for operation in OPERATIONS.values()]


def test_the_specification_lists_the_scopes() -> None:
    (line,) = re.findall(r"^Scopes: (.*?)\. ", PAGE, re.M)
    assert re.findall(r"`(\w+)`", line) == [scope.value for scope in Scope]
    assert {operation.scope for operation in OPERATIONS.values()} == {Scope.ADMIN}
