"""A wheel built from the tree works outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import nzcore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built without network and without isolation."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """A folder with the wheel installed, as pip lays it out."""
    folder = tmp_path_factory.mktemp("site")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-qq",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
        str(wheel),
    ]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def run(site: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs with the wheel's nzcore and the dependencies of this environment; -S keeps the checkout itself out."""
    path = os.pathsep.join([str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    environment = {**os.environ, "PYTHONPATH": path, "NZCORE_HOME": str(folder / "home")}
    return subprocess.run([sys.executable, "-S", *command], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_every_package_its_data_and_the_bundled_modules(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "nzcore").rglob("*.py")}
    assert code <= held
    assert "nzcore/py.typed" in held
    bundled = {
        f"nzcore/bundled/{path.relative_to(ROOT / 'modules')}"
        for path in (ROOT / "modules").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "nzcore/bundled/README.md" in bundled
    assert bundled <= held
    assert not {name for name in held if name.startswith(("tests/", "tools/", "spec/")) or name.endswith(".pyc")}


def test_the_wheel_names_its_licence_its_command_and_its_requirements(wheel):
    archive = zipfile.ZipFile(wheel)
    about = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "nzcore = nzcore.cli.main:run" in about["entry_points.txt"]
    assert "License-Expression: Apache-2.0" in about["METADATA"]
    assert "Apache License" in about["LICENSE"]
    for name in ("trio", "cryptography", "click"):
        assert f"Requires-Dist: {name}" in about["METADATA"]
    assert "pytest" not in about["METADATA"]


def test_the_installed_command_answers_outside_the_checkout(site, tmp_path):
    done = run(site, tmp_path, str(site / "bin" / "nzcore"), "--version")
    assert done.stderr == ""
    assert done.stdout == f"nzcore {nzcore.__version__}\n"


def test_the_installed_package_is_the_one_that_answers_and_makes_a_node(site, tmp_path):
    where = run(site, tmp_path, "-c", "import nzcore; print(nzcore.__file__)")
    assert Path(where.stdout.strip()) == site / "nzcore" / "__init__.py"
    made = run(site, tmp_path, str(site / "bin" / "nzcore"), "init", "--no-passphrase", "--json")
    assert made.returncode == 0, made.stderr
    shown = run(site, tmp_path, str(site / "bin" / "nzcore"), "identity", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert '"node":"nzn1' in shown.stdout
    explained = run(site, tmp_path, str(site / "bin" / "nzcore"), "explain", "base.bad-text")
    assert explained.returncode == 0, explained.stderr


def test_the_installed_package_finds_the_modules_that_came_with_it(site, tmp_path):
    look = "from pathlib import Path; from nzcore.node.modules.search import survey; found = survey(Path('none'))"
    say = "print(*(one.folder for one in found.values() if one.source == 'bundled' and not one.problem), sep='\\n')"
    shown = run(site, tmp_path, "-c", f"{look}; {say}")
    assert shown.stderr == ""
    expected = {path.parent.name for path in (ROOT / "modules").glob("*/module.toml")}
    assert {Path(line) for line in shown.stdout.split()} == {site / "nzcore" / "bundled" / name for name in expected}
