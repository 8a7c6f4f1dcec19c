"""No file and no function of the product or its tools is longer than CONTRIBUTING.md allows."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES, FUNCTION_LINES = 400, 50


def too_long(text: str) -> Iterator[str]:
    """What is too long in the text of a module, with how long it is."""
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"the file: {lines}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.name}: {lines}"


def test_no_file_and_no_function_is_too_long():
    paths = [path for folder in ("nzcore", "modules", "tools") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 200
    found = {str(path.relative_to(ROOT)): list(too_long(path.read_text(encoding="utf-8"))) for path in paths}
    assert {path: long for path, long in found.items() if long} == {}


def test_what_is_too_long_is_found():
    short = "def short():\n" + "    pass\n" * (FUNCTION_LINES - 1)
    assert list(too_long(short)) == []
    assert list(too_long(f"async {short}    pass\n")) == ["short: 51"]
    assert list(too_long("\n" * (FILE_LINES + 1))) == ["the file: 401"]
