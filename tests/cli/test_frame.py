"""Every command has the same frame: global options anywhere, errors of one form, nothing imported too early."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import nzcore
from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.cli.app import COMMANDS, nzcore_command
from nzcore.cli.commands.explain import command as explain
from nzcore.cli.errors import CommandLineError, OutputClosed, exit_code
from nzcore.cli.frame import Command, in_words
from nzcore.cli.spawn import own_environment

from .conftest import WAIT_S, Run, python

HEAVY = ("trio", "cryptography", "nacl", "asyncio", "structlog", "rich", "platformdirs", "aiosqlite", "zeroconf")
PROBE = """
import sys
from nzcore.cli.app import main
code = main(sys.argv[2:])
sys.stderr.flush()
print("\\n" + ",".join(name for name in sys.argv[1].split(",") if name in sys.modules), code)
"""


def imported(*words: str, names: tuple[str, ...] = HEAVY) -> tuple[list[str], int]:
    """Which of `names` a command line imports in a fresh process, and its exit code."""
    last = python(PROBE, ",".join(names), *words).splitlines()[-1]
    found, _, code = last.rpartition(" ")
    return [name for name in found.split(",") if name], int(code)


@pytest.mark.parametrize("words", [("--json", "explain", "base.bad-text"), ("explain", "base.bad-text", "--json")])
def test_json_is_accepted_before_and_after_the_command(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert (ended.code, ended.json["code"]) == (0, "base.bad-text")
    assert ended.out.count("\n") == 1


def test_home_is_accepted_before_and_after_the_command_and_wins_over_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NZCORE_HOME", str(tmp_path / "environment"))
    for words in (("--home", str(tmp_path / "told"), "state"), ("state", "--home", str(tmp_path / "told"))):
        assert str(tmp_path / "told") in run("--json", *words).error["message"]
    assert str(tmp_path / "environment") in run("--json", "state").error["message"]


def test_an_option_after_a_group_and_its_command_is_the_same_option(run: Run, tmp_path: Path) -> None:
    for words in (
        ("service", "list", "--json", "--home"),
        ("service", "--json", "list", "--home"),
        ("--json", "service", "list", "--home"),
    ):
        ended = run(*words, tmp_path / "nowhere")
        assert ended.code == 3
        assert ended.error["code"] == "node.no-home"


def test_a_human_reads_what_happened_and_what_to_try(run: Run, tmp_path: Path) -> None:
    ended = run("--home", tmp_path / "nowhere", "state")
    assert ended.code == 3
    assert ended.out == ""
    first, second = ended.err.splitlines()
    assert first.startswith("error: there is no node in ")
    assert second.startswith("try: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nonsense",), "no such command 'nonsense'"),
        (("state", "--nonsense"), "no such option '--nonsense'"),
        (("state", "surplus"), "got unexpected extra argument (surplus)"),
        (("service", "show"), "missing argument 'NAME'"),
        (("--timeout", "never", "state"), "invalid value for '--timeout': 'never' is not a number"),
        (("--timeout", "nan", "state"), "invalid value for '--timeout': 'nan' is not a number of seconds"),
        (("--timeout", "0", "state"), "invalid value for '--timeout': 0.0 is out of range: more than 0, up to 86400"),
        (("service",), "missing command"),
        ((), "missing command"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_so_in_the_one_form(run: Run, words: tuple[str, ...], message: str) -> None:
    ended = run(*words, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.error["code"] == "cli.usage"
    assert ended.error["message"].replace(": --nonsense", " '--nonsense'") == message
    assert ended.error["hint"].startswith("nzcore")


def test_an_option_without_its_value_names_the_help_of_its_command(run: Run) -> None:
    ended = run("peer", "ping", "bob", "--count")
    assert ended.code == 2
    assert ended.err.splitlines() == ["error: option '--count' requires an argument", "try: nzcore peer ping --help"]


def test_a_home_that_may_not_be_read_is_no_slip_of_the_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    assert run("--home", tmp_path, "--json", "state").error["code"] == "node.no-home"


def test_a_nearly_right_command_is_suggested(run: Run) -> None:
    ended = run("stat")
    assert ended.code == 2
    assert "state" in ended.err


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("start", "up or service start"),
        ("stop", "down or service stop"),
        ("version", "--version"),
        ("verify", "identity verify"),
        ("list", "service list or peer list or channel list"),
        ("satus", "status or state"),
    ],
)
def test_a_command_that_is_called_otherwise_here_is_named(run: Run, tmp_path: Path, word: str, meant: str) -> None:
    ended = run("--home", tmp_path / "nowhere", word)
    assert ended.err.splitlines()[0] == f"error: no such command {word!r}; did you mean {meant}?"


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (click.IntRange(1, 1000), "1 to 1000"),
        (click.IntRange(min=1), "1 or more"),
        (click.IntRange(max=9), "up to 9"),
        (click.FloatRange(min=0, min_open=True), "more than 0"),
        (click.FloatRange(0, 60, min_open=True), "more than 0, up to 60"),
        (click.FloatRange(0.5, 1, max_open=True), "0.5 or more, less than 1"),
    ],
)
def test_a_range_is_said_in_words(bounds: click.IntRange | click.FloatRange, words: str) -> None:
    assert in_words(bounds) == words
    option = click.Option(["--some"], type=bounds, metavar="N", default=7, show_default=True, help="Some [of them].")
    page = Command("any", params=[option]).get_help(click.Context(click.Command("any")))
    assert f"Some [of them].  [default: 7; {words}]" in page


def test_no_help_shows_a_range_in_signs(run: Run) -> None:
    pages = []

    def read(group: click.Group, *path: str) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            pages.append(run(*path, name, "--help").out)
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                read(command, *path, name)

    read(nzcore_command)
    assert len(pages) > 60
    assert all("more than 0, up to 86400" in " ".join(page.split()) for page in pages)
    assert [page for page in pages if re.search(r"\bx[<>]|[<>]=?x\b", page)] == []


def test_a_number_out_of_range_is_told_in_words(run: Run) -> None:
    assert "'--uses': 0 is out of range: 1 to 1000\n" in run("invite", "--uses", "0").err


def test_what_is_no_number_is_told_in_words(run: Run) -> None:
    assert "'x' is not a whole number" in run("logs", "-n", "x").err


def test_a_command_of_a_module_needs_a_node_and_says_how_to_make_one(run: Run, tmp_path: Path) -> None:
    ended = run("--home", tmp_path / "nowhere", "hello", "greet", "--json")
    assert (ended.code, ended.error["code"]) == (3, "node.no-home")
    assert ended.error["message"].startswith("hello is a module, and commands of modules need the running node: ")
    assert "nzcore init" in ended.error["hint"]


def test_help_is_a_command_too(run: Run) -> None:
    assert run("help").out == run("--help").out
    assert run("help", "peer", "add").out == run("peer", "add", "--help").out
    ended = run("help", "per")
    assert (ended.code, ended.err.splitlines()[0]) == (2, "error: no such command 'per'; did you mean peer?")


@pytest.mark.parametrize("words", [("--json", "help"), ("help", "--json"), ("help", "peer", "add", "--json")])
def test_help_is_no_json_and_says_what_is(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert (ended.code, ended.out, ended.error["code"]) == (2, "", "cli.usage")
    assert "nzcore schema --json" in ended.error["hint"]
    assert json.loads(run("schema", "--json").out)


def test_no_command_at_all_shows_the_help(run: Run) -> None:
    ended = run()
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: nzcore" in ended.err


def test_the_version_is_told_in_both_forms(run: Run) -> None:
    assert run("--version").out == f"nzcore {nzcore.__version__}\n"
    assert run("--version", "--json").json == {"version": nzcore.__version__}


def test_help_names_every_command_without_importing_any() -> None:
    modules = tuple({f"nzcore.cli.commands.{entry.module}" for entry in COMMANDS.values()})
    found, code = imported("--help", names=(*modules, *HEAVY, "msgspec", "msgpack"))
    assert (found, code) == ([], 0)


@pytest.mark.parametrize(
    "words",
    [
        ("state", "--json"),
        ("state",),
        ("service", "list"),
        ("events", "--for", "0.01"),
        ("identity", "show"),
        ("config", "list", "--json"),
        ("explain", "cli.bug"),
        ("logs",),
        ("service", "show", "--help"),
    ],
)
def test_a_command_that_only_asks_imports_nothing_slow(home: str, words: tuple[str, ...]) -> None:
    assert imported("--home", home, *words) == ([], 0)


@pytest.mark.parametrize("group", ["identity", "service", "peer", "channel", "module", "message", "config"])
def test_help_of_a_group_cuts_no_summary(run: Run, group: str) -> None:
    assert not [line for line in run(group, "--help").out.splitlines()[1:] if line.endswith("...")]


def test_a_summary_in_the_table_is_the_command_s_own() -> None:
    context = nzcore_command.make_context("nzcore", ["--version"])
    for name, entry in COMMANDS.items():
        command = nzcore_command.get_command(context, name)
        assert command is not None
        if name != "status":
            assert command.help
            assert command.help.splitlines()[0] == entry.summary


def test_a_bug_becomes_one_sentence_and_a_file(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the inside of it")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(explain, "callback", broken)
    ended = run("explain", "--json")
    assert (ended.code, ended.out, ended.error["code"]) == (1, "", "cli.bug")
    assert "Traceback" not in ended.err
    (report,) = tmp_path.iterdir()
    assert str(report) in ended.error["message"]
    assert "RuntimeError: the inside of it" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (OutputClosed(), 141)])
def test_an_interruption_and_a_gone_reader_end_quietly(
    run: Run, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    def ends(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("nzcore.cli.output.drop", lambda: None)
    monkeypatch.setattr(explain, "callback", ends)
    ended = run("explain")
    assert (ended.code, ended.out, ended.err.strip()) == (code, "", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandLineError("cli.usage"), 2),
        (UsageError("cli.home-exists"), 1),
        (PeerError("base.bad-text"), 1),
        (UnavailableError("ipc.not-running"), 3),
        (UnavailableError("ipc.timeout"), 5),
        (PeerError("control.refused"), 4),
    ],
)
def test_an_error_s_kind_decides_the_exit_code(error: NzError, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_goes_to_the_session_s_form_even_when_parsing_ends_early(run: Run) -> None:
    assert json.loads(run("service", "nonsense", "--json").err)["error"]["code"] == "cli.usage"


@pytest.mark.parametrize("words", [("state",), ("init", "--no-passphrase"), ("up",), ("down",), ("logs",), ("doctor",)])
def test_a_home_that_cannot_be_is_one_sentence(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = run("--json", "--home", tmp_path / ("x" * 300), *words)
    assert ended.code in (1, 3)
    if words != ("doctor",):
        assert ended.error["code"] != "cli.bug"
        assert ended.error["hint"]


def test_an_empty_home_is_a_slip_and_not_the_usual_home(run: Run) -> None:
    ended = run("--json", "--home", "", "state")
    assert (ended.code, ended.error["code"]) == (2, "cli.usage")


@pytest.mark.real
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_bug(closed: str) -> None:
    script = f'"{sys.executable}" -P -m nzcore --json explain cli.bug {closed}'
    ended = subprocess.run(
        ["sh", "-c", script], capture_output=True, env=own_environment(), timeout=WAIT_S, check=False
    )
    assert ended.returncode == (1 if " >&-" in " " + closed else 0)
    assert b'cli.bug"' not in ended.stderr
