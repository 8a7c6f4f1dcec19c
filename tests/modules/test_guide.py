"""Every snippet of modules/README.md works as it stands there."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from nzcore.base.errors import NzError
from nzcore.cli.spawn import own_environment
from nzcore.node.modules.capability import SIMPLE, parse
from nzcore.testing import World, pair_with, run_module

GUIDE = (Path(__file__).parents[2] / "modules" / "README.md").read_text()


class Snippet(NamedTuple):
    language: str
    text: str

    @property
    def path(self) -> str:
        """The file that a snippet is, by its first line."""
        found = re.match(r"# ([\w./]+)\n", self.text)
        return found[1] if found else ""


SNIPPETS = [Snippet(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)]
FILES = {one.path: one.text for one in SNIPPETS if one.language in ("toml", "python")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All modules of the guide."""
    folder = tmp_path_factory.mktemp("guide")
    for path, text in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_every_snippet_is_a_file_a_script_or_what_is_said():
    assert GUIDE.count("```") == 2 * len(SNIPPETS) > 20
    assert {one.language for one in SNIPPETS} == {"toml", "python", "sh", "text"}
    assert "" not in FILES
    assert len(FILES) == sum(one.language in ("toml", "python") for one in SNIPPETS)


async def test_notes_and_who_calls_them(folder, autojump_clock):
    async with pair_with(folder / "notes", folder / "greeter") as (_, alice, _bob):
        await alice.call("notes.write", title="shopping", text="bread")
        assert await alice.call("notes.read", title="shopping") == "bread"
        assert await alice.call("greeter.letter", title="shopping") == "bread\n\nyours, alice"
        written = alice.node.home.module_files / "greeter" / "letters" / "shopping.txt"
        assert written.read_text().startswith("bread")
        with pytest.raises(NzError, match="there is no note 'x'"):
            await alice.call("notes.read", title="x")
        with pytest.raises(NzError) as refused:
            await alice.call("notes.write", title="", text="")
        assert refused.value.code == "control.bad-arguments"


async def test_the_clock_ticks_hears_and_stops(folder, autojump_clock):
    async with pair_with(folder / "clock") as (world, alice, bob):
        await world.run_for(35)
        assert await alice.call("clock.ticks") == 3
        await bob.restart()
        await world.until_connected((alice, bob))
        assert alice.node.modules.running["clock"]._instance.meetings == 1
        await alice.call("module.disable", name="clock")
        assert world.trace.of("alice", "clock.stopped")[0].value >= 3


async def test_the_dice_reach_the_other_node(folder, autojump_clock):
    async with pair_with(folder / "dice") as (world, alice, bob):
        await world.run_for(2)
        await alice.call("dice.shout", what="six!")
        await alice.call("dice.owe", peer="bob", amount=2)
        await alice.call("dice.owe", peer="bob", amount=3)
        await world.run_for(30)
        assert bob.node.modules.running["dice"]._instance.heard == ["six!"]
        assert await bob.call("dice.debts") == {alice.id.text: 5}


def test_the_test_of_the_dice_passes(folder):
    scope = {"__file__": str(folder / "dice" / "test_dice.py")}
    exec(FILES["dice/test_dice.py"], scope)
    scope["test_two_nodes_play"]()


async def test_what_was_forgotten_is_told_in_these_words(folder, autojump_clock):
    (said,) = [one.text.strip() for one in SNIPPETS if one.language == "text"]
    async with World(homes=folder / "homes") as world:
        node = await world.add("alice")
        with pytest.raises(NzError) as refused:
            await run_module(node, folder / "forgot")
        assert refused.value.message == said


def test_the_entry_point_names_the_group():
    assert tomllib.loads(FILES["weatherpack/pyproject.toml"])["project"]["entry-points"].keys() == {"nzcore.modules"}


def test_the_table_of_capabilities_is_complete():
    named = re.findall(r"`([a-z:A-Z]+)`", GUIDE.partition("## What you can ask for")[2].partition("What you use")[0])
    assert set(SIMPLE) <= set(named)
    kinds = {"kv:x", "bus:publish:m.x", "bus:subscribe:x", "stream:/x/1", "fabric:x", "call:x.y"}
    for kind in kinds:
        assert parse(kind, "m")
        assert any(name.rpartition(":")[0] == kind.rpartition(":")[0] and name.isascii() for name in named), kind


@pytest.mark.real
def test_every_line_of_shell_works_in_order(folder, tmp_path):
    tool = tmp_path / "bin" / "nzcore"
    tool.parent.mkdir()
    python = tool.with_name("python")
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m nzcore "$@"\n')
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for script in (tool, python):
        script.chmod(0o755)
    unmeasured = {name: value for name, value in own_environment().items() if not name.startswith("COVERAGE")}
    environment = unmeasured | {
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "NZCORE_HOME": str(tmp_path / "home"),
    }
    work = tmp_path / "work"
    work.mkdir()
    (work / "notes").symlink_to(folder / "notes")

    def run(script):
        done = subprocess.run(
            ["sh", "-e", "-c", script], cwd=work, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout

    run("nzcore init --no-passphrase --name guide && nzcore up -d --no-mdns --listen tcp://127.0.0.1:0")
    try:
        said = "".join(run(one.text) for one in SNIPPETS if one.language == "sh")
    finally:
        run("nzcore down")
    for words in ("1 passed", "hello, you", "weather  0.1.0    running", "bread and ink", '"shopping"', '"min_length"'):
        assert words.replace("min_length", "minLength") in said, words
