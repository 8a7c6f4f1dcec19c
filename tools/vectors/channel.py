"""Makes vectors/channel.json: an open channel record by record, good and bad (spec/channel.md §11).

Keys, hash, exporter and the static-static DH are fixed test values; a rekey's random choices are those of the Noise
vectors. Plaintexts are recorded where the receiving machine reads them.
"""

from collections.abc import Callable

from nzcore.base.instant import Instant
from nzcore.codec.frames import pack
from nzcore.crypto.aead import CountingCipher
from nzcore.crypto.hashing import sha256
from nzcore.proto.channel import frames
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.frames import frame
from nzcore.proto.channel.hello import Hello
from nzcore.proto.channel.records import LENGTH_BYTES
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.kernel import Transport
from nzcore.proto.noise.patterns import parse
from tools.vectors import noise

Case = dict[str, object]

PROTOCOL = "/nz/vector/1"
CONFIG = ChannelConfig(max_streams=2)
"""Two streams a side, so that the third is one too many."""


def seed(name: str) -> bytes:
    """Test key material that anyone can make again: SHA-256 of a name."""
    return sha256(f"NZ-VECTORS-01 channel {name}".encode())


def transport(*, initiator: bool) -> Transport:
    """What a handshake would have left on one side."""
    send, receive = seed("initiator sends"), seed("responder sends")
    if not initiator:
        send, receive = receive, send
    return Transport(CountingCipher(send), CountingCipher(receive), seed("handshake hash"), seed("exporter"), None)


def machine(*, initiator: bool, config: ChannelConfig | None = None, now: float = 0.0) -> Channel:
    """One side of the channel of the vectors."""
    return Channel(
        transport(initiator=initiator),
        initiator=initiator,
        agree=lambda: seed("static-static DH"),
        hello=Hello(time=1_800_000_000, features=("vector",), dk=seed("dk") if initiator else b""),
        now=Instant(now),
        config=config,
    )


class Wire:
    """Both sides, and a record of all that passes between them."""

    def __init__(self) -> None:
        self.initiator, self.responder = (machine(initiator=side, config=CONFIG) for side in (True, False))
        self.steps: list[dict[str, str]] = []
        self.events: list[list[object]] = []
        self._plaintexts: list[bytes] = []
        for side in (self.initiator, self.responder):
            self._record(side)
            _fix_randomness(side)

    def carry(self) -> None:
        """Moves everything, until both sides are quiet."""
        while self.initiator.has_outgoing or self.responder.has_outgoing:
            self._carry(self.initiator, self.responder, "initiator")
            self._carry(self.responder, self.initiator, "responder")

    def _carry(self, sender: Channel, receiver: Channel, name: str) -> None:
        stream = b"".join(sender.take())
        while stream:
            end = LENGTH_BYTES + int.from_bytes(stream[:LENGTH_BYTES], "big")
            record, stream = stream[:end], stream[end:]
            self._plaintexts.clear()
            events = receiver.receive(record, Instant(0.0))
            plaintext = b"".join(self._plaintexts).hex()
            self.steps.append({"from": name, "plaintext": plaintext, "record": record.hex()})
            at = "responder" if name == "initiator" else "initiator"
            self.events += [[at, *readable(event)] for event in events]

    def _record(self, side: Channel) -> None:
        read = side._read_frames

        def recording(plaintext: bytes, events: list[tuple[object, ...]], now: Instant) -> None:
            self._plaintexts.append(plaintext)
            read(plaintext, events, now)

        setattr(side, "_read_frames", recording)  # noqa: B010 - the type checker knows it as a method


def _fix_randomness(side: Channel) -> None:
    rekey = side._rekey

    def fixed(*, initiator: bool) -> Handshake:
        prologue, psk = rekey._binding()
        made = noise.FixedHandshake(parse("NNhfs+psk0"), initiator=initiator, prologue=prologue, psks=[psk])
        role = "initiator" if initiator else "responder"
        made.fix(noise.secret(f"{role} ephemeral"), noise.kem(), noise.encapsulation())
        return made

    setattr(rekey, "_new_handshake", fixed)  # noqa: B010 - as above


def readable(event: tuple[object, ...]) -> list[object]:
    """An event as JSON: its kind's name, bytes as hexadecimal text, a HELLO as its three values."""
    assert isinstance(event[0], Event)
    found: list[object] = [event[0].name]
    for value in event[1:]:
        if isinstance(value, bytes):
            found.append(value.hex())
        elif isinstance(value, Hello):
            found += [value.time, list(value.features), value.dk.hex()]
        else:
            found.append(value)
    return found


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/channel.md",
        "comment": "keys are hex; secrets here are published and must never be used",
        "setup": {
            "initiator_key": seed("initiator sends").hex(),
            "responder_key": seed("responder sends").hex(),
            "handshake_hash": seed("handshake hash").hex(),
            "exporter": seed("exporter").hex(),
            "static_dh": seed("static-static DH").hex(),
            "max_streams": CONFIG.max_streams,
            "rekey_initiator_ephemeral": noise.seed("initiator ephemeral").hex(),
            "rekey_responder_ephemeral": noise.seed("responder ephemeral").hex(),
            "rekey_kem_seed": noise.seed("kem", 64).hex(),
            "rekey_kem_randomness": noise.seed("kem randomness").hex(),
        },
        "cases": [_good(*row) for row in _GOOD] + [_bad(*row) for row in _bad_rows()] + _bad_records(),
    }


def _good(name: str, comment: str, script: Callable[[Wire], None]) -> Case:
    wire = Wire()
    wire.carry()
    script(wire)
    wire.carry()
    return {"name": name, "comment": comment, "expect": "ok", "steps": wire.steps, "events": wire.events}


def _request(wire: Wire) -> None:
    stream = wire.initiator.open(PROTOCOL)
    wire.initiator.write(stream, b"request")
    wire.initiator.end(stream)
    wire.carry()
    wire.responder.write(stream, b"reply")
    wire.responder.end(stream)


def _packing(wire: Wire) -> None:
    stream = wire.initiator.open(PROTOCOL)
    for word in (b"one ", b"two ", b"three"):
        wire.initiator.write(stream, word)


def _both_open(wire: Wire) -> None:
    wire.initiator.open(PROTOCOL)
    wire.responder.open("/nz/other/1")


def _credit(wire: Wire) -> None:
    stream = wire.initiator.open(PROTOCOL)
    wire.initiator.write(stream, bytes(8192))
    wire.carry()
    wire.responder.consume(stream, 8192)


def _too_many(wire: Wire) -> None:
    # Our own limit would stop us; the other side's is what the vector shows.
    wire.initiator._streams._max = 3
    for _ in range(3):
        wire.initiator.open(PROTOCOL)


def _reset(wire: Wire) -> None:
    stream = wire.initiator.open(PROTOCOL)
    wire.carry()
    wire.responder.reset(stream, "channel.no-protocol")


def _ping(wire: Wire) -> None:
    wire.initiator.ping(Instant(0.0))


def _rekey(wire: Wire) -> None:
    stream = wire.initiator.open(PROTOCOL)
    wire.initiator.write(stream, b"before")
    wire.carry()
    wire.initiator.rekey(Instant(0.0))
    wire.initiator.write(stream, b"during")
    wire.carry()
    wire.initiator.write(stream, b"after")
    wire.responder.write(stream, b"after")


_GOOD: list[tuple[str, str, Callable[[Wire], None]]] = [
    ("greeting", "HELLO each way, and nothing else", lambda wire: None),
    ("request and reply", "a stream opened, ended by both sides, in one record each way", _request),
    ("packing", "three writes to one stream are one DATA frame", _packing),
    ("both sides open", "odd numbers are the initiator's, even ones the responder's", _both_open),
    ("credit", "what was read is given back, and the window doubles", _credit),
    ("one stream too many", "refused with RESET, the channel goes on", _too_many),
    ("stream refused", "RESET with a reason", _reset),
    ("ping", "PONG returns the nonce", _ping),
    ("rekey by the initiator", "M1, M2, DONE each last in their record; data flows on", _rekey),
    ("rekey asked for", "the responder asks, the initiator starts", lambda wire: wire.responder.rekey(Instant(0.0))),
    ("close", "the last frame", lambda wire: wire.initiator.close("channel.going-away")),
    ("close with a detail", "at most 600 bytes", lambda wire: wire.responder.close("channel.closed", b"d" * 600)),
]

Row = tuple[str, str, str, list[bytes]]


def _bad_rows() -> list[Row]:
    """Name, code, comment, and the initiator's plaintexts, the last of which the responder refuses."""
    hello = machine(initiator=True)._writer._parts[0]
    greeted = bytes(hello)
    opened = greeted + frame(frames.OPEN, 1, PROTOCOL.encode())
    data = frame(frames.DATA, 1, b"x")
    code = frames.code_payload(1)
    bad, turn, credit = "channel.bad-frame", "channel.out-of-turn", "channel.over-credit"
    stranger = "channel.bad-stream"
    return [
        ("a refusal", "handshake.not-admitted", "CLOSE instead of HELLO", [frame(frames.CLOSE, 0, b"\0\x44")]),
        ("a refusal without code", bad, "CLOSE instead of HELLO", [frame(frames.CLOSE, 0, b"\1")]),
        ("nine addresses in the greeting", "channel.bad-hello", "at most eight", [_hello(addresses=["a"] * 9)]),
        ("a long address in the greeting", "channel.bad-hello", "at most 272", [_hello(addresses=["a" * 273])]),
        ("no greeting", "channel.bad-hello", "the first frame must be HELLO", [frame(frames.PING, 0, bytes(8))]),
        ("greeting twice", bad, "HELLO is the first frame only", [greeted + greeted]),
        ("greeting cut", "channel.bad-hello", "the length exceeds the record", [greeted[:-1]]),
        ("greeting on a stream", "channel.bad-hello", "stream 0", [frame(frames.HELLO, 1, greeted[7:])]),
        ("greeting without time", "channel.bad-hello", "time is required", [frame(frames.HELLO, 0, b"\x80")]),
        ("greeting is no map", "channel.bad-hello", "MessagePack nil", [frame(frames.HELLO, 0, b"\xc0")]),
        ("unknown kind", bad, "kinds end at 10", [greeted + frame(11, 0)]),
        ("header cut", bad, "six bytes of a header", [greeted + frame(frames.PAD, 0)[:6]]),
        ("payload cut", bad, "the length exceeds the record", [greeted + frame(frames.PAD, 0, b"xx")[:-1]]),
        ("padding on a stream", bad, "PAD belongs to the channel", [greeted + frame(frames.PAD, 1)]),
        ("stream 0 opened", stranger, "0 is the channel itself", [greeted + frame(frames.OPEN, 0, b"/a")]),
        ("stream number skipped", stranger, "the next one is 1", [greeted + frame(frames.OPEN, 3, b"/a")]),
        ("other side's number", stranger, "even ones are the responder's", [greeted + frame(frames.OPEN, 2, b"/a")]),
        ("stream opened twice", stranger, "numbers are used once", [opened + frame(frames.OPEN, 1, b"/a")]),
        ("protocol without slash", "channel.bad-protocol", "", [greeted + frame(frames.OPEN, 1, b"a")]),
        ("protocol of 65", "channel.bad-protocol", "64 at most", [greeted + frame(frames.OPEN, 1, b"/" * 65)]),
        ("protocol not ASCII", "channel.bad-protocol", "", [greeted + frame(frames.OPEN, 1, "/é".encode())]),
        ("empty data", bad, "DATA carries at least a byte", [opened + frame(frames.DATA, 1)]),
        ("data before open", stranger, "the stream never was", [greeted + data]),
        ("data on stream 0", stranger, "", [greeted + frame(frames.DATA, 0, b"x")]),
        ("data beyond credit", credit, "8,192 bytes and one", [opened + frame(frames.DATA, 1, bytes(8193))]),
        ("data after END", turn, "", [opened + frame(frames.END, 1) + data]),
        ("data after RESET", turn, "", [opened + frame(frames.RESET, 1, code) + data]),
        ("END twice", turn, "", [opened + frame(frames.END, 1) * 2]),
        ("END with a payload", bad, "", [opened + frame(frames.END, 1, b"x")]),
        ("RESET twice", turn, "", [opened + frame(frames.RESET, 1, code) * 2]),
        ("RESET without code", bad, "", [opened + frame(frames.RESET, 1, b"\0")]),
        ("credit of nothing", bad, "at least 1", [opened + frame(frames.CREDIT, 1, bytes(4))]),
        ("credit beyond 2^31", bad, "", [opened + frame(frames.CREDIT, 1, b"\x80\0\0\0")]),
        ("credit summing beyond 2^31", credit, "", [opened + frame(frames.CREDIT, 1, b"\x7f\xff\xff\xff")]),
        (
            "credit after RESET",
            turn,
            "",
            [opened + frame(frames.RESET, 1, code) + frame(frames.CREDIT, 1, b"\0\0\0\1")],
        ),
        ("ping of 7 bytes", bad, "", [greeted + frame(frames.PING, 0, bytes(7))]),
        ("ping on a stream", bad, "", [opened + frame(frames.PING, 1, bytes(8))]),
        ("pong of 9 bytes", bad, "", [greeted + frame(frames.PONG, 0, bytes(9))]),
        ("close without code", bad, "", [greeted + frame(frames.CLOSE, 0, b"\1")]),
        ("close with 601 bytes", bad, "", [greeted + frame(frames.CLOSE, 0, code + bytes(601))]),
        ("close on a stream", bad, "", [opened + frame(frames.CLOSE, 1, code)]),
        ("rekey not last", bad, "a frame follows", [greeted + frame(frames.REKEY, 0, b"\1") + frame(frames.PAD, 0)]),
        ("rekey on a stream", bad, "", [opened + frame(frames.REKEY, 1, b"\1")]),
        ("rekey without a step", bad, "", [greeted + frame(frames.REKEY, 0)]),
        ("rekey step 4", bad, "", [greeted + frame(frames.REKEY, 0, b"\4")]),
        ("initiator asks", turn, "only the responder asks", [greeted + frame(frames.REKEY, 0, b"\0")]),
        ("DONE without a rekey", turn, "", [greeted + frame(frames.REKEY, 0, b"\3")]),
        ("M2 by the initiator", turn, "", [greeted + frame(frames.REKEY, 0, b"\2" + bytes(1152))]),
        ("M1 of another psk", "noise.not-authentic", "", [greeted + frame(frames.REKEY, 0, b"\1" + bytes(1248))]),
        ("M1 cut", "noise.truncated", "", [greeted + frame(frames.REKEY, 0, b"\1" + bytes(1247))]),
    ]


def _hello(**values: object) -> bytes:
    """A greeting with more than our own would say."""
    return frame(frames.HELLO, 0, pack({"time": 1_800_000_000} | values))


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
