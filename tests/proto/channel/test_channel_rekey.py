"""Rekeying: the tables, the switch of each direction, limits and clocks, and what keys open."""

import pytest

from nzcore.base.errors import PeerError
from nzcore.base.instant import Instant
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.channel.config import REKEY_PROGRESS_S, ChannelConfig
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.rekey import INITIATOR, RESPONDER, Act, Cause, Phase, Step
from tests.proto.channel.channel_pair import STATIC_DH, T0, Pair, data_of, make


def test_either_side_gets_new_keys_by_asking() -> None:
    for name in ("alice", "bob"):
        pair = Pair()
        getattr(pair, name).rekey(T0)
        pair.carry()
        assert pair.to_alice == pair.to_bob == [(Event.REKEYED, 1)]
        assert pair.alice._rekey.phase is pair.bob._rekey.phase is Phase.IDLE


def test_both_sides_agree_on_the_new_session_and_forget_the_old_one() -> None:
    pair = Pair()
    before = (pair.alice._rekey._exporter, pair.alice._rekey._hash)
    pair.alice.rekey(T0)
    pair.carry()
    alice, bob = pair.alice._rekey, pair.bob._rekey
    assert (alice._exporter, alice._hash) == (bob._exporter, bob._hash) != before
    assert alice._handshake is alice._pending is bob._handshake is bob._pending is None


def test_a_rekey_asked_for_by_both_happens_once() -> None:
    pair = Pair()
    pair.alice.rekey(T0)
    pair.bob.rekey(T0)
    pair.alice.rekey(T0)
    pair.carry()
    assert pair.alice.statistics().rekeys == pair.bob.statistics().rekeys == 1


def test_the_responder_sends_under_the_new_key_before_the_initiator_has_it() -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice.rekey(T0)
    pair.carry_to_bob()
    assert pair.bob._rekey.phase is Phase.WAIT
    assert pair.bob.write(stream, b"under the new key") == 17
    assert pair.alice.write(stream, b"under the old key") == 17
    pair.carry()
    assert data_of(pair.to_alice, stream) == b"under the new key"
    assert data_of(pair.to_bob, stream) == b"under the old key"
    assert pair.alice.closed_by is pair.bob.closed_by is None


def test_counters_begin_anew_with_each_key() -> None:
    pair = Pair()
    for _ in range(5):
        pair.alice.ping(T0)
        pair.carry()
    pair.alice.rekey(T0)
    pair.carry()
    assert pair.alice._writer.cipher.counter == pair.alice._writer.records == 0
    pair.alice.ping(T0)
    pair.carry()
    assert pair.alice._writer.cipher.counter == pair.bob._reader.cipher.counter == 1
    assert pair.alice._writer.records == pair.bob._reader.records == 1


@pytest.mark.parametrize(
    "config",
    [ChannelConfig(rekey_records=3), ChannelConfig(rekey_bytes=100), ChannelConfig(rekey_s=5.0)],
    ids=["records", "bytes", "seconds"],
)
@pytest.mark.parametrize("side", ["alice", "bob"])
def test_limits_renew_the_keys_whoever_reaches_them(side: str, config: ChannelConfig) -> None:
    pair = Pair(**{side: config})
    for _ in range(4):
        pair.advance(2.0)
        for one in (pair.alice, pair.bob):
            one.ping(pair.now)
        pair.carry()
        for one in (pair.alice, pair.bob):
            one.tick(pair.now)
        pair.carry()
    assert pair.alice.statistics().rekeys >= 1
    assert pair.alice.closed_by is pair.bob.closed_by is None


def test_the_deadline_is_when_keys_have_served_their_time() -> None:
    pair = Pair()
    pair.now = Instant(590.0)
    pair.alice.ping(pair.now)
    pair.carry()
    assert pair.alice.next_deadline() == 600.0
    pair.now = Instant(600.0)
    assert pair.alice.tick(pair.now) == []
    pair.carry()
    assert pair.to_alice[-1] == (Event.REKEYED, 1)


@pytest.mark.parametrize(("side", "phase"), [("alice", "SENT"), ("bob", "ASKED"), ("bob", "WAIT")])
def test_a_rekey_without_progress_for_30_seconds_drops_the_channel(side: str, phase: str) -> None:
    pair = Pair()
    (pair.bob if phase == "ASKED" else pair.alice).rekey(T0)
    if phase == "WAIT":
        pair.carry_to_bob()
    one = getattr(pair, side)
    assert one._rekey.phase == phase
    assert one.tick(Instant(REKEY_PROGRESS_S - 0.1)) == []
    assert one.tick(Instant(REKEY_PROGRESS_S)) == [(Event.CLOSED, "channel.rekey-stalled", False, b"")]
    other = pair.bob if side == "alice" else pair.alice
    if phase != "WAIT":  # there the other side could not yet open what says so
        assert other.receive(b"".join(one.take()), T0)[-1][:3] == (Event.CLOSED, "channel.rekey-stalled", True)


def test_every_row_of_both_tables_is_reachable_and_every_other_step_is_refused() -> None:
    assert {act for act, _ in (*INITIATOR.values(), *RESPONDER.values())} == set(Act)
    reached = {Phase.IDLE} | {phase for _, phase in (*INITIATOR.values(), *RESPONDER.values())}
    assert reached == set(Phase)
    for initiator, table in ((True, INITIATOR), (False, RESPONDER)):
        for phase in {phase for phase, _ in table}:
            for step in Step:
                if (phase, step) in table:
                    continue
                side = make(initiator=initiator)
                side._rekey.phase = phase
                with pytest.raises(PeerError, match="out-of-turn"):
                    side._rekey.receive(bytes([step]), T0)
            assert (phase, Cause.LIMIT) in table


@pytest.mark.parametrize("changed", [{"hash": bytes(32)}, {"exporter": bytes(32)}, {"agree": lambda: bytes(32)}])
def test_a_rekey_is_bound_to_session_and_static_keys(changed: dict[str, object]) -> None:
    pair = Pair(greet=False)
    pair.bob = make(initiator=False, **changed)
    pair.carry()
    pair.alice.rekey(T0)
    pair.carry()
    assert pair.bob.closed_by == "noise.not-authentic"
    assert pair.to_alice[-1][:3] == (Event.CLOSED, "channel.protocol-error", True)


def test_the_static_dh_is_computed_anew_each_time() -> None:
    calls = []
    pair = Pair(greet=False)
    pair.alice._rekey._agree = lambda: calls.append(1) or STATIC_DH  # type: ignore[func-returns-value]
    pair.carry()
    for expected in (1, 2, 3):
        pair.alice.rekey(T0)
        pair.carry()
        assert len(calls) == expected


class Keep(CountingCipher):
    """A thief's copy: a cipher that outlives its wiping."""

    __slots__ = ()

    def wipe(self) -> None:
        pass

    def rewind(self, counter: int) -> "Keep":
        self._counter = counter
        return self


def stolen(cipher: CountingCipher) -> Keep:
    copy = Keep(bytes(32))
    copy._aead = cipher._aead
    return copy


def test_old_keys_open_nothing_later_and_later_keys_nothing_earlier() -> None:
    """Thirty epochs: each key, at every counter, against every record of both directions of all other epochs."""
    pair = Pair()
    stream = pair.open()
    epochs: list[tuple[Keep, Keep, list[bytes], list[bytes]]] = []
    for number in range(30):
        if number:
            pair.alice.rekey(pair.now)
            pair.carry()
            pair.advance(3.0)
        keys = stolen(pair.bob._reader.cipher), stolen(pair.alice._reader.cipher)
        start = keys[0].rewind(0), keys[1].rewind(0)
        to_bob, to_alice = [], []
        for _ in range(3):
            pair.alice.write(stream, b"from alice")
            pair.bob.write(stream, b"from bob")
            to_bob.append(pair.carry_to_bob()[2:])
            to_alice.append(pair.carry_to_alice()[2:])
        epochs.append((*start, to_bob, to_alice))
        pair.bob.consume(stream, 30)
        pair.alice.consume(stream, 30)
    opened = 0
    for at, (reads_bob, reads_alice, _, _) in enumerate(epochs):
        for other, (_, _, to_bob, to_alice) in enumerate(epochs):
            for key, records, right in (
                (reads_bob, to_bob, True),
                (reads_alice, to_alice, True),
                (reads_bob, to_alice, False),
            ):
                for record in records:
                    hits = 0
                    for counter in range(8):
                        try:
                            key.rewind(counter).decrypt(b"", record)
                            hits += 1
                        except PeerError:
                            pass
                    assert not hits or (at == other and right)
                    opened += hits
    assert opened == 30 * 6  # and each key does open what was its own


def test_rekeys_under_load_lose_nothing() -> None:
    pair = Pair(alice=ChannelConfig(rekey_records=7), bob=ChannelConfig(rekey_records=5))
    stream = pair.open()
    sent, got = bytearray(), bytearray()
    for step in range(400):
        piece = step.to_bytes(2, "big") * 1000
        sent += piece[: pair.alice.write(stream, piece)]
        pair.carry_to_bob()
        pair.carry_to_alice()
        fresh = data_of(pair.to_bob, stream)
        pair.forget()
        got += fresh
        pair.bob.consume(stream, len(fresh))
        pair.advance(1.0)
    pair.carry()
    got += data_of(pair.to_bob, stream)
    assert got == sent
    assert len(sent) > 400_000
    assert pair.alice.statistics().rekeys > 50
