"""Every domain label in the source stands in the one table of labels, and so has one purpose."""

import ast
import re
from pathlib import Path

import nzcore

SOURCE = Path(nzcore.__file__).parent
SPECIFICATION = SOURCE.parent / "spec" / "crypto.md"
LABEL = re.compile(r"NZ-[A-Z]+-\d\d [a-z ]+")


def labels_in_source() -> dict[str, set[str]]:
    """Literals that are a label and nothing else (a zero byte may follow), with the files that hold them."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            value = node.value if isinstance(node, ast.Constant) else None
            text = value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
            if LABEL.fullmatch(text.rstrip("\0")):
                found.setdefault(text.rstrip("\0"), set()).add(str(path.relative_to(SOURCE)))
    return found


def test_every_label_in_the_source_is_in_the_table() -> None:
    section = SPECIFICATION.read_text(encoding="utf-8").split("## 10.")[1].split("## 11.")[0]
    listed = set(LABEL.findall(section))
    found = labels_in_source()
    assert len(found) >= 10
    assert {label: places for label, places in found.items() if label not in listed} == {}


def test_a_label_stands_in_one_room_only() -> None:
    rooms = {label: {place.rsplit("/", 1)[0] for place in places} for label, places in labels_in_source().items()}
    assert {label: found for label, found in rooms.items() if len(found) > 1} == {}
