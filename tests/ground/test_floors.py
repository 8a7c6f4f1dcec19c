"""The floors hold, and the contract that says so really bites."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
PLANTS = {  # file, its line, the contract that it breaks
    "nzcore/base/planted.py": ("import nzcore.kernel", "floors"),
    "nzcore/codec/planted.py": ("def late() -> None:\n    import nzcore.crypto", "floors"),
    "nzcore/ipc/planted.py": ("from nzcore.store import lock", "floors"),
    "nzcore/node/planted.py": ("from nacl.signing import SigningKey", "cryptography"),
    "nzcore/control/planted.py": ("import time", "pure"),
    "nzcore/proto/planted.py": ("import trio", "pure"),
    "nzcore/cli/planted.py": ("import asyncio", "asyncio"),
}


def contracts() -> list[dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1"}
    return subprocess.run([LINT, "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True)


def test_the_tree_keeps_every_contract():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" KEPT") == len(contracts())


def test_every_contract_breaks_when_a_violation_is_planted(tmp_path):
    shutil.copytree(ROOT / "nzcore", tmp_path / "nzcore", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, (line, _) in PLANTS.items():
        (tmp_path / name).write_text(line + "\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    names = {contract["id"]: contract["name"] for contract in contracts()}
    assert {kind for _, kind in PLANTS.values()} == set(names)
    for name in names.values():
        assert f"{name} BROKEN" in done.stdout
    reported = set(re.findall(r"nzcore\.\w+\.planted", done.stdout))
    assert reported == {name[: -len(".py")].replace("/", ".") for name in PLANTS}


def entangled(imports: dict[str, set[str]]) -> set[str]:
    """Modules of circles: what is left without those that import none of the others, or that none of them imports."""
    left = set(imports)
    while True:
        used = set().union(*(imports[name] for name in left))
        inner = {name for name in left if name in used and imports[name] & left}
        if inner == left:
            return left
        left = inner


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions count; what only types need does not, because nothing is loaded for it."""
    graph = grimp.build_graph("nzcore", exclude_type_checking_imports=True, cache_dir=None)
    assert entangled({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}) == set()


def test_a_circle_of_imports_is_told_from_what_only_touches_it():
    assert entangled({"a": {"b"}, "b": {"c", "e"}, "c": {"b"}, "d": {"a"}, "e": set()}) == {"b", "c"}


def test_every_package_stands_on_a_floor():
    layers = [layer for contract in contracts() if contract["id"] == "floors" for layer in contract["layers"]]
    known = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    found = {
        ".".join(folder.relative_to(ROOT).parts)
        for folder in [*(ROOT / "nzcore").iterdir(), *(ROOT / "nzcore" / "proto").iterdir()]
        if (folder / "__init__.py").is_file() and folder.name != "proto"
    }
    assert found <= known


def foreign_imports(code: str) -> set[str]:
    """What the code of a module imports of nzcore beyond what authors are promised."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from nzcore import module` names the promised module as well
            found |= {f"nzcore.{a.name}" for a in node.names} if node.module == "nzcore" else {node.module}
    return {
        name for name in found if name.split(".")[0] == "nzcore" and name not in ("nzcore.module", "nzcore.testing")
    }


def test_bundled_modules_import_only_what_authors_are_promised():
    for path in sorted((ROOT / "modules").rglob("*.py")):
        assert not foreign_imports(path.read_text()), path


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import nzcore.kernel", {"nzcore.kernel"}),
        ("def f():\n    from nzcore.node.node import Node", {"nzcore.node.node"}),
        ("from nzcore import crypto, module", {"nzcore.crypto"}),
        ("import nzcore", {"nzcore"}),
        ("from nzcore.module import Module\nfrom nzcore import module\nimport trio\nfrom . import near", set()),
    ],
)
def test_a_forbidden_import_in_a_module_is_found(code, found):
    assert foreign_imports(code) == found
