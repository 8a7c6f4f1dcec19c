"""Results are readable, machine-readable, and can't steer a terminal."""

import io
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import UnavailableError
from nzcore.base.ids import NodeId
from nzcore.cli import output
from nzcore.cli.errors import OutputClosed
from nzcore.cli.spawn import own_command, own_environment

from .conftest import WAIT_S


class Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self) -> bool:
        return True


@given(st.text())
def test_nothing_that_a_terminal_obeys_gets_through(text: str) -> None:
    assert output.clean(text).isprintable()
    assert len(output.clean(text)) == len(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_is_one_line_and_the_same_value(value: object) -> None:
    line = output.json_line(value)
    assert line.count("\n") == 1
    assert json.loads(line) == value


@given(st.text())
def test_json_obeys_no_terminal_either_and_is_one_line_for_every_reader(text: str) -> None:
    line = output.json_line({text: text})
    assert line[:-1].isprintable()
    assert line.encode().decode().splitlines() == [line[:-1]]
    assert json.loads(line) == {text: text}


def test_json_is_compact_and_shows_bytes_as_hexadecimal() -> None:
    assert output.json_line({"a": [1, b"\x01\xff"], "ü": "é"}) == '{"a":[1,"01ff"],"ü":"é"}\n'


def test_json_that_has_no_word_for_infinity_says_null() -> None:
    value = {"a": [float("nan"), 1.5], "b": (float("inf"), {"c": float("-inf")}), "d": b"\x00"}
    assert json.loads(output.json_line(value)) == {"a": [None, 1.5], "b": [None, {"c": None}], "d": "00"}


def test_a_piped_table_is_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([output.Table(("name", "state"), [("a", "running"), ("longer", None)])])
    assert capsys.readouterr().out == "NAME    STATE\na       running\nlonger\n"


def test_a_table_on_a_terminal_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    output.show([output.Table(("name",), [("a[bold]b",)])])
    assert "─" in terminal.getvalue()
    assert "a[bold]b" in terminal.getvalue()


@pytest.mark.parametrize(("columns", "drawn"), [(80, True), (36, True), (35, False), (12, False)])
def test_a_table_that_a_terminal_has_no_room_for_is_shown_row_by_row(
    monkeypatch: pytest.MonkeyPatch, columns: int, drawn: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [
        ("supervision", "5", "restarts within the period", output.Line("yes", "green")),
        ("net", "", "x" * 90, None),
    ]
    output.show([output.Table(("setting", "", "what", "ok"), rows)])
    shown = terminal.getvalue()
    assert ("─" in shown) == drawn
    assert shown.replace("\n", "").replace(" ", "").count("x") == 90
    if not drawn:
        assert shown.startswith("setting  supervision\n         5\nwhat     restarts")
        assert "\n\nsetting  net\nwhat     xxx" in shown
        assert "ok       yes\n" in shown


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in output.paint("healthy", "green", Terminal())) == coloured
    assert output.paint("healthy", "green", io.StringIO()) == "healthy"


def test_a_long_line_is_broken_between_words_and_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    line = "address  " + " ".join(["tcp://192.0.2.1:7001"] * 4)
    folded = output.fold(line, Terminal()).split("\n")
    assert len(folded) == 2
    assert all(len(part) < 60 for part in folded)
    assert folded[1].startswith("         tcp://")
    assert " ".join(part.strip() for part in folded) == line
    assert output.fold(line, io.StringIO()) == line
    assert output.fold("x" * 200, Terminal()) == "x" * 200


def test_the_first_address_stands_for_all() -> None:
    assert output.where([]) == ""
    assert output.where(["tcp://[fd00::1]:1"]) == "[fd00::1]:1"
    assert output.where(["tcp://a:1", "tcp://b:1", "tcp://c:1"]) == "a:1 +2"
    assert output.listed(["a", "b", "c"], 1) == "a and 2 more"
    assert output.milliseconds(None) == ""
    assert (output.milliseconds(0.5), output.milliseconds(250.4)) == ("0.50 ms", "250 ms")


def test_ids_in_facts_are_told_by_their_beginnings() -> None:
    node = NodeId(bytes(32)).text
    assert output.facts({"peer": node, "code": "net.revoked"}) == f"peer={node[:12]}… code=net.revoked"
    assert output.facts(node) == f"{node[:12]}…"
    assert output.facts({"reached": [node, "a"]}) == f"reached={node[:12]}…,a"
    assert output.facts("nzn1 is a prefix") == "nzn1 is a prefix"


def test_a_coloured_cell_is_plain_text_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([output.Table(("peer", "connected"), [("bob", output.Line("yes", "green"))])])
    assert capsys.readouterr().out == "PEER  CONNECTED\nbob   yes\n"


def test_pairs_align_values_and_leave_out_what_is_empty() -> None:
    assert output.pairs([("a", 1), ("long", "x\ty"), ("gone", None)]) == "a     1\nlong  x\N{REPLACEMENT CHARACTER}y"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (1e6, "12 d")])
def test_lengths_of_time_are_said_in_their_unit(seconds: float, text: str) -> None:
    assert output.ago(seconds) == text


def test_a_closed_output_is_told_from_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    monkeypatch.setattr(sys, "stdout", Broken())
    error: OSError = BrokenPipeError()
    with pytest.raises(OutputClosed):
        output.write("x")
    error = OSError(28, "No space left on device")
    with pytest.raises(UnavailableError, match=r"cli\.output"):
        output.write("x")


@pytest.mark.real
def test_a_reader_who_leaves_ends_a_command_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [*own_command(), "explain"],
        stdout=write,
        stderr=subprocess.PIPE,
        env=own_environment(),
        timeout=WAIT_S,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.real
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_said_in_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*own_command(), "explain", "cli.bug", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=own_environment(),
            timeout=WAIT_S,
            check=False,
        )
    assert ended.returncode == 1
    assert json.loads(ended.stderr)["error"]["code"] == "cli.output"
