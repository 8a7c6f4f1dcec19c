"""spec/envelope.md says what the code does: labels, limits, codes and the worked example."""

import json
import re
from pathlib import Path

from nzcore.base.reasons import envelope as reasons
from nzcore.proto.envelope import layout, seal
from nzcore.proto.envelope.layout import prologue
from tools.vectors.envelope import cast, ephemeral

ROOT = Path(__file__).parents[3]
SPEC = (ROOT / "spec" / "envelope.md").read_text(encoding="utf-8")
EXAMPLE = SPEC[SPEC.index("## 9.") :]


def test_every_code_of_the_room_stands_in_the_specification_and_no_other() -> None:
    assert set(re.findall(r"`envelope\.([a-z-]+)`", SPEC)) - {"sign", "open"} == set(reasons.REASONS)


def test_the_labels_are_those_of_the_code() -> None:
    labels = [
        *(layout.PROLOGUE.decode(), layout.EXPORT_LABEL, layout.NODE_LABEL.decode(), layout.KEYS_LABEL.decode()),
        seal.LABEL,
    ]
    assert re.findall(r"`(NZ-ENVELOPE-01[a-z ]*)`", SPEC[: SPEC.index("## 3.")]) == labels


def test_the_limits_are_those_of_the_code() -> None:
    section = SPEC[SPEC.index("## 4.") : SPEC.index("## 5.")]
    for limit in (layout.CONTENT_BYTES, layout.SEAL_BYTES, layout.CHUNK_BYTES):
        assert f"{limit:,}" in section
    assert f"\n{layout.HEAD_BYTES} bytes:" in SPEC


def test_the_worked_example_is_the_case_of_the_vectors() -> None:
    cases = json.loads((ROOT / "vectors" / "envelope.json").read_text(encoding="utf-8"))["cases"]
    (case,) = [case for case in cases if case["name"] == "nothing at all"]
    bob = cast("bob")
    values = dict(re.findall(r"^(\w+) +([0-9a-f ]+?)(?: {2,}.*)?$", EXAMPLE, re.MULTILINE))
    expected = {
        "NodeId": bob.node.hex(),
        "dh_pk": bob.certificate.dh_key.hex(),
        "e": ephemeral().public.hex(),
        "prologue": prologue(bob.node).hex(),
        "h": case["handshake"],
        "k": case["key"],
    }
    assert {name: values[name].replace(" ", "") for name in expected} == expected
    lines = EXAMPLE[EXAMPLE.index("6e7a656e76656c 01") :].splitlines()
    shown = "".join(re.sub(r"[^0-9a-f]", "", line.split("  ")[0]) for line in lines[: lines.index("```")])
    assert case["envelope"].startswith(shown)
    assert len(case["envelope"]) // 2 == layout.HEAD_BYTES + layout.RECORD_HEADER_BYTES + 431
