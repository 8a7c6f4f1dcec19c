"""vectors/files.json against the code and against its own tool."""

import json
from pathlib import Path
from typing import Any

import pytest

from nzcore.base.errors import PeerError
from nzcore.base.reasons import reason
from nzcore.proto.files.machine import Receiver
from nzcore.proto.files.manifest import places
from nzcore.proto.files.names import numbered, safe_name
from tools.vectors import __main__ as vectors
from tools.vectors.files import replay

FILE = Path(__file__).parents[3] / "vectors" / "files.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_tool_makes_the_same_file_again() -> None:
    assert vectors.made("files") == FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["name"])
def test_a_reader_ends_as_the_vector_says(case: dict[str, Any]) -> None:
    if case["expect"] == "ok":
        assert replay(case) == case["events"]
        return
    with pytest.raises(PeerError) as caught:
        replay(case)
    assert caught.value.code == case["expect"]
    assert reason(case["expect"]).meaning


@pytest.mark.parametrize("case", DOCUMENT["names"], ids=lambda case: ascii(case["name"])[:20])
def test_a_name_becomes_what_the_vector_says(case: dict[str, str]) -> None:
    assert safe_name(case["name"]) == case["safe"]
    assert numbered(case["safe"], 2) == case["second"]


def test_entries_go_where_the_vector_says() -> None:
    (case,) = (case for case in DOCUMENT["cases"] if "places" in case)
    receiver = Receiver()
    receiver.receive(bytes.fromhex(case["bytes"]))
    assert [list(place) for place in places(receiver.manifest)] == case["places"]
