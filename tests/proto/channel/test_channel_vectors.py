"""vectors/channel.json against the code, its own tool, and a bare AEAD."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nzcore.base.instant import Instant
from nzcore.proto.channel import frames
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.codes import code_of
from nzcore.proto.channel.events import Event
from tools.vectors import channel as tool

FILE = Path(__file__).parents[3] / "vectors" / "channel.json"
DOCUMENT = json.loads(FILE.read_text())
CASES = DOCUMENT["cases"]
GOOD = [case for case in CASES if case["expect"] == "ok"]
BAD = [case for case in CASES if case["expect"] != "ok"]
NO_REKEY = [case for case in CASES if not case["name"].startswith("rekey ") or case["expect"] != "ok"]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_the_tool_makes_the_same_file_again() -> None:
    assert json.dumps(tool.generate(), indent=1) + "\n" == FILE.read_text()


def test_names_are_distinct() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", GOOD, ids=by_name)
def test_both_sides_make_the_same_records_and_events_again(case: dict[str, Any]) -> None:
    """What a plaintext says, its sender is asked to do; the record must come out byte for byte."""
    sides = {
        name: tool.machine(initiator=name == "initiator", config=tool.CONFIG) for name in ("initiator", "responder")
    }
    for side in sides.values():
        tool._fix_randomness(side)
        side._streams._max += case["name"] == "one stream too many" and side is sides["initiator"]
    waiting: dict[str, list[bytes]] = {"initiator": [], "responder": []}
    events: list[list[object]] = []
    for step in case["steps"]:
        who, other = step["from"], "responder" if step["from"] == "initiator" else "initiator"
        if not waiting[who]:
            act(sides[who], bytes.fromhex(step["plaintext"]))
            taken = sides[who].take()
            waiting[who] = [b"".join(taken[at : at + 2]) for at in range(0, len(taken), 2)]
        record = waiting[who].pop(0)
        assert record.hex() == step["record"]
        events += [[other, *tool.readable(event)] for event in sides[other].receive(record, Instant(0.0))]
    assert events == case["events"]


def act(side: Channel, plaintext: bytes) -> None:
    """Has `side` do what would put these frames into a record; answers come by themselves."""
    at = 0
    while at < len(plaintext):
        kind, stream, size = frames.HEADER.unpack_from(plaintext, at)
        payload = plaintext[at + 7 : at + 7 + size]
        at += 7 + size
        if kind == frames.OPEN:
            assert side.open(payload.decode()) == stream
        elif kind == frames.DATA:
            assert side.write(stream, payload) == size
        elif kind == frames.END:
            side.end(stream)
        elif kind == frames.CREDIT:
            side.consume(stream, frames.read_credit(payload) // 2)
        elif kind == frames.RESET:
            side.reset(stream, code_of(frames.read_code(payload)))
        elif kind == frames.PING:
            side.ping(Instant(0.0))
        elif kind == frames.CLOSE:
            number, detail = frames.read_close(payload)
            side.close(code_of(number), detail)
        elif kind == frames.REKEY and payload[0] in (0, 1) and side._rekey.phase == "IDLE":
            side.rekey(Instant(0.0))


@pytest.mark.parametrize("case", BAD, ids=by_name)
def test_the_last_record_is_refused_with_the_code(case: dict[str, Any]) -> None:
    responder = tool.machine(initiator=False, config=tool.CONFIG)
    for step in case["steps"]:
        assert responder.closed_by is None
        events = responder.receive(bytes.fromhex(step["record"]), Instant(0.0))
    assert responder.closed_by == case["expect"]
    assert responder.is_silent is case["silent"]
    assert ["responder", *tool.readable(events[-1])] == case["events"][-1]


@pytest.mark.parametrize("case", NO_REKEY, ids=by_name)
def test_records_are_the_plaintexts_under_a_bare_aead(case: dict[str, Any]) -> None:
    counters = {"initiator": 0, "responder": 0}
    for step in case["steps"]:
        if "plaintext" not in step:
            continue
        who, record = step["from"], bytes.fromhex(step["record"])
        aead = ChaCha20Poly1305(bytes.fromhex(DOCUMENT["setup"][f"{who}_key"]))
        nonce = bytes(4) + counters[who].to_bytes(8, "little")
        counters[who] += 1
        assert int.from_bytes(record[:2], "big") == len(record) - 2
        assert aead.decrypt(nonce, record[2:], None).hex() == step["plaintext"]


@pytest.mark.parametrize("case", BAD, ids=by_name)
def test_a_refusal_is_told_unless_nothing_can_be_believed(case: dict[str, Any]) -> None:
    responder = tool.machine(initiator=False, config=tool.CONFIG)
    for step in case["steps"]:
        responder.receive(bytes.fromhex(step["record"]), Instant(0.0))
    said = responder.take()
    assert bool(said) is not case["silent"]
    initiator = tool.machine(initiator=True, config=tool.CONFIG)
    events = initiator.receive(b"".join(said), Instant(0.0))
    if said:
        assert events[-1][:3] == (Event.CLOSED, "channel.protocol-error", True)
