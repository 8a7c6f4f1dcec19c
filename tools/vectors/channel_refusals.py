"""What the responder of vectors/channel.json refuses: frames in records that open, and records that don't."""

from nzcore.base.instant import Instant
from nzcore.codec.frames import pack
from nzcore.proto.channel import frames
from nzcore.proto.channel.frames import frame
from tools.vectors.channel_cast import CONFIG, PROTOCOL, Case, machine, readable, transport

Row = tuple[str, str, str, list[bytes]]
"""Name, code, comment, and the initiator's plaintexts, the last of which the responder refuses."""

BAD, STRANGER = "channel.bad-frame", "channel.bad-stream"
TURN, CREDIT = "channel.out-of-turn", "channel.over-credit"

GREETED = bytes(machine(initiator=True)._writer._parts[0])
OPENED = GREETED + frame(frames.OPEN, 1, PROTOCOL.encode())
DATA = frame(frames.DATA, 1, b"x")
CODE = frames.code_payload(1)


def refusals() -> list[Case]:
    """All of them, in the order of the file."""
    rows = [*_GREETINGS, *_HEADERS, *_STREAMS, *_DATA, *_CREDIT, *_CHANNEL, *_REKEYS]
    return [*(_bad(*row) for row in rows), *_bad_records()]


def _hello(**values: object) -> bytes:
    """A greeting with more than our own would say."""
    return frame(frames.HELLO, 0, pack({"time": 1_800_000_000} | values))


_GREETINGS: list[Row] = [
    ("a refusal", "handshake.not-admitted", "CLOSE instead of HELLO", [frame(frames.CLOSE, 0, b"\0\x44")]),
    ("a refusal without code", BAD, "CLOSE instead of HELLO", [frame(frames.CLOSE, 0, b"\1")]),
    ("nine addresses in the greeting", "channel.bad-hello", "at most eight", [_hello(addresses=["a"] * 9)]),
    ("a long address in the greeting", "channel.bad-hello", "at most 272", [_hello(addresses=["a" * 273])]),
    ("no greeting", "channel.bad-hello", "the first frame must be HELLO", [frame(frames.PING, 0, bytes(8))]),
    ("greeting twice", BAD, "HELLO is the first frame only", [GREETED + GREETED]),
    ("greeting cut", "channel.bad-hello", "the length exceeds the record", [GREETED[:-1]]),
    ("greeting on a stream", "channel.bad-hello", "stream 0", [frame(frames.HELLO, 1, GREETED[7:])]),
    ("greeting without time", "channel.bad-hello", "time is required", [frame(frames.HELLO, 0, b"\x80")]),
    ("greeting is no map", "channel.bad-hello", "MessagePack nil", [frame(frames.HELLO, 0, b"\xc0")]),
]

_HEADERS: list[Row] = [
    ("unknown kind", BAD, "kinds end at 10", [GREETED + frame(11, 0)]),
    ("header cut", BAD, "six bytes of a header", [GREETED + frame(frames.PAD, 0)[:6]]),
    ("payload cut", BAD, "the length exceeds the record", [GREETED + frame(frames.PAD, 0, b"xx")[:-1]]),
    ("padding on a stream", BAD, "PAD belongs to the channel", [GREETED + frame(frames.PAD, 1)]),
]

_STREAMS: list[Row] = [
    ("stream 0 opened", STRANGER, "0 is the channel itself", [GREETED + frame(frames.OPEN, 0, b"/a")]),
    ("stream number skipped", STRANGER, "the next one is 1", [GREETED + frame(frames.OPEN, 3, b"/a")]),
    ("other side's number", STRANGER, "even ones are the responder's", [GREETED + frame(frames.OPEN, 2, b"/a")]),
    ("stream opened twice", STRANGER, "numbers are used once", [OPENED + frame(frames.OPEN, 1, b"/a")]),
    ("protocol without slash", "channel.bad-protocol", "", [GREETED + frame(frames.OPEN, 1, b"a")]),
    ("protocol of 65", "channel.bad-protocol", "64 at most", [GREETED + frame(frames.OPEN, 1, b"/" * 65)]),
    ("protocol not ASCII", "channel.bad-protocol", "", [GREETED + frame(frames.OPEN, 1, "/é".encode())]),
]

_DATA: list[Row] = [
    ("empty data", BAD, "DATA carries at least a byte", [OPENED + frame(frames.DATA, 1)]),
    ("data before open", STRANGER, "the stream never was", [GREETED + DATA]),
    ("data on stream 0", STRANGER, "", [GREETED + frame(frames.DATA, 0, b"x")]),
    ("data beyond credit", CREDIT, "8,192 bytes and one", [OPENED + frame(frames.DATA, 1, bytes(8193))]),
    ("data after END", TURN, "", [OPENED + frame(frames.END, 1) + DATA]),
    ("data after RESET", TURN, "", [OPENED + frame(frames.RESET, 1, CODE) + DATA]),
    ("END twice", TURN, "", [OPENED + frame(frames.END, 1) * 2]),
    ("END with a payload", BAD, "", [OPENED + frame(frames.END, 1, b"x")]),
    ("RESET twice", TURN, "", [OPENED + frame(frames.RESET, 1, CODE) * 2]),
    ("RESET without code", BAD, "", [OPENED + frame(frames.RESET, 1, b"\0")]),
]

_CREDIT: list[Row] = [
    ("credit of nothing", BAD, "at least 1", [OPENED + frame(frames.CREDIT, 1, bytes(4))]),
    ("credit beyond 2^31", BAD, "", [OPENED + frame(frames.CREDIT, 1, b"\x80\0\0\0")]),
    ("credit summing beyond 2^31", CREDIT, "", [OPENED + frame(frames.CREDIT, 1, b"\x7f\xff\xff\xff")]),
    (
        "credit after RESET",
        TURN,
        "",
        [OPENED + frame(frames.RESET, 1, CODE) + frame(frames.CREDIT, 1, b"\0\0\0\1")],
    ),
]

_CHANNEL: list[Row] = [
    ("ping of 7 bytes", BAD, "", [GREETED + frame(frames.PING, 0, bytes(7))]),
    ("ping on a stream", BAD, "", [OPENED + frame(frames.PING, 1, bytes(8))]),
    ("pong of 9 bytes", BAD, "", [GREETED + frame(frames.PONG, 0, bytes(9))]),
    ("close without code", BAD, "", [GREETED + frame(frames.CLOSE, 0, b"\1")]),
    ("close with 601 bytes", BAD, "", [GREETED + frame(frames.CLOSE, 0, CODE + bytes(601))]),
    ("close on a stream", BAD, "", [OPENED + frame(frames.CLOSE, 1, CODE)]),
]

_REKEYS: list[Row] = [
    ("rekey not last", BAD, "a frame follows", [GREETED + frame(frames.REKEY, 0, b"\1") + frame(frames.PAD, 0)]),
    ("rekey on a stream", BAD, "", [OPENED + frame(frames.REKEY, 1, b"\1")]),
    ("rekey without a step", BAD, "", [GREETED + frame(frames.REKEY, 0)]),
    ("rekey step 4", BAD, "", [GREETED + frame(frames.REKEY, 0, b"\4")]),
    ("initiator asks", TURN, "only the responder asks", [GREETED + frame(frames.REKEY, 0, b"\0")]),
    ("DONE without a rekey", TURN, "", [GREETED + frame(frames.REKEY, 0, b"\3")]),
    ("M2 by the initiator", TURN, "", [GREETED + frame(frames.REKEY, 0, b"\2" + bytes(1152))]),
    ("M1 of another psk", "noise.not-authentic", "", [GREETED + frame(frames.REKEY, 0, b"\1" + bytes(1248))]),
    ("M1 cut", "noise.truncated", "", [GREETED + frame(frames.REKEY, 0, b"\1" + bytes(1247))]),
]


def _bad(name: str, expect: str, comment: str, plaintexts: list[bytes]) -> Case:
    cipher = transport(initiator=True).send
    records = [_record(cipher.encrypt(b"", plaintext)) for plaintext in plaintexts]
    steps = [
        {"from": "initiator", "plaintext": plaintext.hex(), "record": record.hex()}
        for plaintext, record in zip(plaintexts, records, strict=True)
    ]
    return _refused(name, expect, comment, records, steps)


def _bad_records() -> list[Case]:
    """Records that can't be opened: after them the responder says nothing."""
    cipher = transport(initiator=True).send
    greeting = b"".join(machine(initiator=True).take())
    cipher.encrypt(b"", b"")  # the greeting's place
    ping = frame(frames.PING, 0, bytes(8))
    second = _record(cipher.encrypt(b"", ping))
    changed = second[:-1] + bytes([second[-1] ^ 1])
    later = _record(cipher.encrypt(b"", ping))
    closed, size = "crypto.not-authentic", "channel.bad-record"
    rows = [
        ("tag changed", closed, "one bit", [greeting, changed]),
        ("record replayed", closed, "the counter has moved on", [greeting, second, second]),
        ("record dropped", closed, "the counter has not come there yet", [greeting, later]),
        (
            "record reflected",
            closed,
            "each direction has a key of its own",
            [b"".join(machine(initiator=False).take())],
        ),
        ("empty record", size, "a tag alone says nothing", [greeting, _record(bytes(16))]),
        ("record of length 0", size, "", [greeting, b"\0\0"]),
    ]
    return [
        _refused(name, expect, comment, records, [{"from": "initiator", "record": one.hex()} for one in records])
        for name, expect, comment, records in rows
    ]


def _record(ciphertext: bytes) -> bytes:
    return len(ciphertext).to_bytes(2, "big") + ciphertext


def _refused(name: str, expect: str, comment: str, records: list[bytes], steps: list[dict[str, str]]) -> Case:
    responder = machine(initiator=False, config=CONFIG)
    events = [event for record in records for event in responder.receive(record, Instant(0.0))]
    if responder.closed_by != expect:
        raise AssertionError(f"{name}: {responder.closed_by} instead of {expect}")
    return {
        "name": name,
        "comment": comment or "the responder drops the channel",
        "expect": expect,
        "steps": steps,
        "events": [["responder", *readable(event)] for event in events],
        "silent": responder.is_silent,
    }
