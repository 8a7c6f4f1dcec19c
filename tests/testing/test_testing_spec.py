"""spec/testing.md says what is so: its example runs, its calls exist."""

import re
from pathlib import Path

import trio
from trio.testing import MockClock

from nzcore.testing import cancellation, conformance, network, seeded
from nzcore.testing.world import World, WorldNode

PAGE = (Path(__file__).resolve().parents[2] / "spec" / "testing.md").read_text()


def test_the_example_runs():
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    names = {}
    exec(compile(code, "spec/testing.md", "exec"), names)
    clock = MockClock(autojump_threshold=0)
    trio.run(names["test_they_find_each_other_again"], clock, clock=clock)


def test_every_call_in_the_table_exists():
    rows = [row for row in PAGE.split("## 2.")[1].split("## 3.")[0].splitlines() if row.startswith("| `")]
    calls = [call for row in rows for call in re.findall(r"`(node\.)?(\w+)", row.split("|")[1])]
    assert len(calls) > 12
    for owner, name in calls:
        assert hasattr(
            WorldNode if owner or name in ("stop", "start", "restart", "call_as") else World, name
        ) or name in (
            "skew_s",
            "trace",
        )


def test_what_the_other_sections_name_exists():
    for place, names in {
        network.MemoryNetwork: ("partition", "silence", "heal", "vanish", "revive", "cut"),
        conformance: ("TRANSPORT_CHECKS", "STORE_CHECKS", "check_transport", "check_store", "Place"),
        cancellation: ("cancel_at_every_step",),
        seeded: ("run_seeded",),
    }.items():
        for name in names:
            assert name in PAGE
            assert hasattr(place, name)
