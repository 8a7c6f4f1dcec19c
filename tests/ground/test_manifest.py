"""MANIFEST.md and spec/README.md say what is on disk, no more and no less."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_CODE = {"bundled", "__pycache__"}


class Row(NamedTuple):
    package: str
    specs: list[str]
    vectors: list[str]
    status: str


def cells(page: str, columns: int) -> list[list[str]]:
    """The cells of every table row with this many columns, heads and rulers left out."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    return [row for row in rows if len(row) == columns and row[0].startswith(("`", "["))]


def links(cell: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", cell)


def inventory(page: str) -> list[Row]:
    return [Row(row[0].strip("`"), links(row[2]), links(row[3]), row[4]) for row in cells(page, 5)]


def packages(root: Path) -> set[str]:
    """Packages of nzcore on disk; those of `proto` count one by one."""
    folders = [*(root / "nzcore").iterdir(), *(root / "nzcore" / "proto").glob("*")]
    found = {str(f.relative_to(root)) for f in folders if (f / "__init__.py").is_file() and f.name not in NOT_CODE}
    if (root / "nzcore" / "module.py").is_file():
        found.add("nzcore/module.py")
    return found - {"nzcore/proto"}


def faults(rows: list[Row], root: Path) -> list[str]:
    """What is wrong with an inventory of this tree."""
    found: list[str] = []
    names = [row.package for row in rows]
    found += [f"{name} is listed twice" for name in {name for name in names if names.count(name) > 1}]
    found += [f"{name} is not listed" for name in packages(root) - set(names)]
    for row in rows:
        exists = row.package in packages(root)
        if exists != (row.status in ("partial", "done")):
            found.append(f"{row.package} is {row.status} and {'exists' if exists else 'does not exist'}")
        found += [f"{name} does not exist" for name in (*row.specs, *row.vectors) if not (root / name).is_file()]
        if row.status == "done" and not row.specs:
            found.append(f"{row.package} is done without a specification")
    named = {name for row in rows for name in (*row.specs, *row.vectors)}
    disk = [*(root / "spec").glob("*.md"), *(root / "vectors").glob("*.json")]
    found += [
        f"{f.relative_to(root)} is not listed"
        for f in disk
        if str(f.relative_to(root)) not in named | {"spec/README.md"}
    ]
    return sorted(found)


def test_the_inventory_is_the_tree():
    assert faults(inventory((ROOT / "MANIFEST.md").read_text()), ROOT) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("| `nzcore/kernel` |", "| `nzcore/colonel` |", "nzcore/kernel is not listed"),
        ("(spec/core.md) | – | done |", "(spec/gone.md) | – | done |", "spec/gone.md does not exist"),
        ("(spec/core.md) | – | done |", "(spec/core.md) | – | planned |", "nzcore/kernel is planned and exists"),
        ("[core](spec/core.md)", "–", "nzcore/kernel is done without a specification"),
        (
            "| `nzcore/http` | operations over HTTP | – | – | planned |",
            "| `nzcore/http` | x | – | – | done |",
            "nzcore/http is done",
        ),
        ("vectors/noise.json", "vectors/crypto.json", "vectors/noise.json is not listed"),
    ],
)
def test_an_untrue_inventory_is_found(before, after, fault):
    page = (ROOT / "MANIFEST.md").read_text()
    assert before in page
    assert any(found.startswith(fault) for found in faults(inventory(page.replace(before, after)), ROOT))


def test_the_map_of_specifications_names_every_spec_its_code_and_its_vectors():
    rows = cells((ROOT / "spec" / "README.md").read_text(), 4)
    mapped = {links(row[0])[0]: row for row in rows}
    assert set(mapped) == {file.name for file in (ROOT / "spec").glob("*.md")} - {"README.md"}
    for name, row in mapped.items():
        title = (ROOT / "spec" / name).read_text().splitlines()[0]
        assert row[1].strip("`") in title, f"{name} is titled {title!r}"
        code = re.findall(r"`([^`]+)`", row[2])
        assert code
        for place in code:
            assert (ROOT / place).exists(), place
        for link in links(row[3]):
            assert (ROOT / "spec" / link).resolve().is_file(), link


def citations() -> list[tuple[Path, str, str]]:
    """Where code cites a specification: the file, the page, the section or nothing."""
    found = []
    for file in [*(ROOT / "nzcore").rglob("*.py"), *(ROOT / "tools").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        pattern = r"\bspec/([\w-]+\.md)(?: §(\d+(?:\.\d+)?))?"
        found += [(file.relative_to(ROOT), *match) for match in re.findall(pattern, file.read_text())]
    return found


def test_code_that_cites_a_specification_cites_a_section_that_exists():
    cited = [place for place in citations() if place[0].name != Path(__file__).name]
    assert len(cited) > 20
    for file, name, section in cited:
        page = ROOT / "spec" / name
        assert page.is_file(), f"{file} cites spec/{name}"
        numbers = re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", page.read_text(), re.MULTILINE)
        assert not section or section in numbers, f"{file} cites spec/{name} §{section}"
