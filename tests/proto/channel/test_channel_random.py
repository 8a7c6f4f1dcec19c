"""Random interleavings compared byte for byte, and any bytes at all."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nzcore.base.errors import UsageError
from nzcore.base.instant import Instant
from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.frames import NAMES, frame
from tests.proto.channel.channel_pair import PROTOCOL, T0, Forger, make
from tools.fuzz import channel as fuzz

RUNS, STEPS = 60, 250  # fifteen thousand random moves, some hundreds of rekeys among them
CONFIG = ChannelConfig(max_streams=4, budget=160_000, max_window=40_000, queue_bytes=30_000, data_bytes=3_000)


class Side:
    """One machine, the model of what it has sent and got, and the bytes on their way to it."""

    def __init__(self, *, initiator: bool) -> None:
        self.machine = make(initiator=initiator, config=CONFIG)
        self.sent: dict[int, bytearray] = {}
        self.got: dict[int, bytearray] = {}
        self.unread: dict[int, int] = {}
        self.ended_by_us: set[int] = set()
        self.ended_by_them: set[int] = set()
        self.reset: set[int] = set()
        self.wire = bytearray()  # towards this side
        self.rekeys = 0

    def hear(self, size: int, now: Instant) -> None:
        data = bytes(self.wire[:size])
        del self.wire[:size]
        for event in self.machine.receive(data, now):
            self._handle(event)

    def _handle(self, event: tuple[Any, ...]) -> None:
        kind = event[0]
        assert kind is not Event.CLOSED, event
        if kind is Event.OPENED:
            self._begin(event[1])
        elif kind is Event.DATA:
            assert event[1] not in self.ended_by_them
            self.got[event[1]] += event[2]
            self.unread[event[1]] += len(event[2])
        elif kind is Event.ENDED:
            self.ended_by_them.add(event[1])
        elif kind is Event.RESET:
            self.reset.add(event[1])
        elif kind is Event.REKEYED:
            self.rekeys += 1

    def _begin(self, stream: int) -> None:
        self.sent[stream], self.got[stream], self.unread[stream] = bytearray(), bytearray(), 0

    def act(self, rng: Random, now: Instant) -> None:
        machine, live = self.machine, sorted(set(self.sent) - self.reset)
        move = rng.random()
        if move < 0.1:
            try:
                self._begin(machine.open(PROTOCOL))
            except UsageError as error:
                if error.code not in ("channel.too-many-streams", "channel.queue-full"):
                    raise
        elif move < 0.5 and (writable := [one for one in live if one not in self.ended_by_us]):
            stream = rng.choice(writable)
            data = rng.randbytes(rng.choice((1, 10, 100, 5_000)))
            if not machine.extend(stream, data):
                data = data[: machine.write(stream, data)]
            self.sent[stream] += data
        elif move < 0.7 and live:
            stream = rng.choice(live)
            size = rng.randint(0, self.unread[stream])
            self.unread[stream] -= size
            machine.consume(stream, size)
        elif move < 0.75 and live:
            self._finish(rng.choice(live), rng)
        elif move < 0.80:
            machine.rekey(now)
        elif move < 0.83:
            machine.ping(now)

    def _finish(self, stream: int, rng: Random) -> None:
        if rng.random() < 0.2:
            self.machine.reset(stream, "channel.cancelled")
            self.machine.release(stream)
            self.reset.add(stream)
        elif stream not in self.ended_by_us:
            self.machine.end(stream)
            self.ended_by_us.add(stream)
        elif stream in self.ended_by_them:
            self.machine.release(stream)


@pytest.mark.parametrize("seed", range(RUNS))
def test_whatever_the_order_every_byte_arrives_and_no_rule_is_broken(seed: int) -> None:
    rng = Random(seed)
    sides = Side(initiator=True), Side(initiator=False)
    now = T0
    for _ in range(STEPS):
        at = rng.randrange(2)
        one, other = sides[at], sides[1 - at]
        one.act(rng, now)
        if rng.random() < 0.4:
            other.wire += b"".join(one.machine.take())
        one.hear(rng.choice((0, 1, 7, 100, 5_000, 100_000)), now)
        now = Instant(now + rng.random() * 0.1)  # or a slow wire would rightly stall a rekey
        assert one.machine.tick(now) == []
    while sides[0].machine.has_outgoing or sides[1].machine.has_outgoing or sides[0].wire or sides[1].wire:
        for one, other in (sides, sides[::-1]):
            other.wire += b"".join(one.machine.take())
            other.hear(len(other.wire), now)
    for one, other in (sides, sides[::-1]):
        assert one.machine.closed_by is None
        for stream, sent in one.sent.items():
            got = other.got.get(stream, bytearray())
            whole = stream not in one.reset | other.reset
            assert got == sent if whole else sent.startswith(got)
    assert sides[0].rekeys == sides[1].rekeys > 0


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2_000))
def test_any_ciphertext_ends_in_silence_or_is_incomplete(data: bytes) -> None:
    forger = Forger()
    events = forger.bob.receive(data, T0)
    if events:
        assert [event[0] for event in events] == [Event.CLOSED]
        assert forger.bob.take() == []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.booleans())
def test_any_plaintext_gives_events_or_the_end(plaintexts: list[bytes], greet: bool) -> None:
    forger = Forger(greet=greet)
    for plaintext in plaintexts:
        forger.send(plaintext)
    closed = [event for event in forger.events if event[0] is Event.CLOSED]
    assert len(closed) == (forger.bob.closed_by is not None)
    assert not closed or forger.events[-1] is closed[0]


FRAMES = st.builds(
    lambda kind, stream, payload: frame(kind, stream, payload),
    st.integers(0, len(NAMES)),
    st.integers(0, 6),
    st.one_of(st.binary(max_size=12), st.sampled_from([b"/a", b"\0\0\0\1", b"\0\1", bytes(8), b"\1" + bytes(1248)])),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(FRAMES, min_size=1, max_size=6), max_size=8))
def test_any_frames_give_events_or_the_end(records: list[list[bytes]]) -> None:
    forger = Forger(CONFIG)
    for frames in records:
        for event in forger.send(*frames):
            if event[0] is Event.DATA:
                forger.bob.consume(event[1], len(event[2]))
            elif event[0] is Event.OPENED:
                forger.bob.write(event[1], b"answer")
        forger.bob.take()
    assert sum(stream.window for stream in forger.bob._records.values()) <= CONFIG.budget


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=500))
def test_the_fuzz_target_swallows_nothing(data: bytes) -> None:
    fuzz.target(data)
