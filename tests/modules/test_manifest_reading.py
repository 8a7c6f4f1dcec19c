"""Manifests are hostile text: any bytes are read or refused on a line; folders hold files and nothing else."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import NzError, PeerError
from nzcore.cli.app import COMMANDS
from nzcore.control.table import OPERATIONS
from nzcore.node.modules import folder as folders
from nzcore.node.modules.capability import Grants, covers, parse
from nzcore.node.modules.folder import difference, read_folder
from nzcore.node.modules.manifest import MANIFEST_BYTES, RESERVED, is_name, parse_manifest, satisfies

from .conftest import ECHO, provides, write

GOOD = 'name = "a"\nversion = "0.1"\napi = "0"\nentry = "a:A"\n'
LINES = st.sampled_from(
    [
        'name = "b"',
        "[provides]",
        "operations = []",
        'capabilities = ["timer"]',
        "[requires.modules]",
        'b = "*"',
        "x = 1",
        "a.b = 2",
    ]
)


@given(st.binary(max_size=300) | st.lists(LINES, max_size=8).map(lambda lines: (GOOD + "\n".join(lines)).encode()))
def test_any_bytes_are_a_manifest_or_refused_on_a_line_that_is_there(data):
    try:
        parse_manifest(data)
    except PeerError as error:
        refused = error
    else:
        return
    assert refused.code == "module.bad-manifest"
    assert 1 <= refused.facts["line"] <= data.count(b"\n") + 1
    assert refused.message.startswith(f"line {refused.facts['line']}: ")


@pytest.mark.parametrize(
    "text", [b"a = " + b"[" * 8000, b"x" * (MANIFEST_BYTES + 1), b"\xff", b"a." * 4000 + b"b = 1", b"a=1\r\n" * 9]
)
def test_what_would_cost_much_is_refused(text):
    with pytest.raises(PeerError):
        parse_manifest(text)


def test_names_of_the_nodes_own_are_not_for_modules():
    rooms = {name.partition(".")[0] for name in OPERATIONS}
    assert {name for name in (*COMMANDS, *rooms) if is_name(name)} == set()
    assert is_name("weather")
    assert not RESERVED & {"hello", "chat", "profile", "weather"}


@pytest.mark.parametrize(
    ("version", "demand", "met"),
    [
        ("1.2.3", "*", True),
        ("1.2.3", ">=1.2", True),
        ("1.2.3", ">=1.2.4", False),
        ("1.10.0", ">=1.9", True),
        ("2.0", ">=1.0,<2.0", False),
        ("1.9.9", ">=1.0, <2.0", True),
        ("1.0", "==1.0.0", True),
        ("1.0", "~1.0", False),
        ("x", "*", False),
    ],
)
def test_a_demand_is_met_by_numbers(version, demand, met):
    assert satisfies(version, demand) is met


words = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3)
patterns = st.builds(lambda parts, tail: ".".join([*parts, *tail]), words, st.sampled_from([[], ["**"]]))
topics = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(".".join)


@given(patterns, patterns, topics)
def test_what_a_grant_covers_holds_no_topic_beyond_it(granted, wanted, topic):
    if covers(granted, wanted) and covers(wanted, topic):
        assert covers(granted, topic)


def test_grants_allow_what_they_name_and_what_is_under_it():
    grants = Grants(parse(one, "m") for one in ("kv:a", "bus:publish:m.*", "fabric:m.**", "call:x.y"))
    assert grants.allows("kv", "a")
    assert not grants.allows("kv", "b")
    assert grants.allows("bus:publish", "m.x")
    assert not grants.allows("bus:publish", "m.x.y")
    assert not grants.allows("bus:subscribe", "m.x")
    assert grants.allows("fabric", "m.x.y")
    assert grants.calls == {"call:x.y"}
    assert not grants.allows("timer")


# Folders.


@pytest.fixture
def module(tmp_path):
    return write(tmp_path / "echo", ECHO, tables=provides("echo"))


def code_of(folder):
    with pytest.raises(NzError) as refused:
        read_folder(folder)
    return refused.value.code


def test_what_begins_with_a_dot_or_is_a_cache_is_not_part_of_a_module(module):
    before = read_folder(module).digest
    (module / ".git").mkdir()
    (module / ".git" / "config").write_text("x")
    (module / "__pycache__").mkdir()
    (module / "__pycache__" / "code.pyc").write_bytes(b"x")
    assert read_folder(module).digest == before


@pytest.mark.parametrize("target", ["/etc/passwd", "code.py", "nowhere", "/etc"])
def test_a_link_is_refused_wherever_it_leads(module, target):
    (module / "link.py").symlink_to(target)
    assert code_of(module) == "module.bad-folder"


def test_a_pipe_is_refused_and_not_waited_for(module):
    os.mkfifo(module / "pipe")
    assert code_of(module) == "module.bad-folder"


def test_too_many_files_too_large_ones_and_too_deep_folders_are_refused(module, monkeypatch):
    monkeypatch.setattr(folders, "FILES", 8)
    monkeypatch.setattr(folders, "FILE_BYTES", 5000)
    monkeypatch.setattr(folders, "TOTAL_BYTES", 8000)
    (module / "big").write_bytes(bytes(5001))
    assert code_of(module) == "module.bad-folder"
    (module / "big").unlink()
    for number in range(6):
        (module / f"f{number}").write_bytes(b"x")
    assert read_folder(module)
    (module / "one-more").write_bytes(b"x")
    assert code_of(module) == "module.bad-folder"
    (module / "one-more").unlink()
    (module / "f0").write_bytes(bytes(4900))
    (module / "f1").write_bytes(bytes(4900))
    assert code_of(module) == "module.bad-folder"


def test_deep_folders_and_many_folders_are_refused(module):
    (module / "/".join("abcdefghij")).mkdir(parents=True)
    assert code_of(module) == "module.bad-folder"


def test_a_folder_without_a_manifest_or_that_is_a_file_is_no_module(tmp_path):
    assert code_of(tmp_path) == "module.no-manifest"
    (tmp_path / "file").write_text("x")
    assert code_of(tmp_path / "file") == "module.no-manifest"
    assert code_of(tmp_path / "gone") == "module.unreadable"


def test_differences_are_told_in_words():
    before = {"a": b"1", "b": b"2", "c": b"3"}
    assert difference(before, before) == ""
    after = {"a": b"1", "b": b"x", **{f"n{i}": b"" for i in range(5)}}
    assert difference(before, after) == "changed b; added n0, n1, n2 and 2 more; gone c"
