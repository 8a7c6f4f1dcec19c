"""spec/module.md says what the code does: its limits, its example, its table of capabilities."""

import re
from pathlib import Path

import pytest

from nzcore.base.errors import PeerError
from nzcore.node.modules import capability, context, declared, folder, host, manifest, registry
from nzcore.node.modules.manifest import parse_manifest

PAGE = (Path(__file__).parents[2] / "spec" / "module.md").read_text()
LIMITS = dict(
    re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| [^|]+ \|$", PAGE.partition("## 9.")[2].partition("## 10.")[0], re.M)
)
EXAMPLE = re.search(r"## 10.*?```\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_limits_are_those_of_the_code():
    assert LIMITS["manifest"] == f"{manifest.MANIFEST_BYTES >> 10} KiB"
    sizes = f"{folder.FILE_BYTES >> 20} MiB, {folder.TOTAL_BYTES >> 20} MiB"
    assert LIMITS["files, folders, depth, file, all"] == f"{folder.FILES}, {folder.FOLDERS}, {folder.DEPTH}, {sizes}"
    assert LIMITS["loading"] == f"{registry.LOAD_S:g} s"
    assert LIMITS["operation"].endswith(f"{declared.DEADLINE_S / 3600:g} h at most")
    assert LIMITS["calls to a module, by a module"] == f"{context.CALLS_AT_ONCE}, {context.CALLS_AT_ONCE} at once"
    assert LIMITS["events"] == f"{context.BURST:,} at once, {context.EVENTS_PER_S:g} a second"
    assert LIMITS["items of a stream for a peer"] == f"{host.ITEMS:,}"


def test_the_example_is_read_and_its_variations_are_refused_as_said():
    assert parse_manifest(EXAMPLE.encode()).name == "hello"
    said = re.sub(r"\s+", " ", PAGE.partition("## 10.")[2])
    for text in (f'requires = "chat"\n{EXAMPLE}', EXAMPLE.replace("hello.greeted", "chat.said")):
        with pytest.raises(PeerError) as refused:
            parse_manifest(text.encode())
        assert refused.value.message in said


def test_every_capability_stands_in_the_table():
    rows = re.findall(r"^\| `([a-z:A-Z]+)` \|", PAGE.partition("## 3.")[2].partition("## 4.")[0], re.M)
    assert set(rows) - set(capability.SIMPLE) == {
        "kv:NAMESPACE", "bus:publish:TOPIC", "bus:subscribe:TOPIC", "stream:PROTOCOL", "fabric:TOPIC", "call:OPERATION",
    }  # fmt: skip
    assert set(capability.SIMPLE) <= set(rows)


def test_every_key_of_a_manifest_stands_in_the_table():
    section = PAGE.partition("## 2.")[2].partition("## 3.")[0]
    rows = set(re.findall(r"`([a-z.]+)`", " ".join(re.findall(r"^\| (`.*?) \| t", section, re.M))))
    fields = set(manifest._File.__struct_fields__) - {"provides", "requires"}
    nested = {f"provides.{one}" for one in manifest.Provides.__struct_fields__} | {"requires.modules"}
    assert rows == fields | nested
