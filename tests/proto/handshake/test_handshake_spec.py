"""spec/handshake.md says what the code does: its tables of states, sizes, codes and numbers, and its worked example."""

import json
import re
from pathlib import Path

import pytest

from nzcore.base import limits
from nzcore.base.reasons import catalogue
from nzcore.proto.handshake import machine, payload, preface, verdict
from nzcore.proto.handshake.machine import INITIATOR, RESPONDER, Row, State
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.noise.kernel import CHANNEL_EXPORT

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "spec" / "handshake.md").read_text(encoding="utf-8")
DOCUMENT = json.loads((ROOT / "vectors" / "handshake.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in DOCUMENT["cases"]}


def drawn(rows: dict[State, Row]) -> list[str]:
    """The lines of a state table."""
    lines = []
    for state, row in rows.items():
        sizes = f"{row.smallest:,}" + ("" if row.smallest == row.largest else f"–{row.largest:,}")
        lines.append(f"| {state.value} | {sizes} | {row.act.value} | {row.next.value} |")
    return lines


@pytest.mark.parametrize(("head", "rows"), [("initiator awaits", INITIATOR), ("responder awaits", RESPONDER)])
def test_the_state_tables_are_those_of_the_code(head: str, rows: dict[State, Row]) -> None:
    table = TEXT[TEXT.index(f"| {head} |") :].split("\n\n")[0].splitlines()
    assert table[2:] == drawn(rows)


def test_no_state_is_waited_in_twice_and_all_ends_are_reached() -> None:
    for rows, first in ((INITIATOR, State.MESSAGE_2), (RESPONDER, State.PREFACE)):
        path = [first]
        while path[-1] in rows:
            path.append(rows[path[-1]].next)
        assert path[-1] is State.DONE
        assert set(path) == {*rows, State.DONE}


def test_every_code_is_explained_and_numbered_as_in_the_catalogue() -> None:
    numbered = {code: int(wire) for code, wire in re.findall(r"\| `(handshake\.[a-z-]+)`[^|]*\| (\d+) \|", TEXT)}
    declared = {code: entry for code, entry in catalogue().items() if code.startswith("handshake.")}
    assert numbered == {code: entry.wire for code, entry in declared.items() if entry.wire}
    ours_alone = {"handshake.bad-setup", "handshake.over"}  # errors of the code's callers
    assert set(re.findall(r"`(handshake\.[a-z-]+)`", TEXT)) == set(declared) - ours_alone


def test_every_refusal_has_a_vector_but_the_one_about_evidence() -> None:
    shown = {case["expect"] for case in CASES.values()}
    named = set(re.findall(r"`((?:handshake|noise)\.[a-z-]+)`", TEXT))
    assert named - shown == {"handshake.bad-evidence"}


def test_limits_and_deadlines_are_those_of_the_code() -> None:
    for sentence in (
        f"after {machine.MESSAGE1_S} s; either side one whose handshake is not DONE after {machine.HANDSHAKE_S} s",
        f"at most {payload.PAYLOAD_BYTES:,} bytes with text keys, nested {limits.NESTING} deep",
        f"| `certificate` | bin | at most {limits.CERTIFICATE_BYTES} bytes |",
        f"| `boot` | bin | {payload.BOOT_BYTES} bytes |",
        f"| `version` | str | 1–{payload.MAX_CHARACTERS} characters",
        f"at most {payload.MAX_FEATURES}, each of 1–{payload.MAX_CHARACTERS} characters",
        f'"{CHANNEL_EXPORT}"',
        f"the last\n{verdict.REMEMBERED:,} that were good",
    ):
        assert sentence in TEXT
    for label in (preface.TICKET_ID_LABEL, preface.TICKET_PSK_LABEL, preface.PSK_LABEL, preface.WINDOW_LABEL):
        assert f'"{label.decode()}"' in TEXT
    assert f'prologue = "{preface.PROLOGUE_LABEL[:-1].decode()}" ‖0‖ preface' in TEXT


def test_the_worked_example_is_the_vector() -> None:
    ours, theirs = CASES["ticket, initiator"], CASES["ticket, responder"]
    (ticket, _), told = DOCUMENT["derivations"], ours["reader"]
    first, second, third = ours["sent"][0], theirs["sent"][0], ours["sent"][1]
    example = TEXT[TEXT.index("secret                      ") :].split("```")[0]
    values = re.findall(r"\b[0-9a-f]{4,}\b", example.replace(",", ""))
    assert Certificate.parse(bytes.fromhex(theirs["reader"]["certificate"])).node.hex() == told["target"]
    head, network = first[:32], "00" * 32
    assert values == [
        *(ticket["secret"], ticket["tid"], ticket["psk"], told["target"], network, head, ours["psk"]),
        *(str(len(first) // 2), head, first[32:36], first[36:100]),
        *(str(len(second) // 2), second[:4], second[4:68]),
        *(third[:4], third[4:36]),
        *(ours["handshake_hash"], ours["exporter"], ours["sends"], ours["receives"]),
    ]
    assert f"flight 3, {len(third) // 2} bytes" in example
