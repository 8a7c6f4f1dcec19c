"""spec/channel.md says what the code does: its tables are the tables, its numbers the numbers."""

import json
import re
from pathlib import Path

from nzcore.base.reasons import channel as reasons
from nzcore.proto.channel import config, frames, liveness
from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.channel.rekey import (
    INITIATOR,
    PROLOGUE_LABEL,
    PSK_LABEL,
    RESPONDER,
    Act,
    Cause,
    Phase,
    Step,
)
from nzcore.proto.channel.streams import NEXT, Half, Turn
from nzcore.proto.noise.kernel import CHANNEL_EXPORT

ROOT = Path(__file__).parents[3]
SPEC = (ROOT / "spec" / "channel.md").read_text(encoding="utf-8")
DEFAULTS = ChannelConfig()


def test_the_table_of_halves_is_the_one_at_work() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", SPEC, re.MULTILINE)
    assert {(Half[half], Turn[turn]): Half[after] for half, turn, after in rows} == NEXT
    assert len(rows) == len(NEXT)


def test_the_rekey_tables_are_the_ones_at_work() -> None:
    rows = re.findall(r"^\| ([IR]) \| `(\w+)` \| `(\w+)` \| ([^|]+) \| `(\w+)` \|$", SPEC, re.MULTILINE)
    found = {
        (side, Phase(phase), Cause.LIMIT if cause == "LIMIT" else Step[cause]): (Act(act), Phase(after))
        for side, phase, cause, act, after in rows
    }
    tables = (("I", INITIATOR), ("R", RESPONDER))
    assert found == {(side, *key): value for side, table in tables for key, value in table.items()}
    assert len(rows) == len(found)


def test_frames_have_the_kinds_of_the_specification() -> None:
    rows = re.findall(r"^\| (\d+) \| `([A-Z]+)` \|", SPEC, re.MULTILINE)
    assert [(int(kind), name) for kind, name in rows] == list(enumerate(frames.NAMES))


def test_reasons_have_the_numbers_of_the_specification() -> None:
    rows = re.findall(r"^\| (\d+) \| `channel\.([a-z-]+)` \|$", SPEC, re.MULTILINE)
    assert {slug: int(wire) for wire, slug in rows} == {
        slug: entry.wire for slug, entry in reasons.REASONS.items() if entry.wire
    }


def test_every_code_that_the_specification_names_is_declared() -> None:
    for slug in re.findall(r"`channel\.([a-z-]+)`", SPEC):
        assert slug in reasons.REASONS


def test_limits_and_defaults_are_as_the_specification_says() -> None:
    for said in (
        f"Every stream begins with {config.INITIAL_WINDOW:,} bytes",
        f"1 to {config.PLAINTEXT_BYTES:,} bytes",
        f"at most {config.HELLO_BYTES:,} bytes; the first frame",
        f"detail of at most {config.DETAIL_BYTES} bytes",
        f"1 to {config.PROTOCOL_CHARACTERS - 1} of",
        f"({DEFAULTS.max_streams} by default)",
        f"({DEFAULTS.budget >> 20} MiB by default)",
        f"limit ({DEFAULTS.max_window >> 10} KiB)",
        f"cuts DATA at {DEFAULTS.data_bytes >> 10} KiB",
        f"| {DEFAULTS.queue_bytes >> 10} KiB; then writers",
        f"| {DEFAULTS.resets:,}, then `channel.control-flood`",
        f"| {liveness.MAX_PINGS}; further ones",
        f"After {DEFAULTS.keepalive_s:.0f} s without a byte",
        f"after {DEFAULTS.dead_s:.0f} s without a byte",
        f"{config.REKEY_PROGRESS_S:.0f} s in any other phase",
        f"takes one of {config.REKEY_BURST}, of which one",
        f"at most {config.OWN_REKEY_BURST} at once and one in two seconds",
        f"after {DEFAULTS.rekey_s / 60:.0f} minutes",
    ):
        assert said in SPEC, said
    assert (DEFAULTS.rekey_records, DEFAULTS.rekey_bytes, config.HARD_RECORDS) == (1 << 24, 64 << 30, 1 << 32)
    assert (config.OWN_REKEY_RATE, config.REKEY_RATE) == (0.5, 1.0)


def test_labels_stand_in_the_specification() -> None:
    for label in (PROLOGUE_LABEL, PSK_LABEL):
        assert f'"{label[:-1].decode()}" ‖0‖' in SPEC
    assert f"`{CHANNEL_EXPORT}`" in SPEC


def test_the_worked_example_is_the_vector() -> None:
    cases = json.loads((ROOT / "vectors" / "channel.json").read_text())["cases"]
    steps = next(case for case in cases if case["name"] == "request and reply")["steps"][2:]
    example = SPEC[SPEC.index("I, counter 1") :]
    example = example[: example.index("```")]
    plain = re.findall(r"^ {2}(?:plaintext| {9}) {2}([0-9a-f ]+?) {2,}", example, re.MULTILINE)
    records = re.findall(r"^ {2}record {5}([0-9a-f ]+)$", example, re.MULTILINE)
    assert [record.replace(" ", "") for record in records] == [step["record"] for step in steps]
    assert "".join(plain).replace(" ", "") == "".join(step["plaintext"] for step in steps)
