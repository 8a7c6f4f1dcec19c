"""vectors/module.json holds for the code, and its tool makes it again to the byte."""

import json
from pathlib import Path

import pytest

from nzcore.base.errors import PeerError
from nzcore.crypto.hashing import sha256
from nzcore.node.modules.capability import covers
from nzcore.node.modules.folder import tree_digest
from nzcore.node.modules.manifest import parse_manifest
from tools.vectors import __main__ as tool

FILE = Path(__file__).parents[2] / "vectors" / "module.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


def named(kind):
    cases = [case for case in CASES if case["kind"] == kind]
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


@named("manifest")
def test_a_manifest_is_read_or_refused_on_its_line(case):
    if case["expect"] == "ok":
        assert parse_manifest(case["manifest"].encode()).version
        return
    with pytest.raises(PeerError) as refused:
        parse_manifest(case["manifest"].encode())
    assert (refused.value.code, refused.value.facts["line"]) == (case["expect"], case["line"])
    assert refused.value.message.startswith(f"line {case['line']}: ")


@named("digest")
def test_files_have_the_digest(case):
    hashes = {path: sha256(bytes.fromhex(data)) for path, data in case["files"].items()}
    assert tree_digest(hashes).hex() == case["digest"]


@named("cover")
def test_a_pattern_covers_what_is_under_it(case):
    assert covers(case["granted"], case["wanted"]) is case["covered"]


def test_the_tool_makes_the_same_bytes_again():
    assert tool.made("module") == FILE.read_text(encoding="utf-8")
