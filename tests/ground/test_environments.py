"""Environments recover from whatever stopped their making, and say in a sentence what went wrong."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environments() -> ModuleType:
    """tools/environments.py as it runs: alone, outside any package."""
    spec = importlib.util.spec_from_file_location("environments", ROOT / "tools" / "environments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout whose optional `peers` environment asks for nothing; no network."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "peers.txt").write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path


@pytest.fixture(params=["the pip of this environment", pytest.param("ensurepip", marks=pytest.mark.long)])
def installer(request, environments, monkeypatch):
    """Unpacking pip is nearly all that making an environment costs: where it is not asked for, this one's is linked."""
    if request.param == "ensurepip":
        return
    run = environments._run

    def quick(root, log, command, trouble):
        if command[1:3] != ["-m", "venv"]:
            return run(root, log, command, trouble)
        run(root, log, [*command, "--without-pip"], trouble)
        (place,) = Path(command[-1]).glob("lib/python*/site-packages")
        (place / "pip").symlink_to(Path(importlib.util.find_spec("pip").origin).parent)
        return None

    monkeypatch.setattr(environments, "_run", quick)


@pytest.mark.usefixtures("installer")
def test_a_failed_installation_says_so_in_a_sentence_and_is_taken_up_again(environments, checkout, capsys):
    lock = checkout / "requirements" / "peers.txt"
    lock.write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    for _ in range(2):  # a half-made environment never counts as made
        with pytest.raises(environments.Failed) as failed:
            environments.ensure("peers", checkout)
        first, *rest = str(failed.value).splitlines()
        assert first.startswith("requirements/peers.txt could not be installed")
        assert "install.log" in first
        assert any("no-such-package" in line for line in rest)
        assert "WARNING" not in str(failed.value)
    lock.write_text("# nothing\n")
    capsys.readouterr()
    assert environments.ensure("peers", checkout) == checkout / ".venv-peers"
    assert "first use only" in capsys.readouterr().err
    environments.ensure("peers", checkout)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("installer")
def test_an_environment_without_its_python_or_from_elsewhere_is_made_anew(environments, checkout):
    folder = checkout / ".venv-peers"
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python3")  # as after an upgrade of the system's Python
    (folder / "root").write_text(str(checkout))
    (folder / "stamp-peers").write_text(environments._wanted(checkout, "peers"))
    (folder / "leftover").touch()
    environments.ensure("peers", checkout)
    assert not (folder / "leftover").exists()
    assert subprocess.run([python, "-c", ""]).returncode == 0
    assert environments._usable(checkout, folder)
    (folder / "root").write_text("/somewhere/else")  # as after moving the checkout: scripts hold absolute paths
    assert not environments._usable(checkout, folder)


def test_the_checkout_is_compiled_whatever_the_user_s_settings_and_a_broken_file_stops_nothing(
    environments, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    package = tmp_path / "nzcore" / "inner"
    package.mkdir(parents=True)
    (package / "good.py").write_text("x = 1\n")
    (package / "broken.py").write_text("x = \n")
    environments._compile(tmp_path, tmp_path / "install.log", sys.executable)
    assert [path.name.split(".")[0] for path in (package / "__pycache__").iterdir()] == ["good"]
    assert "broken.py" in (tmp_path / "install.log").read_text()


def test_an_old_python_is_refused_in_a_sentence():
    done = subprocess.run(
        [ROOT / "tools" / "ensure-venv", "core"], env={**os.environ, "PYTHON": "false"}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("nzcore needs Python 3.11 or newer")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_every_requirement_is_pinned_to_a_version_and_hashes(lock):
    blocks = re.sub(r"\s*#.*", "", lock.read_text()).replace("\\\n", " ").strip().splitlines()
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9._-]+==\S+ ", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block


def test_the_interpreter_that_runs_the_tests_has_exactly_what_the_lock_says():
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE))
    for name in ("trio", "cryptography", "pynacl", "msgpack", "msgspec", "cbor2", "pytest"):
        assert importlib.metadata.version(name) == pins[name]
