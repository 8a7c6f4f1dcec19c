"""spec/files.md against the code: its example, its tables, its codes and its limits."""

import re
from pathlib import Path

from nzcore.base.reasons import catalogue
from nzcore.proto.files import frames, manifest
from nzcore.proto.files.machine import FROM_RECEIVER, FROM_SENDER, Receiver, Sender, State

PAGE = (Path(__file__).parents[3] / "spec" / "files.md").read_text(encoding="utf-8")


def test_the_example_is_what_the_machines_say() -> None:
    said = re.findall(r"^([→←]) \w+ +((?:[0-9a-f]+\s+)+)", PAGE[PAGE.index("## 11.") :], re.MULTILINE)
    sent = [(arrow, bytes.fromhex("".join(text.split()))) for arrow, text in said]
    entries = [
        manifest.Entry(("d",), manifest.Kind.FOLDER, 0),
        manifest.Entry(("d", "f"), manifest.Kind.FILE, 3),
    ]
    sender, receiver = Sender(manifest.Manifest(entries), bytes(16)), Receiver()
    assert sender.offer() == [sent[0][1]]
    for arrow, data in sent:
        if arrow == "→":
            receiver.receive(data)
        else:
            answer = receiver.go() if receiver.state is State.OFFERED else receiver.receipt(["d"])
            assert answer == data
    assert receiver.state is State.OVER


def test_every_frame_stands_in_the_table_with_its_number() -> None:
    listed = dict(re.findall(r"^\| (\d+) \| ([A-Z]+) \|", PAGE, re.MULTILINE))
    assert listed == {str(number): name for number, name in enumerate(frames.NAMES) if name}


def test_the_states_are_those_of_the_machines() -> None:
    rows = re.findall(r"^\| ([A-Z]+) \|([^|]*)\|([^|]*)\|$", PAGE, re.MULTILINE)
    assert [name for name, _, _ in rows] == [state.name for state in State if state is not State.OVER]
    for name, sender, receiver in rows:
        for table, said in ((FROM_SENDER, sender), (FROM_RECEIVER, receiver)):
            kinds = {frames.NAMES[kind] for state, kind in table if state.name == name} - {"BUSY"}
            assert kinds == set(re.findall(r"(?<!→ )\b[A-Z]+\b", said))
            for kind, to in re.findall(r"([A-Z]+) → ([A-Z]+)", said):
                assert table[State[name], frames.NAMES.index(kind)] is State[to]


def test_every_code_on_the_page_is_explained() -> None:
    codes = set(re.findall(r"`((?:files|message)\.[a-z-]+)`", PAGE)) - {"files.md", "files.json"}
    settings = {"files.inbox"}
    assert len(codes) > 15
    assert codes - settings <= set(catalogue())


def test_the_limits_are_those_of_the_code() -> None:
    assert f"{manifest.MAX_ENTRIES:,} entries, or {manifest.MAX_ROOTS:,} roots" in PAGE
    assert f"{frames.CONTROL_BYTES:,} bytes" in PAGE
    assert manifest.MAX_SIZE == 1 << 53
    assert frames.DATA_BYTES == 1 << 20
