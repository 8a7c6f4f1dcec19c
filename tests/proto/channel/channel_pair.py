"""Two channel machines and a wire in memory, for tests."""

from typing import Any

from nzcore.base.instant import Instant
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.channel import frames
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.codes import wire_of
from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.hello import Hello
from nzcore.proto.noise.kernel import Transport

ALICE_SENDS, BOB_SENDS = bytes([1]) * 32, bytes([2]) * 32
HASH, EXPORTER, STATIC_DH = bytes([3]) * 32, bytes([4]) * 32, bytes([5]) * 32
PROTOCOL = "/nz/test/1"
T0 = Instant(0.0)
RESET = frames.code_payload(wire_of("channel.cancelled"))
"""What RESET and CLOSE carry where nothing went wrong."""


def make(
    *, initiator: bool, config: ChannelConfig | None = None, hello: Hello | None = None, **changed: Any
) -> Channel:
    send, receive = (ALICE_SENDS, BOB_SENDS) if initiator else (BOB_SENDS, ALICE_SENDS)
    return Channel(
        Transport(
            CountingCipher(send),
            CountingCipher(receive),
            changed.get("hash", HASH),
            changed.get("exporter", EXPORTER),
            None,
        ),
        initiator=initiator,
        agree=changed.get("agree", lambda: STATIC_DH),
        hello=hello or Hello(time=7),
        now=T0,
        config=config,
    )


class Pair:
    """Alice (initiator) and Bob. `carry` moves everything and keeps the events of each by name."""

    def __init__(
        self, *, greet: bool = True, alice: ChannelConfig | None = None, bob: ChannelConfig | None = None
    ) -> None:
        self.alice = make(initiator=True, config=alice)
        self.bob = make(initiator=False, config=bob)
        self.now = T0
        self.to_alice: list[tuple[Any, ...]] = []
        self.to_bob: list[tuple[Any, ...]] = []
        if greet:
            self.carry()
            self.forget()

    def carry(self) -> None:
        while self.alice.has_outgoing or self.bob.has_outgoing:
            self.carry_to_bob()
            self.carry_to_alice()

    def carry_to_bob(self) -> bytes:
        data = b"".join(self.alice.take())
        self.to_bob += self.bob.receive(data, self.now)
        return data

    def carry_to_alice(self) -> bytes:
        data = b"".join(self.bob.take())
        self.to_alice += self.alice.receive(data, self.now)
        return data

    def forget(self) -> None:
        self.to_alice.clear()
        self.to_bob.clear()

    def advance(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)

    def open(self, protocol: str = PROTOCOL) -> int:
        stream = self.alice.open(protocol)
        self.carry()
        self.forget()
        return stream


class Forger:
    """Plays the initiator towards a responder, with frames of its own making under the right key."""

    def __init__(self, config: ChannelConfig | None = None, *, greet: bool = True) -> None:
        self.bob = make(initiator=False, config=config)
        self.cipher = CountingCipher(ALICE_SENDS)
        self.events: list[tuple[Any, ...]] = []
        if greet:
            alice = make(initiator=True)
            self.send(bytes(alice._writer._parts[0]))
            self.events.clear()

    def record(self, *frames: bytes) -> bytes:
        ciphertext = self.cipher.encrypt(b"", b"".join(frames))
        return len(ciphertext).to_bytes(2, "big") + ciphertext

    def send(self, *frames: bytes, now: float = 0.0) -> list[tuple[Any, ...]]:
        events = self.bob.receive(self.record(*frames), Instant(now))
        self.events += events
        return events


def data_of(events: list[tuple[Any, ...]], stream: int) -> bytes:
    return b"".join(event[2] for event in events if event[0] is Event.DATA and event[1] == stream)


def kinds(events: list[tuple[Any, ...]]) -> list[str]:
    return [event[0].name for event in events]
