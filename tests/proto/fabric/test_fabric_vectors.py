"""vectors/fabric.json says what the machines do, and is what its tool makes."""

import json
from pathlib import Path
from typing import Any

import pytest

from nzcore.base.errors import PeerError
from nzcore.proto.fabric.seen import Numbers
from nzcore.proto.fabric.session import Session
from tools.vectors import fabric
from tools.vectors.__main__ import made

FILE = Path(__file__).resolve().parents[3] / "vectors" / "fabric.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_file_is_what_the_tool_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == made("fabric")


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["name"])
def test_the_reader_takes_or_refuses_each_case_as_written(case: dict[str, Any]) -> None:
    if case["expect"] == "ok":
        assert fabric.replay(case) == case["events"]
        return
    with pytest.raises(PeerError) as caught:
        fabric.replay(case)
    assert caught.value.code == case["expect"]


@pytest.mark.parametrize("case", DOCUMENT["numbers"], ids=lambda case: case["name"])
def test_numbers_are_kept_as_written(case: dict[str, Any]) -> None:
    numbers = Numbers()
    for turn in case["turns"]:
        numbers = numbers.with_number(turn) if turn > 0 else numbers.raised(-turn)
    assert {"floor": numbers.floor, "ranges": [list(ends) for ends in numbers.ranges]} == case["kept"]


def test_the_example_of_the_specification_is_real() -> None:
    spec = (FILE.parents[1] / "spec" / "fabric.md").read_text(encoding="utf-8")
    assert "REQUEST 1 maths.add" in spec
    request = bytes.fromhex("00000014") + b"\x96\x03\x01\xa9maths.add" + bytes.fromhex("cd1388c0920203")
    session = Session({})
    session.receive(fabric.GREETING)
    assert session.receive(request)[0][1:6] == (1, "maths.add", 5.0, None, [2, 3])
