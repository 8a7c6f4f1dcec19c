"""spec/core.md says what the code does: its table is the table, its numbers the numbers, its example runs."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.reasons import kernel
from nzcore.kernel import Backoff, Service, State, Supervisor, bus, described, incarnation, topics
from nzcore.kernel.states import NEXT, Signal

SPEC = Path(__file__).resolve().parents[2] / "spec" / "core.md"
TEXT = SPEC.read_text(encoding="utf-8")


def test_the_transition_table_of_the_specification_is_the_one_at_work():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", TEXT, re.MULTILINE)
    assert {(State(was), Signal(signal)): State(to) for was, signal, to in rows} == NEXT
    assert len(rows) == len(NEXT)


def test_every_state_and_every_signal_is_used_and_explained():
    assert {was for was, _ in NEXT} | set(NEXT.values()) == set(State)
    assert {signal for _, signal in NEXT} == set(Signal)
    for state in State:
        assert f"| `{state}` | " in TEXT
    for signal in Signal:
        assert re.search(rf"`{signal}`[:,]", TEXT)


def test_the_defaults_and_limits_are_as_the_specification_says():
    assert f"({bus.CAPACITY:,} events)" in TEXT
    assert f"at most {bus.ROUTES:,} topics" in TEXT
    assert f"every {bus.BREATH}th event" in TEXT
    assert f"at most {topics.MAX_CHARACTERS} characters" in TEXT
    assert f"at most {described.ERROR_CHARACTERS} characters" in TEXT
    assert f"at most {incarnation.TRACE_CHARACTERS:,})" in TEXT
    backoff = Backoff()
    assert f"({backoff.initial_s} s, {backoff.factor:.0f}, {backoff.max_s:.0f} s, {backoff.jitter})" in TEXT
    assert f"| {Service.init_timeout_s:.0f}, {Service.start_timeout_s:.0f} |" in TEXT
    assert f"| `stop_timeout_s` | {Service.stop_timeout_s:.0f} |" in TEXT
    assert f"| {Service.check_interval_s:.0f}, {Service.check_timeout_s:.0f} |" in TEXT


def test_every_code_that_the_specification_names_is_declared():
    for slug in re.findall(r"`kernel\.([a-z-]+)`", TEXT):
        assert slug in kernel.REASONS


def test_the_example_of_the_specification_runs_as_it_says(monkeypatch):
    code, expected = re.search(r"```python\n(.*?)```.*?```\n(.*?)```", TEXT, re.DOTALL).groups()
    real_run = trio.run
    monkeypatch.setattr(trio, "run", lambda main: real_run(main, clock=MockClock(autojump_threshold=0)))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(SPEC), "exec"), {"__name__": "example"})
    assert printed.getvalue() == expected


def test_the_example_of_the_supervisors_docstring_runs(monkeypatch):
    code = re.search(r"```python\n(.*?)```", Supervisor.__doc__, re.DOTALL).group(1)
    body = "async def main():\n" + code.replace("\n    ", "\n    ")

    class Store(Service):
        name = "store"

    class Chat(Service):
        name, requires = "chat", ("store",)

    names = {"Supervisor": Supervisor, "Store": Store, "Chat": Chat}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(body, names)
        trio.run(names["main"])
    assert printed.getvalue() == "running ()\n"


def test_every_declared_code_is_raised_somewhere_in_the_kernel():
    source = "".join(path.read_text(encoding="utf-8") for path in Path(incarnation.__file__).parent.glob("*.py"))
    for slug in kernel.REASONS:
        assert f'"kernel.{slug}"' in source


@pytest.mark.parametrize("name", ["Supervisor", "Service", "Bus"])
def test_the_kernel_is_usable_by_its_front_door(name):
    import nzcore.kernel

    assert name in nzcore.kernel.__all__
    assert getattr(nzcore.kernel, name).__doc__
