"""`nzcore module …`, and the commands that modules add, on a running node."""

from pathlib import Path

import pytest

from nzcore.base.errors import UsageError
from nzcore.cli import output
from nzcore.cli.extension import _blocks, _line, _refuse_stopped
from nzcore.cli.session import Session

from .conftest import Run, python, spawn, start_node
from .terminal import Terminal

pytestmark = pytest.mark.real

CODE = '''
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from nzcore.module import Meta, Module, Refusal, command, operation


class Tool(Module):
    """A module with every kind of parameter."""

    @command
    @operation
    async def show_all(
        self,
        first: Annotated[str, Meta(description="what comes first")],
        count: int,
        *,
        share: float = 0.5,
        loud: bool = False,
        kind: Literal["a", "b"] = "a",
        tags: list[str] = [],
        extra: dict[str, int] = {},
        maybe: str | None = None,
    ) -> dict[str, Any]:
        """Show what was given."""
        named = {"kind": kind, "tags": tags, "extra": extra, "maybe": maybe}
        return {"first": first, "count": count, "share": share, "loud": loud, **named}

    @command
    @operation
    async def many(self, names: list[str]) -> list[str]:
        """Take several."""
        return names

    @command
    @operation
    async def each(self, count: int = 3) -> AsyncIterator[dict[str, int]]:
        """Count."""
        for number in range(count):
            yield {"number": number}

    @command
    @operation
    async def deny(self) -> None:
        """Say no."""
        raise Refusal("not this time", hint="try the other")

    @operation
    async def hidden(self) -> None:
        """Be no command."""
'''
MANIFEST = """
name = "tool"
version = "0.3.0"
api = "0"
summary = "Every kind of parameter."
entry = "tool:Tool"

[provides]
operations = ["show_all", "many", "each", "deny", "hidden"]
commands = ["show_all", "many", "each", "deny"]
"""


@pytest.fixture(scope="module")
def tooled(tmp_path_factory: pytest.TempPathFactory):
    """The home of a node on which the module runs."""
    folder = tmp_path_factory.mktemp("tooled")
    home = folder / "home"
    start_node(home, "tooled")
    (folder / "tool").mkdir()
    (folder / "tool" / "module.toml").write_text(MANIFEST)
    (folder / "tool" / "tool.py").write_text(CODE)
    assert spawn("--home", str(home), "module", "install", str(folder / "tool")).code == 0
    assert spawn("--home", str(home), "module", "enable", "tool", "--yes").code == 0
    yield str(home)
    assert spawn("--home", str(home), "down").code == 0


LOOP = """
from pathlib import Path

from nzcore.module import Module

(Path(__file__).parents[3] / "loaded").touch()


class Main(Module):
    pass
"""


def test_a_node_without_modules_loads_none_and_lets_them_be_taken_out(run: Run, tmp_path: Path) -> None:
    home, local = tmp_path / "home", ("--listen", "tcp://127.0.0.1:0", "--no-mdns")
    start_node(home, "held")
    (home / "modules" / "loop").mkdir()
    (home / "modules" / "loop" / "module.toml").write_text(
        MANIFEST.partition("[provides]")[0].replace("tool:Tool", "tool:Main").replace("tool", "loop", 1)
    )
    (home / "modules" / "loop" / "tool.py").write_text(LOOP)
    assert run("--home", home, "module", "enable", "loop", "--yes").code == 0
    assert run("--home", home, "down").code == 0
    (tmp_path / "loaded").unlink()
    (home / "run" / "starting-loop").write_text("1")  # as a node that was killed in it leaves it
    assert spawn("--home", str(home), "up", "-d", "--no-modules", *local).code == 0
    listed = {one["name"]: one for one in run("--home", home, "--json", "module", "list").json}
    assert (listed["loop"]["state"], listed["loop"]["problem"]) == (
        "enabled",
        "not started: the node runs without modules",
    )
    found = {one["check"]: one for one in run("--home", home, "--json", "doctor").json}
    assert "the module loop" in found["modules"]["detail"]
    assert run("--home", home, "--json", "module", "reload", "loop").error["code"] == "module.held"
    assert run("--home", home, "module", "disable", "loop").code == 0
    found = {one["check"]: one for one in run("--home", home, "--json", "doctor").json}
    assert found["modules"]["ok"]
    assert run("--home", home, "down").code == 0
    assert not (tmp_path / "loaded").exists()


def test_enabling_asks_and_without_anybody_there_it_needs_yes(run: Run, tooled: str) -> None:
    ended = run("--home", tooled, "--json", "module", "enable", "hello")
    assert (ended.code, ended.error["code"]) == (2, "cli.needs-yes")
    assert {one["name"]: one["state"] for one in run("--home", tooled, "--json", "module", "list").json}[
        "hello"
    ] == "found"


def test_a_person_sees_what_a_module_asks_for_and_may_say_no(run: Run, tooled: str) -> None:
    with Terminal("--home", tooled, "module", "enable", "profile") as terminal:
        seen = terminal.expect("let profile do this? [y/N]:")
        for words in ("kv:profiles", "sign in your node's name", "a module that means ill can do more than this"):
            assert words in seen
        terminal.enter("n")
        assert terminal.end() == 130
    shown = run("--home", tooled, "--json", "module", "show", "profile").json
    assert shown["state"] == "found"
    with Terminal("--home", tooled, "module", "enable", "profile") as terminal:
        terminal.expect("let profile do this? [y/N]:")
        terminal.enter("y")
        assert terminal.end() == 0
        assert "profile: running" in terminal.shown
    assert run("--home", tooled, "module", "remove", "profile", "--data", "--yes").code == 0


def test_show_says_what_it_asks_for_and_what_it_adds(run: Run, tooled: str) -> None:
    shown = run("--home", tooled, "module", "show", "chat").out
    for words in ("asks for", "kv:history", "exchange messages", "nzcore chat say", "chat.say", "bundled"):
        assert words in shown
    shown = run("--home", tooled, "--json", "module", "show", "tool").json
    assert (shown["state"], shown["source"], shown["asks"]) == ("running", "home", [])


def test_parameters_are_arguments_and_options_of_their_types(run: Run, tooled: str) -> None:
    plain = run("--home", tooled, "--json", "tool", "show-all", "x", "3").json
    assert plain == {
        "first": "x", "count": 3, "share": 0.5, "loud": False, "kind": "a", "tags": [], "extra": {}, "maybe": None,
    }  # fmt: skip
    words = [
        "--share",
        "0.25",
        "--loud",
        "--kind",
        "b",
        "--tags",
        "p",
        "--tags",
        "q",
        "--extra",
        '{"z":1}',
        "--maybe",
        "m",
    ]
    full = run("tool", "show-all", "x", "3", *words, "--home", tooled, "--json").json
    given = {"share": 0.25, "loud": True, "kind": "b", "tags": ["p", "q"], "extra": {"z": 1}, "maybe": "m"}
    assert full == plain | given
    assert run("--home", tooled, "--json", "tool", "many", "a", "b").json == ["a", "b"]
    assert run("--home", tooled, "tool", "each", "--count", "2").out == "number  0\nnumber  1\n"
    assert run("--home", tooled, "tool", "each", "--json").out == '{"number":0}\n{"number":1}\n{"number":2}\n'


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["show-all"], 2, "cli.usage"),
        (["show-all", "x", "three"], 2, "cli.usage"),
        (["show-all", "x", "3", "--kind", "c"], 2, "cli.usage"),
        (["show-all", "x", "3", "--extra", "{"], 2, "cli.usage"),
        (["show-all", "x", "3", "--extra", "[]"], 1, "control.bad-arguments"),
        (["deny"], 1, "module.refused"),
        (["hidden"], 2, "cli.usage"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(run: Run, tooled: str, words: list[str], code: int, error: str) -> None:
    ended = run("--home", tooled, "--json", "tool", *words)
    assert (ended.code, ended.error["code"]) == (code, error)


def test_help_lists_commands_of_modules_while_the_node_runs(run: Run, tooled: str) -> None:
    shown = run("--home", tooled, "--help").out
    assert "Commands of modules:\n  tool" in shown
    assert "Commands of modules" not in run("--home", "/nonexistent/nz", "--help").out
    shown = run("--home", tooled, "tool", "show-all", "--help").out
    for words in ("Show what was given.", "nzcore tool show-all FIRST COUNT", "--loud / --no-loud", "--kind [a|b]"):
        assert words in shown


def test_schema_and_completion_know_operations_of_modules(
    run: Run, tooled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = run("--home", tooled, "--json", "schema", "tool.show_all").json
    assert schema["args"]["$defs"]["ShowAllArgs"]["required"] == ["first", "count"]
    assert "tool.each" in run("--home", tooled, "--json", "schema").json
    assert run("--home", tooled, "--json", "schema", "tool.nothing").error["code"] == "cli.unknown-operation"
    completed = spawn(_NZCORE_COMPLETE="bash_complete", COMP_WORDS=f"nzcore --home {tooled} to", COMP_CWORD="3").out
    assert "tool" in completed
    completed = spawn(
        _NZCORE_COMPLETE="bash_complete", COMP_WORDS=f"nzcore --home {tooled} tool sh", COMP_CWORD="4"
    ).out
    assert "show-all" in completed


def test_a_module_that_is_disabled_says_so_when_its_command_is_typed(run: Run, tooled: str) -> None:
    assert run("--home", tooled, "module", "disable", "tool").out == "tool: disabled\n"
    ended = run("--home", tooled, "--json", "tool", "each")
    assert (ended.code, ended.error["code"]) == (1, "cli.module-stopped")
    assert ended.error["hint"] == f"nzcore --home {tooled} module enable tool"
    assert run("--home", tooled, "module", "enable", "tool", "-y").out == "tool: running\n"
    ended = run("--home", tooled, "--json", "toool", "each")
    assert (ended.error["code"], ended.error["message"]) == (
        "cli.usage",
        "no such command 'toool'; did you mean tool?",
    )


@pytest.mark.parametrize(
    ("state", "problem", "code", "hint"),
    [
        ("changed", "tool.py is not what was enabled", "cli.module-stopped", "nzcore module enable boom"),
        ("enabled", "", "cli.module-stopped", "nzcore service show module-boom"),
        ("enabled", "it raised, and is tried again", "cli.module-stopped", "nzcore service show module-boom"),
        ("enabled", "not started: the node runs without modules", "module.held", "without --no-modules"),
        ("failed", "it raised", "cli.module-stopped", "module list"),
    ],
)
def test_a_module_that_does_not_run_is_met_with_what_helps_in_its_state(
    monkeypatch: pytest.MonkeyPatch, state: str, problem: str, code: str, hint: str
) -> None:
    monkeypatch.setattr(Session, "call", lambda *_, **__: {"state": state, "problem": problem, "commands": ["go"]})
    with pytest.raises(UsageError) as refused:
        _refuse_stopped(Session(), "boom")
    assert refused.value.code == code
    assert hint in refused.value.hint


def test_no_path_is_not_the_folder_that_one_is_in(run: Run, tooled: str) -> None:
    ended = run("--home", tooled, "--json", "module", "install", "")
    assert (ended.code, ended.error["message"]) == (2, "invalid value for 'PATH': it is empty")


def test_an_enabled_module_runs_again_when_the_node_does(run: Run, tooled: str) -> None:
    assert run("--home", tooled, "down").code == 0
    ended = run("--home", tooled, "--json", "tool", "each")
    assert (ended.code, ended.error["code"]) == (3, "ipc.not-running")
    assert "tool is a module" in ended.error["message"]
    assert ended.error["hint"].endswith(f"nzcore --home {tooled} up -d")
    assert run("--home", tooled, "--json", "chat", "rooms").code == 3
    ended = run("toool", "each", "--home", tooled, "--json")
    assert (ended.code, ended.error["message"]) == (2, "no such command 'toool'; did you mean tool?")
    assert "Commands of modules:\n  need the running node: nzcore up -d" in run("--home", tooled, "--help").out
    completed = spawn(_NZCORE_COMPLETE="bash_complete", COMP_WORDS=f"nzcore --home {tooled} tool sh", COMP_CWORD="4")
    assert completed.err == ""
    assert spawn("--home", tooled, "up", "-d", "--listen", "tcp://127.0.0.1:0", "--no-mdns").code == 0
    assert run("--home", tooled, "tool", "each", "--count", "1").out == "number  0\n"


def test_what_a_module_says_is_shown_as_people_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    at = 1795161506.8
    said = {"room": "den", "who": "bob", "text": "hi", "note": None, "at": at}
    output.show(_line(said))
    assert capsys.readouterr().out == f"den  bob  hi  {output.when(at)}\n"
    output.show(_blocks({"said_at": at, "format": 1795161506, "at": 3}))
    assert capsys.readouterr().out == f"said_at  {output.when(at)}\nformat   1795161506\nat       3\n"


def test_a_folder_that_is_no_module_is_not_read_through(run: Run, tooled: str, tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.txt").touch()
    ended = run("--home", tooled, "--json", "module", "install", tmp_path)
    assert (ended.code, ended.error["code"]) == (1, "module.no-manifest")


def test_new_writes_a_module_and_refuses_what_is_there_or_no_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("module", "new", "my-notes", "--json").json
    assert made["files"] == ["README.md", "module.toml", "my_notes.py", "test_my_notes.py"]
    assert run("--json", "module", "new", "my-notes").error["code"] == "cli.file-exists"
    for name in ("Peer", "peer", "../x", "a" * 40):
        assert run("--json", "module", "new", name).error["code"] == "cli.bad-module-name"


def test_commands_of_the_node_import_nothing_of_modules() -> None:
    slow = python("import sys; import nzcore.cli.app; print(sorted(m for m in sys.modules if 'module' in m))")
    assert "nzcore.node.modules" not in slow
    assert "nzcore.module" not in slow
