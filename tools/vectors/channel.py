"""Makes vectors/channel.json: an open channel record by record, good and bad (spec/channel.md §11).

Keys, hash, exporter and the static-static DH are fixed test values; a rekey's random choices are those of the Noise
vectors. Plaintexts are recorded where the receiving machine reads them.
"""

from collections.abc import Callable

from nzcore.base.instant import Instant
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.records import LENGTH_BYTES
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.patterns import parse
from tools.vectors import noise
from tools.vectors.channel_cast import CONFIG, PROTOCOL, Case, machine, readable, seed
from tools.vectors.channel_refusals import refusals

Script = Callable[["Wire"], None]


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
        incoming, plaintexts = side._incoming, self._plaintexts

        class Recording:
            def read(self, plaintext: bytes, events: list[tuple[object, ...]], now: Instant) -> bool:
                plaintexts.append(plaintext)
                return incoming.read(plaintext, events, now)

        setattr(side, "_incoming", Recording())  # noqa: B010 - the type checker knows what else it is


def _fix_randomness(side: Channel) -> None:
    rekey = side._rekey

    def fixed(*, initiator: bool) -> Handshake:
        prologue, psk = rekey._binding()
        made = noise.FixedHandshake(parse("NNhfs+psk0"), initiator=initiator, prologue=prologue, psks=[psk])
        role = "initiator" if initiator else "responder"
        made.fix(noise.secret(f"{role} ephemeral"), noise.kem(), noise.encapsulation())
        return made

    setattr(rekey, "_new_handshake", fixed)  # noqa: B010 - as above


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
        "cases": [*(_good(*row) for row in _GOOD), *refusals()],
    }


def _good(name: str, comment: str, script: Script) -> Case:
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


_GOOD: list[tuple[str, str, Script]] = [
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
