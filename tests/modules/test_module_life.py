"""From a folder that was dropped to a module that runs, changes, and is stopped; the node and others go on."""

import sys

import pytest

from tests.refusals import refused

from .conftest import ECHO, provides, state, write

V2 = ECHO.replace("return text", "return text.upper()")


async def test_a_dropped_folder_is_found_and_runs_once_it_is_enabled(node, drop, autojump_clock):
    write(drop / "echo", ECHO, tables=provides("echo"))
    assert await state(node, "echo") == "found"
    assert (await refused(node.call("echo.echo", text="hi"))).code == "control.unknown-operation"
    shown = await node.call("module.enable", name="echo")
    assert shown["state"] == "running"
    assert await node.call("echo.echo", text="hi") == "hi"
    assert node.node.supervisor.info("module-echo").state == "running"


@pytest.mark.parametrize("what", ["changed", "added", "gone", "manifest"])
async def test_a_file_that_differs_from_the_pin_is_told_and_not_loaded(node, drop, what, autojump_clock):
    folder = write(drop / "echo", ECHO, tables=provides("echo"))
    (folder / "data.txt").write_text("x")
    await node.call("module.enable", name="echo")
    match what:
        case "changed":
            write(folder, V2, tables=provides("echo"))
        case "added":
            (folder / "more.py").write_text("")
        case "gone":
            (folder / "data.txt").unlink()
        case "manifest":
            write(folder, ECHO, tables=provides("echo"), version="1.0.1")
    assert await state(node, "echo") == "changed"
    assert await node.call("echo.echo", text="hi") == "hi"
    assert (await refused(node.call("module.reload", name="echo"))).code == "module.changed"
    await node.restart()
    assert await state(node, "echo") == "changed"
    assert any("echo" in problem for problem in node.node.problems())
    assert (await refused(node.call("echo.echo", text="hi"))).code == "control.unknown-operation"
    assert (await node.call("module.enable", name="echo"))["state"] == "running"
    assert await node.call("echo.echo", text="hi") == ("HI" if what == "changed" else "hi")
    assert node.node.problems() == []


@pytest.mark.parametrize("operation", ["show", "enable", "reload", "disable", "remove"])
async def test_a_module_that_is_not_there_is_said_to_be_missing_beside_those_that_are(
    node, drop, operation, autojump_clock
):
    write(drop / "echo", ECHO, tables=provides("echo"))
    error = await refused(node.call(f"module.{operation}", name="ecco"))
    assert (error.code, error.message) == ("module.unknown", "there is no module 'ecco'")
    assert "chat, echo, hello" in error.hint


async def test_of_very_many_modules_some_are_named(node, drop, autojump_clock):
    for number in range(20):
        write(drop / f"a{number:02}", ECHO, tables=provides("echo"))
    error = await refused(node.call("module.disable", name="ecco"))
    assert "a15, …; " in error.hint
    assert "a16" not in error.hint


async def test_what_is_there_and_was_not_enabled_is_not_advised_to_be(node, drop, autojump_clock):
    write(drop / "echo", ECHO, tables=provides("echo"))
    error = await refused(node.call("module.disable", name="echo"))
    assert (error.code, error.message) == ("module.not-enabled", "echo is not enabled")
    assert "enable it" not in error.hint
    assert "enable it" in (await refused(node.call("module.reload", name="echo"))).hint


async def test_what_was_shown_is_what_is_enabled(node, drop, autojump_clock):
    write(drop / "echo", ECHO, tables=provides("echo"))
    shown = await node.call("module.show", name="echo")
    write(drop / "echo", V2, tables=provides("echo"))
    assert (await refused(node.call("module.enable", name="echo", digest=shown["digest"]))).code == "module.not-shown"
    assert await state(node, "echo") == "found"


async def test_an_enabled_module_runs_again_after_a_crash_of_the_node(node, drop, autojump_clock):
    write(drop / "echo", ECHO, tables=provides("echo"))
    await node.call("module.enable", name="echo")
    await node.restart()
    assert await node.call("echo.echo", text="again") == "again"


async def test_a_disabled_module_stays_disabled(node, drop, autojump_clock):
    write(drop / "echo", ECHO, tables=provides("echo"))
    await node.call("module.enable", name="echo")
    assert (await node.call("module.disable", name="echo"))["state"] == "disabled"
    await node.restart()
    assert await state(node, "echo") == "disabled"
    assert "module-echo" not in [one.name for one in node.node.supervisor.list()]
    assert (await refused(node.call("module.disable", name="echo"))).code == "module.not-enabled"


async def test_reloading_begins_anew_with_fresh_code_and_leaves_nothing_behind(node, drop, autojump_clock):
    code = ECHO + "\n    seen = []\n"
    write(drop / "echo", code, tables=provides("echo"))
    await node.call("module.enable", name="echo")
    first = node.node.modules.running["echo"].loaded
    assert [name for name in sys.modules if name.startswith(first.root)]
    first.kind.seen.append(1)
    await node.call("module.reload", name="echo")
    second = node.node.modules.running["echo"].loaded
    assert second.kind.seen == []
    assert not [name for name in sys.modules if name.startswith(first.root)]
    assert await node.call("echo.echo", text="hi") == "hi"
    await node.call("module.disable", name="echo")
    assert not [name for name in sys.modules if name.startswith("nzmodule_")]


async def test_code_that_does_not_load_leaves_what_runs_as_it_is(node, drop, autojump_clock):
    write(drop / "echo", ECHO, tables=provides("echo"))
    await node.call("module.enable", name="echo")
    write(drop / "echo", "def broken(:\n", tables=provides("echo"))
    assert (await refused(node.call("module.enable", name="echo"))).code == "module.load-failed"
    assert await state(node, "echo") == "changed"
    assert await node.call("echo.echo", text="still") == "still"


async def test_two_modules_with_files_of_the_same_names_do_not_meet(node, drop, autojump_clock):
    for name, word in (("one", "ONE"), ("two", "TWO")):
        folder = write(
            drop / name,
            "from .helper import WORD\n" + ECHO.replace("return text", "return WORD"),
            tables=provides("echo"),
        )
        (folder / "helper.py").write_text(f"WORD = {word!r}\n")
        await node.call("module.enable", name=name)
    assert await node.call("one.echo", text="") == "ONE"
    assert await node.call("two.echo", text="") == "TWO"


async def test_a_package_with_folders_is_loaded_from_what_was_read(node, drop, autojump_clock):
    folder = write(drop / "deep", "", entry="pack.inner:Main", tables=provides("echo"))
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("from nzcore.module import Module, operation\n")
    (folder / "pack" / "inner.py").write_text("from . import Module, operation\n" + ECHO)
    await node.call("module.enable", name="deep")
    assert await node.call("deep.echo", text="x") == "x"


async def test_installing_copies_whole_and_refuses_to_replace_unasked(node, drop, tmp_path, autojump_clock):
    source = write(tmp_path / "echo", ECHO, tables=provides("echo"))
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "x.pyc").write_bytes(b"x")
    shown = await node.call("module.install", path=str(source))
    assert (shown["state"], shown["source"]) == ("found", "home")
    assert sorted(path.name for path in (drop / "echo").iterdir()) == ["code.py", "module.toml"]
    assert (await refused(node.call("module.install", path=str(source)))).code == "module.exists"
    write(source, V2, tables=provides("echo"))
    await node.call("module.enable", name="echo")
    shown = await node.call("module.install", path=str(source), replace=True)
    assert shown["state"] == "changed"
    assert sorted(path.name for path in drop.iterdir()) == ["echo"]


async def test_removing_takes_folder_and_pin_and_the_data_only_when_asked(node, drop, tmp_path, autojump_clock):
    code = """
class Main(Module):
    async def start(self):
        await self.context.kv("notes").put("a", b"1")
        await self.context.files.write("f/g", b"2")
"""
    source = write(tmp_path / "keeper", code, capabilities=["kv:notes", "files"])
    for data in (False, True):
        await node.call("module.install", path=str(source))
        await node.call("module.enable", name="keeper")
        removed = await node.call("module.remove", name="keeper", data=data)
        assert removed == {"name": "keeper", "folder_removed": True, "data_removed": data}
        assert not (drop / "keeper").exists()
        kept = await node.kv.get("module.keeper:notes", "a")
        assert (kept is None) is data
        assert (node.node.home.module_files / "keeper" / "f" / "g").exists() is not data
    assert (await refused(node.call("module.show", name="keeper"))).code == "module.unknown"


async def test_a_module_that_requires_another_waits_for_it_and_holds_it(node, drop, autojump_clock):
    write(drop / "base", ECHO, tables=provides("echo"), version="1.2.0")
    write(drop / "user", ECHO, tables=provides("echo") + '[requires]\nmodules = { base = ">=1.0,<2.0" }\n')
    write(drop / "later", ECHO, tables=provides("echo") + '[requires]\nmodules = { base = ">=2.0" }\n')
    assert (await refused(node.call("module.enable", name="user"))).code == "module.requires"
    await node.call("module.enable", name="base")
    assert (await refused(node.call("module.enable", name="later"))).code == "module.requires"
    await node.call("module.enable", name="user")
    assert (await refused(node.call("module.disable", name="base"))).code == "module.required"
    await node.call("module.reload", name="base")
    assert await node.call("user.echo", text="x") == "x"
    await node.restart()
    assert await node.call("user.echo", text="x") == "x"
    await node.call("module.disable", name="user")
    assert (await node.call("module.disable", name="base"))["state"] == "disabled"


async def test_a_manifest_that_cannot_be_read_is_listed_with_its_line(node, drop, autojump_clock):
    write(drop / "odd", ECHO, colour="red")
    listed = {one["name"]: one for one in await node.call("module.list")}
    assert listed["odd"]["state"] == "found"
    assert listed["odd"]["problem"].startswith("line 5: ")
    assert (await refused(node.call("module.enable", name="odd"))).code == "module.bad-manifest"


async def test_a_folder_is_called_as_its_manifest_says(node, drop, autojump_clock):
    write(drop / "echo", ECHO, tables=provides("echo")).rename(drop / "other")
    assert (await refused(node.call("module.enable", name="other"))).code == "module.bad-manifest"


async def test_a_folder_in_the_home_that_takes_a_bundled_modules_place_must_be_enabled(node, drop, autojump_clock):
    listed = {one["name"]: one for one in await node.call("module.list")}
    assert listed["hello"]["source"] == "bundled"
    write(drop / "hello", ECHO, tables=provides("echo"))
    shown = await node.call("module.show", name="hello")
    assert (shown["source"], shown["state"]) == ("home", "found")
    assert shown["operations"] == ["hello.echo"]
