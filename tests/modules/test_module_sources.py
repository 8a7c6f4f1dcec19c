"""Where modules are found, and that looking runs nothing."""

import os
import sys
from pathlib import Path

import pytest

from nzcore.base.errors import UsageError
from nzcore.cli.commands.module import _require_text
from nzcore.node.modules.search import bundled_folder, find, survey
from nzcore.testing.world import World
from tests.refusals import code_of, refused

from .conftest import ECHO, provides, write

TRAP = "raise SystemExit('looking has run me')\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed distribution whose package is a module, and raises when it is imported."""
    site = tmp_path / "site"
    folder = write(site / "nz_weather", ECHO, name="weather", tables=provides("echo"))
    (folder / "__init__.py").write_text(TRAP)
    about = site / "weatherpack-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: weatherpack\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[nzcore.modules]\nweather = nz_weather\nPEER = nz_weather\ngone = nz_gone\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return folder


def test_installed_packages_offer_modules_by_entry_point_without_being_imported(package, tmp_path):
    found = survey(tmp_path / "none")["weather"]
    assert (found.source, found.folder, found.problem) == ("installed", package, "")
    assert "nz_weather" not in sys.modules
    assert not {"PEER", "gone"} & set(survey(tmp_path / "none"))


async def test_an_installed_module_runs_like_any_other(package, node, autojump_clock):
    (package / "__init__.py").write_text("")
    await node.call("module.enable", name="weather")
    assert await node.call("weather.echo", text="rain") == "rain"
    assert "nz_weather" not in sys.modules
    removed = await node.call("module.remove", name="weather")
    assert removed["folder_removed"] is False
    assert package.exists()


def test_the_home_comes_before_packages_and_those_before_bundled_ones(package, tmp_path):
    home = tmp_path / "modules"
    assert find(home, "hello").source == "bundled"
    write(home / "weather", ECHO, tables=provides("echo"))
    write(home / "hello", ECHO, tables=provides("echo"))
    assert find(home, "weather").source == find(home, "hello").source == "home"
    assert find(home, "nothing") is None


def test_looking_at_a_folder_runs_nothing_of_it(tmp_path):
    write(tmp_path / "trap", TRAP)
    assert survey(tmp_path)["trap"].snapshot is not None


def test_every_bundled_module_can_be_read_and_is_there():
    folder = bundled_folder()
    assert folder == Path(__file__).parents[2] / "modules"
    bundled = {name: one for name, one in survey(Path("/nonexistent")).items() if one.source == "bundled"}
    assert set(bundled) == {"hello", "chat", "profile"}
    assert all(one.error is None for one in bundled.values())


def test_strange_names_in_the_folder_are_shown_and_cannot_be_enabled(tmp_path):
    (tmp_path / "My Notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = {name: one for name, one in survey(tmp_path).items() if one.source == "home"}
    assert set(found) == {"My Notes"}
    assert found["My Notes"].problem


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems hold UTF-8 only")
async def test_a_home_whose_path_is_not_utf_8_holds_modules_like_any_other(tmp_path, autojump_clock):
    source = write(tmp_path / "echo", ECHO, tables=provides("echo"))
    async with World(5, homes=tmp_path / os.fsdecode(b"caf\xe9")) as world:
        node = await world.add("alice")
        installed = await node.call("module.install", path=str(source))
        assert installed["path"].encode().endswith("caf\N{REPLACEMENT CHARACTER}/alice/modules/echo".encode())
        again = await refused(node.call("module.install", path=str(source)))
        assert again.code == "module.exists"
        again.message.encode()  # as the node's answer is
        assert (await node.call("module.enable", name="echo"))["state"] == "running"
        assert await node.call("echo.echo", text="hi") == "hi"


def test_a_folder_that_no_message_can_name_is_not_asked_for():
    _require_text(Path("/here/caf\N{LATIN SMALL LETTER E WITH ACUTE}"))
    assert code_of(UsageError, lambda: _require_text(Path(os.fsdecode(b"/here/caf\xe9")))) == "ipc.not-text"
