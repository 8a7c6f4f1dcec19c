"""A hostile other side with all the keys: what it can make us hold, do and say is bounded."""

import tracemalloc
from typing import Any

import pytest

from nzcore.base.instant import Instant
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.channel import config as limits
from nzcore.proto.channel import frames
from nzcore.proto.channel.config import INITIAL_WINDOW, PLAINTEXT_BYTES, ChannelConfig
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.frames import frame
from nzcore.proto.channel.rekey import Step
from nzcore.proto.channel.streams import Budget, StreamRecord
from nzcore.proto.noise.patterns import parse
from tests.proto.channel.channel_pair import BOB_SENDS, RESET, T0, Forger, Pair, kinds, make
from tools.vectors import noise

MAX_CREDIT = b"\x7f\xff\xff\xff"
PLAIN = PLAINTEXT_BYTES


def held_after(forger: Forger, plaintexts: list[bytes]) -> int:
    """Bytes that the machine holds more after these than before; events are dropped, as a shell would."""
    warm = Forger()  # what measures coverage allocates where a line runs for the first time
    for plaintext in plaintexts[:2]:
        warm.bob.receive(warm.record(plaintext), T0)
    records = [forger.record(plaintext) for plaintext in plaintexts]
    tracemalloc.start()
    try:
        before = held_by_product()
        for record in records:
            forger.bob.receive(record, T0)
        return held_by_product() - before
    finally:
        tracemalloc.stop()


def held_by_product() -> int:
    """Bytes that code of the product holds; other threads of the tests may allocate meanwhile."""
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/nzcore/*")])
    return sum(trace.size for trace in snapshot.traces)


def fill(one: bytes) -> bytes:
    return one * (PLAIN // len(one))


@pytest.mark.parametrize(
    ("name", "plaintexts", "bound"),
    [
        ("ping flood", [fill(frame(frames.PING, 0, b"flooding"))] * 6, 4_000),
        ("pong flood", [fill(frame(frames.PONG, 0, b"flooding"))] * 6, 4_000),
        ("padding flood", [fill(frame(frames.PAD, 0))] * 6 + [frame(frames.PAD, 0, bytes(PLAIN - 7))] * 10, 4_000),
        ("credit flood", [frame(frames.OPEN, 1, b"/a") + fill(frame(frames.CREDIT, 1, b"\0\0\0\1"))[:-99]] * 1, 8_000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_floods_are_answered_at_most_once_and_leave_nothing(name: str, plaintexts: list[bytes], bound: int) -> None:
    forger = Forger()
    if name == "credit flood":
        plaintexts = [frame(frames.OPEN, 1, b"/a"), *[fill(frame(frames.CREDIT, 1, b"\0\0\0\1"))] * 6]
    assert held_after(forger, plaintexts) < bound
    assert forger.bob.closed_by is None
    assert sum(map(len, forger.bob.take())) < 100


def test_rapid_reset_ends_the_channel_once_answers_are_not_read() -> None:
    forger = Forger()
    for number in range(1, 5000, 2):
        forger.send(frame(frames.OPEN, number, b"/a"), frame(frames.RESET, number, RESET))
        if forger.bob.closed_by:
            break
    assert forger.bob.closed_by == "channel.control-flood"
    opened = kinds(forger.events).count("OPENED")
    assert opened == forger.bob.config.max_streams  # no handler beyond these was ever started
    assert sum(map(len, forger.bob.take())) < 40_000


def test_opens_beyond_the_limit_cost_a_reset_each_and_nothing_stays() -> None:
    forger = Forger(ChannelConfig(max_streams=4))
    for number in range(1, 2001, 2):
        forger.send(frame(frames.OPEN, number, b"/a"), frame(frames.DATA, number, b"x"))
        forger.bob.take()
    assert kinds(forger.events).count("OPENED") == 4
    assert len(forger.bob._records) == 4
    assert forger.bob.closed_by is None


def test_huge_credit_does_not_make_us_hold_more_than_the_queue() -> None:
    forger = Forger()
    forger.send(frame(frames.OPEN, 1, b"/a"))
    amount = int.from_bytes(MAX_CREDIT, "big") - INITIAL_WINDOW
    assert kinds(forger.send(frame(frames.CREDIT, 1, amount.to_bytes(4, "big")))) == []
    forger.bob.take()
    assert forger.bob.write(1, bytes(1 << 22)) == forger.bob.config.queue_bytes
    assert forger.bob.write(1, b"x") == 0
    assert forger.bob.full
    assert forger.send(frame(frames.CREDIT, 1, amount.to_bytes(4, "big")))[-1][1] == "channel.over-credit"


def test_a_side_that_never_reads_stops_our_openers_too() -> None:
    pair = Pair()
    opened = 0
    while not pair.alice.full:
        pair.alice.release(stream := pair.alice.open("/a"))
        pair.alice.reset(stream, "channel.cancelled")
        opened += 1
    with pytest.raises(Exception, match="queue-full"):
        pair.alice.open("/a")
    assert opened <= pair.alice.config.resets


def test_windows_of_all_streams_never_exceed_the_budget() -> None:
    config = ChannelConfig()
    forger = Forger(config)
    unread = 0
    for number in range(1, 2 * config.max_streams, 2):
        forger.send(frame(frames.OPEN, number, b"/a"))
        for _ in range(30):  # a reader that keeps up, so that the window grows
            size = min(forger.bob._records[number].receivable, 32_768)
            forger.send(frame(frames.DATA, number, bytes(size)))
            forger.bob.consume(number, size)
    for number in range(1, 2 * config.max_streams, 2):  # and then stops
        while size := min(forger.bob._records[number].receivable, 32_768):
            forger.send(frame(frames.DATA, number, bytes(size)))
            unread += size
    assert forger.bob.closed_by is None
    assert unread <= config.budget - config.max_streams * INITIAL_WINDOW  # our own streams' windows are reserved
    assert forger.send(frame(frames.DATA, 1, b"x"))[-1][1] == "channel.over-credit"


def test_any_sequence_of_reads_keeps_the_budget() -> None:
    config = ChannelConfig(max_streams=3, budget=200_000, max_window=90_000)
    budget, streams = Budget(config), [StreamRecord(number) for number in range(6)]
    for step in range(500):
        stream = streams[step * 7 % 6]
        budget.consume(stream, step * 131 % 9000)
        assert sum(one.window for one in streams) + budget.left == config.budget
        assert all(INITIAL_WINDOW <= one.window <= config.max_window for one in streams)
        if step % 50 == 49:
            budget.release(stream)
    assert budget.left >= 0


def test_an_incomplete_record_holds_64_kib_at_most() -> None:
    forger = Forger()
    tracemalloc.start()
    for _ in range(70_000 // 7):
        forger.bob.receive(b"\xff" * 7, T0)
        assert len(forger.bob._reader._held) <= 65_537
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 70_000
    assert forger.bob.closed_by == "crypto.not-authentic"


def ask(step: Step, body: bytes = b"") -> bytes:
    return frame(frames.REKEY, 0, bytes([step]) + body)


def test_a_responder_that_keeps_asking_for_keys_is_dropped() -> None:
    pair = Pair()
    rekeys = 0
    pair.bob._rekey._ours._left = 1e9  # a hostile one has no limit of its own
    pair.bob._rekey._ours._burst = 1e9
    while pair.alice.closed_by is None and rekeys < 200:
        pair.bob.rekey(pair.now)
        pair.carry()
        rekeys += 1
    assert pair.alice.closed_by == "channel.control-flood"
    assert rekeys == limits.REKEY_BURST + 1
    assert pair.to_bob[-1][:3] == (Event.CLOSED, "channel.control-flood", True)


def test_an_initiator_that_keeps_starting_rekeys_is_dropped() -> None:
    pair = Pair()
    pair.alice._rekey._ours._left = pair.alice._rekey._ours._burst = 1e9
    for _ in range(limits.REKEY_BURST + 1):
        pair.alice.rekey(pair.now)
        pair.carry()
    assert pair.bob.closed_by == "channel.control-flood"


def test_our_own_application_can_not_cause_that() -> None:
    pair = Pair()
    for _ in range(300):
        pair.alice.rekey(pair.now)
        pair.bob.rekey(pair.now)
        pair.carry()
        pair.advance(0.01)
    assert pair.alice.closed_by is pair.bob.closed_by is None
    before = pair.alice.statistics().rekeys
    pair.alice.rekey(pair.now)  # too many lately: remembered, not lost
    due = pair.alice.next_deadline()
    assert pair.now < due < pair.now + 60
    pair.now = due
    assert pair.alice.tick(due) == []
    pair.carry()
    assert pair.alice.statistics().rekeys == before + 1


@pytest.mark.parametrize("step", list(Step))
def test_rekey_steps_out_of_turn_drop_the_channel(step: Step) -> None:
    """Every step in every phase that has no row for it: the vectors hold the responder, this the initiator."""
    alice = make(initiator=True)
    forged = Forger(greet=False)
    bob = make(initiator=False)
    alice.receive(b"".join(bob.take()), T0)
    alice.rekey(T0)
    cipher = CountingCipher(BOB_SENDS)
    cipher.encrypt(b"", b"")
    ciphertext = cipher.encrypt(b"", ask(step, b"x" if step is not Step.ASK else b""))
    events = alice.receive(len(ciphertext).to_bytes(2, "big") + ciphertext, T0)
    assert forged.bob.closed_by is None
    if step is Step.ASK:
        assert events == []  # under way already
    else:
        assert events[-1][0] is Event.CLOSED


def test_weak_keys_inside_a_rekey_drop_the_channel() -> None:
    """A KEM key that fails FIPS 203's check is found when M2 is written: that too ends in CLOSED, not in an error."""
    forger = Forger()
    prologue, psk = forger.bob._rekey._binding()

    class Weak(noise.FixedHandshake):
        __slots__ = ()

        def _write(self, token: Any) -> bytes:
            if token.value == "e1":
                return self._symmetric.encrypt_and_hash(b"\xff" * 1184)
            return super()._write(token)

    made = Weak(parse("NNhfs+psk0"), initiator=True, prologue=prologue, psks=[psk])
    made.fix(noise.secret("initiator ephemeral"), noise.kem(), None)
    events = forger.send(ask(Step.M1, made.write_message()))
    assert events == [(Event.CLOSED, "noise.weak-key", False, b"")]
    assert forger.bob.take()


def test_an_error_of_ours_never_comes_from_their_bytes_around_close() -> None:
    forger = Forger()
    forger.send(
        frame(frames.OPEN, 1, b"/a"), frame(frames.DATA, 1, b"x"), frame(frames.END, 1), frame(frames.CLOSE, 0, RESET)
    )
    assert kinds(forger.events) == ["OPENED", "DATA", "ENDED", "CLOSED"]
    forger.bob.consume(1, 1)
    forger.bob.reset(1, "channel.cancelled")
    forger.bob.release(1)
    assert forger.bob.tick(Instant(1e6)) == []
    assert forger.bob.take() == []


def test_a_key_is_never_used_for_more_than_two_to_the_32_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nzcore.proto.channel.records.HARD_RECORDS", 10)
    pair = Pair()
    for _ in range(9):
        assert pair.alice.closed_by is None
        pair.alice.ping(T0)
        pair.carry()
    pair.alice.ping(T0)  # would be the eleventh record: it is not sealed
    assert pair.alice.take() == []
    assert pair.alice.tick(T0) == [(Event.CLOSED, "channel.key-exhausted", False, b"")]
    assert pair.alice.take() == []


def test_a_record_beyond_two_to_the_32_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    forger = Forger()
    monkeypatch.setattr("nzcore.proto.channel.records.HARD_RECORDS", 1)
    assert forger.send(frame(frames.PAD, 0))[-1][1] == "channel.key-exhausted"
