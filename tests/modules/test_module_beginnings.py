"""A node that hangs in a module's code has written down in whose; and it starts without any."""

import os
from pathlib import Path

import pytest

from nzcore.cli.app import main
from nzcore.cli.commands.up import Wanted, _in_vain
from nzcore.cli.session import Session
from nzcore.node.home import Home
from nzcore.node.modules.beginnings import SETTLED_S, Beginnings, spoken
from nzcore.node.setup import create_home
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.store.lock import HomeLock
from tests.refusals import refused

from .conftest import ECHO, provides, write

LOOKS = """
from pathlib import Path
run = Path({run!r})
seen = sorted(path.name for path in run.iterdir())


class Main(Module):
    at_start = at_service = ()

    async def start(self):
        Main.at_start = sorted(path.name for path in run.iterdir())

    @service
    async def loop(self):
        Main.at_service = sorted(path.name for path in run.iterdir())
        await trio.sleep_forever()
"""


@pytest.fixture
def run(node) -> Path:
    """The folder of notes; a world makes no other of a home's folders."""
    node.node.home.run.mkdir(parents=True)
    return node.node.home.run


async def test_a_module_is_noted_while_it_begins_and_a_moment_longer(world, node, drop, run, autojump_clock):
    write(drop / "noted", LOOKS.format(run=str(run)), tables=provides(services=("loop",)))
    await node.call("module.enable", name="noted")
    await world.settle()
    kind = node.node.modules.running["noted"].loaded.kind
    assert kind.at_start == kind.at_service == ["starting-noted"]
    assert Beginnings(run).left() == ["noted"]
    await world.run_for(SETTLED_S * 1.1)
    assert Beginnings(run).left() == []


async def test_a_module_is_noted_while_its_code_is_loaded(node, drop, run, autojump_clock):
    write(drop / "broken", f"raise ValueError(__import__('os').listdir({str(run)!r}))")
    error = await refused(node.call("module.enable", name="broken"))
    assert "['starting-broken']" in error.message
    assert Beginnings(run).left() == []


async def test_a_module_that_was_stopped_or_failed_leaves_no_note(world, node, drop, run, autojump_clock):
    write(drop / "failing", "class Main(Module):\n    async def start(self): raise ValueError('no')\n")
    await refused(node.call("module.enable", name="failing"))
    assert Beginnings(run).left() == []
    write(drop / "echo", ECHO, tables=provides("echo"))
    await node.call("module.enable", name="echo")
    await node.call("module.disable", name="echo")
    assert Beginnings(run).left() == []


async def test_notes_of_an_earlier_process_are_cleared_by_the_next_start(node, drop, run, autojump_clock):
    Beginnings(run).entered("gone")
    await node.restart()
    assert Beginnings(run).left() == []


def test_the_last_one_that_was_entered_is_named_first(tmp_path: Path) -> None:
    notes = Beginnings(tmp_path)
    with notes.noted("b"), notes.noted("a"), notes.noted("c"):
        notes.entered("b")
        (tmp_path / "starting-strange").write_bytes(b"\xff")
        assert notes.left() == ["b", "c", "a", "strange"]
        assert spoken(notes.left()) == "the module b; just before it began: c, a, strange"
    assert notes.left() == ["strange"]
    assert spoken(notes.left()) == "the module strange"


def test_a_folder_that_takes_no_notes_hinders_nobody(tmp_path: Path) -> None:
    notes = Beginnings(tmp_path / "missing")
    with notes.noted("a"):
        assert notes.left() == []


async def test_modules_that_are_held_are_told_apart_and_can_be_taken_out(world, node, drop, run, autojump_clock):
    for name in ("echo", "other"):
        write(drop / name, ECHO, tables=provides("echo"))
        await node.call("module.enable", name=name)
    modules = node.node.modules
    for name in ("echo", "other"):
        await node.node.supervisor.remove(f"module-{name}")
    modules.forget()
    modules.held = True
    Beginnings(run).entered("echo")
    await modules.begin()
    assert not modules.running
    assert modules.suspects == ["echo"]  # the note is kept until somebody acts on it
    shown = {one["name"]: one for one in await node.call("module.list")}
    assert (shown["echo"]["state"], shown["other"]["state"]) == ("enabled", "enabled")
    assert "runs without modules" in shown["other"]["problem"]
    for operation in ("module.enable", "module.reload"):
        assert (await refused(node.call(operation, name="other"))).code == "module.held"
    assert (await node.call("module.disable", name="echo"))["state"] == "disabled"
    assert modules.suspects == Beginnings(run).left() == []
    assert (await node.call("module.remove", name="other"))["folder_removed"]
    assert modules.enabled == []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    with Mnemonic.parse("abandon " * 23 + "art") as mnemonic:
        create_home(tmp_path / "home", name="tester", mnemonic=mnemonic, passphrase=None)
    made = Home(tmp_path / "home")
    made.make_folders()
    return made


def test_who_waits_in_vain_hears_in_which_module_the_node_is(home: Home) -> None:
    session = Session()
    session.home_path = str(home.path)
    error = _in_vain(session, 3)
    assert (error.code, error.message) == ("cli.timeout", "the node was not ready within 3 s")
    assert f"nzcore --home {home.path} up -d --no-modules" in error.hint
    Beginnings(home.run).entered("loopy")
    error = _in_vain(session, 3)
    assert error.message.endswith("it got no further than the module loopy")
    assert error.hint.endswith(
        f"nzcore --home {home.path} up -d --no-modules, and then: nzcore --home {home.path} module disable loopy"
    )


def test_what_was_wished_for_reaches_the_detached_node() -> None:
    assert Wanted((), False, True, modules=False).words() == ["--no-modules"]
    assert Wanted((), False, True).words() == []


def test_the_doctor_of_a_node_that_does_not_answer_names_the_module(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(home.path), "doctor"]) == 0
    Beginnings(home.run).entered("loopy")
    capfd.readouterr()
    assert main(["--home", str(home.path), "doctor"]) == 1
    said = capfd.readouterr().out
    assert "1 of" in said
    assert "it got no further than the module loopy" in said
    assert "if it does so again: " in said
    assert "up -d --no-modules" in said
    with HomeLock(home.lock):  # as a node that hangs holds it
        assert main(["--home", str(home.path), "doctor"]) == 1
    if Path("/proc/locks").exists():
        assert f"kill -9 {os.getpid()} ends it; then: nzcore" in capfd.readouterr().out
