"""Two channel machines and a wire in memory: streams, credit, packing, liveness and ends."""

import pytest

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.instant import Instant
from nzcore.base.reasons import catalogue
from nzcore.codec.frames import pack
from nzcore.proto.channel import frames
from nzcore.proto.channel.codes import UNKNOWN, code_of, wire_of
from nzcore.proto.channel.config import INITIAL_WINDOW, ChannelConfig
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.frames import frame
from nzcore.proto.channel.hello import Hello, decode_hello, encode_hello
from nzcore.proto.channel.streams import Half
from tests.proto.channel.channel_pair import PROTOCOL, RESET, T0, Forger, Pair, data_of, kinds, make


def test_the_first_event_each_way_is_the_others_hello() -> None:
    pair = Pair(greet=False)
    pair.carry()
    assert pair.to_alice == pair.to_bob == [(Event.HELLO, Hello(time=7))]


def test_what_later_versions_say_in_hello_is_ignored() -> None:
    payload = pack({"time": 3, "witness": {"epoch": 1}, "news": [1, 2], "features": ["a"]})
    assert decode_hello(payload) == Hello(time=3, features=("a",))


@pytest.mark.parametrize(
    "value", [{"time": -1}, {"time": 1, "dk": b"x"}, {"time": "1"}, {}, [], {"time": 1, "dk": "x"}]
)
def test_a_malformed_hello_is_refused(value: object) -> None:
    with pytest.raises(PeerError, match="bad-hello"):
        decode_hello(pack(value))


def test_a_hello_larger_than_4096_bytes_is_neither_sent_nor_read() -> None:
    huge = Hello(time=1, features=("f" * 5000,))
    with pytest.raises(UsageError, match="hello-too-large"):
        encode_hello(huge)
    with pytest.raises(PeerError, match="bad-hello"):
        decode_hello(pack({"time": 1, "features": ["f" * 5000]}))


def test_bytes_arrive_whole_however_the_wire_cuts_them() -> None:
    pair = Pair()
    stream = pair.alice.open(PROTOCOL)
    sent = bytes(range(256)) * 30
    assert pair.alice.write(stream, sent) == len(sent)
    wire = b"".join(pair.alice.take())
    events = [event for at in range(len(wire)) for event in pair.bob.receive(wire[at : at + 1], T0)]
    assert data_of(events, stream) == sent
    assert kinds(events)[0] == "OPENED"


def test_small_writes_become_one_frame_in_one_record() -> None:
    pair = Pair()
    stream = pair.open()
    for number in range(100):
        assert pair.alice.write(stream, b"%03d" % number) == 3
    assert len(pair.alice.take()) == 1  # a small record is one buffer
    pair.alice.write(stream, b"a")
    pair.alice.end(stream)
    pair.carry()
    assert kinds(pair.to_bob) == ["DATA", "ENDED"] or pair.alice.closed_by is None


def test_extend_appends_only_to_the_open_frame_of_its_stream() -> None:
    pair = Pair()
    first, second = pair.open(), pair.open()
    assert not pair.alice.extend(first, b"x")
    pair.alice.write(first, b"a")
    assert pair.alice.extend(first, b"b")
    assert not pair.alice.extend(second, b"c")
    pair.alice.write(second, b"d")
    assert not pair.alice.extend(first, b"e")
    pair.alice.write(first, b"f")
    pair.carry()
    assert (data_of(pair.to_bob, first), data_of(pair.to_bob, second)) == (b"abf", b"d")


def test_extend_respects_credit() -> None:
    pair = Pair()
    stream = pair.open()
    assert pair.alice.write(stream, bytes(INITIAL_WINDOW - 1)) == INITIAL_WINDOW - 1
    assert not pair.alice.extend(stream, b"xx")
    assert pair.alice.extend(stream, b"x")
    assert pair.alice.window(stream) == 0
    pair.carry()
    assert len(data_of(pair.to_bob, stream)) == INITIAL_WINDOW
    assert pair.bob.closed_by is None


@pytest.mark.parametrize("how", ["reset", "their reset", "end", "close", "drop"])
def test_nothing_extends_a_frame_of_a_stream_that_is_over(how: str) -> None:
    pair = Pair()
    stream = pair.open()
    pair.bob.reset(stream, "channel.cancelled")
    theirs = b"".join(pair.bob.take())
    pair.alice.write(stream, b"a")
    if how == "reset":
        pair.alice.reset(stream, "channel.cancelled")
    elif how == "their reset":
        pair.alice.receive(theirs, T0)
    elif how == "end":
        pair.alice.end(stream)
    elif how == "close":
        pair.alice.close()
    else:
        pair.alice.drop()
    assert not pair.alice.extend(stream, b"b")


def test_data_is_cut_into_frames_of_32_kib_at_most() -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice._records[stream].credit = 1 << 20
    pair.bob._records[stream].receivable = 1 << 20
    assert pair.alice.write(stream, bytes(100_000)) == 100_000
    pair.carry()
    sizes = [len(event[2]) for event in pair.to_bob]
    assert sum(sizes) == 100_000
    assert max(sizes) == 32_768


def test_a_writer_gets_no_further_than_its_credit_until_the_reader_has_read() -> None:
    pair = Pair()
    stream = pair.open()
    assert pair.alice.write(stream, bytes(20_000)) == INITIAL_WINDOW
    assert pair.alice.write(stream, b"x") == 0
    pair.carry()
    pair.bob.consume(stream, INITIAL_WINDOW // 2 - 1)
    assert not pair.bob.has_outgoing  # not worth a frame yet
    pair.bob.consume(stream, 1)
    pair.carry()
    assert pair.to_alice == [(Event.CREDITED, stream)]
    assert pair.alice.window(stream) == INITIAL_WINDOW // 2 + INITIAL_WINDOW  # given back, and the window doubled


def test_windows_grow_from_the_budget_and_give_it_back() -> None:
    pair = Pair()
    left = pair.bob._streams.budget.left
    streams = [pair.open() for _ in range(8)]
    for _ in range(200):
        for stream in streams:
            size = pair.alice.write(stream, bytes(1 << 20))
            pair.carry()
            pair.bob.consume(stream, size)
    pair.carry()
    config = pair.bob.config
    windows = [pair.bob._records[stream].window for stream in streams]
    assert max(windows) <= config.max_window
    assert sum(windows) - 8 * INITIAL_WINDOW == left - pair.bob._streams.budget.left
    assert pair.bob._streams.budget.left == 0  # eight readers that keep up take all there is
    for stream in streams:
        pair.bob.reset(stream, "channel.cancelled")
        pair.bob.release(stream)
    assert pair.bob._streams.budget.left == left
    assert pair.bob.statistics().streams == 0


def test_a_stream_that_ended_gets_no_credit() -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice.write(stream, bytes(INITIAL_WINDOW))
    pair.alice.end(stream)
    pair.carry()
    pair.bob.consume(stream, INITIAL_WINDOW)
    assert not pair.bob.has_outgoing


def test_a_stream_counts_as_live_until_the_application_has_released_it() -> None:
    pair = Pair(bob=ChannelConfig(max_streams=1))
    first = pair.open()
    pair.alice.end(first)
    pair.carry()
    pair.bob.end(first)
    pair.alice.release(first)
    pair.carry()
    pair.forget()
    second = pair.alice.open(PROTOCOL)
    pair.carry()
    assert pair.to_alice == [(Event.RESET, second, "channel.too-many-streams")]
    pair.bob.release(first)
    third = pair.alice.open(PROTOCOL)
    pair.carry()
    assert pair.to_bob == [(Event.OPENED, third, PROTOCOL)]


def test_frames_of_a_forgotten_stream_were_on_their_way() -> None:
    pair = Pair()
    stream = pair.open()
    pair.bob.reset(stream, "channel.cancelled")
    pair.bob.release(stream)
    pair.alice.write(stream, b"late")
    pair.alice.end(stream)
    pair.carry_to_bob()
    assert pair.to_bob == []
    assert pair.bob.closed_by is None
    pair.carry()
    assert pair.to_alice == [(Event.RESET, stream, "channel.cancelled")]


def test_resets_that_cross_end_the_stream_once_on_both_sides() -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice.reset(stream, "channel.cancelled")
    pair.bob.reset(stream, "channel.handler-failed")
    pair.carry()
    assert (pair.to_alice, pair.to_bob) == ([], [])
    for side in (pair.alice, pair.bob):
        side.release(stream)
        assert side.statistics().streams == 0
        assert side.closed_by is None


def test_a_reset_after_both_ends_crossed_is_harmless() -> None:
    pair = Pair()
    stream = pair.open()
    pair.bob.end(stream)
    pair.alice.end(stream)
    to_alice = b"".join(pair.bob.take())
    assert pair.alice._records[stream].local is Half.ENDED
    pair.alice.receive(to_alice, T0)
    pair.bob.reset(stream, "channel.cancelled")  # before our END arrived
    pair.carry()
    assert pair.alice.closed_by is pair.bob.closed_by is None


def test_data_after_our_own_reset_is_dropped_but_held_to_the_credit() -> None:
    forger = Forger()
    forger.send(frame(frames.OPEN, 1, b"/a"))
    forger.bob.reset(1, "channel.cancelled")
    assert forger.send(frame(frames.DATA, 1, bytes(INITIAL_WINDOW))) == []
    assert forger.send(frame(frames.DATA, 1, b"x"))[-1][1] == "channel.over-credit"


def test_the_sender_of_a_reset_may_not_go_on() -> None:
    forger = Forger()
    forger.send(frame(frames.OPEN, 1, b"/a"), frame(frames.END, 1), frame(frames.RESET, 1, RESET))
    assert kinds(forger.events) == ["OPENED", "ENDED", "RESET"]
    assert forger.send(frame(frames.END, 1))[-1][1] == "channel.out-of-turn"


def test_writing_ends_with_the_stream() -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice.end(stream)
    for call in (lambda: pair.alice.write(stream, b"x"), lambda: pair.alice.end(stream)):
        with pytest.raises(UsageError, match="stream-closed"):
            call()
    pair.alice.reset(stream, "channel.cancelled")
    pair.alice.reset(stream, "channel.cancelled")
    pair.carry()
    with pytest.raises(UsageError, match="stream-closed"):
        pair.bob.write(stream, b"x")


def test_no_more_streams_are_opened_than_may_be() -> None:
    pair = Pair(alice=ChannelConfig(max_streams=2))
    for _ in range(2):
        pair.open()
    with pytest.raises(UsageError, match="too-many-streams"):
        pair.alice.open(PROTOCOL)


def test_numbers_are_used_up_one_day() -> None:
    pair = Pair()
    pair.alice._streams._next_local = (1 << 32) - 1
    assert pair.alice.open(PROTOCOL) == (1 << 32) - 1
    with pytest.raises(UsageError, match="used-up"):
        pair.alice.open(PROTOCOL)


@pytest.mark.parametrize("name", ["", "/", "nz", "/UP", "/é", "/" + "a" * 64, "/a b"])
def test_what_is_no_protocol_is_not_opened(name: str) -> None:
    pair = Pair()
    with pytest.raises(PeerError, match="bad-protocol"):
        pair.alice.open(name)
    assert pair.alice.statistics().streams == 0


def test_a_ping_is_answered_with_the_time_it_took() -> None:
    pair = Pair()
    nonce = pair.alice.ping(pair.now)
    pair.carry_to_bob()
    pair.advance(0.25)
    pair.carry()
    assert pair.to_alice == [(Event.PONG, nonce, 0.25)]
    assert pair.alice.statistics().rtt_s == 0.25


def test_one_pong_is_owed_at_most_and_answers_all_before() -> None:
    pair = Pair()
    nonces = [pair.alice.ping(pair.now) for _ in range(5)]
    pair.carry()
    assert pair.to_alice == [(Event.PONG, nonces[-1], 0.0)]
    assert pair.alice.tick(Instant(21.0)) == []
    assert pair.alice.has_outgoing  # none is outstanding: the keepalive asks anew


def test_pings_beyond_sixteen_share_the_last_ones_answer() -> None:
    pair = Pair()
    nonces = [pair.alice.ping(pair.now) for _ in range(40)]
    assert nonces[15:] == [16] * 25
    pair.carry()
    assert pair.to_alice == [(Event.PONG, 16, 0.0)]


def test_a_pong_that_nobody_asked_for_is_ignored() -> None:
    forger = Forger()
    assert forger.send(frame(frames.PONG, 0, bytes(8))) == []
    assert forger.bob.statistics().rtt_s is None


def test_silence_is_asked_and_then_taken_for_death() -> None:
    pair = Pair()
    config = pair.alice.config
    assert pair.alice.next_deadline() == config.keepalive_s
    assert pair.alice.tick(Instant(config.keepalive_s - 0.1)) == []
    assert not pair.alice.has_outgoing
    assert pair.alice.tick(Instant(config.keepalive_s)) == []
    assert pair.alice.take()
    assert pair.alice.next_deadline() == config.dead_s
    assert pair.alice.tick(Instant(config.dead_s)) == [(Event.CLOSED, "channel.dead", False, b"")]
    assert pair.alice.tick(Instant(config.dead_s)) == []


def test_an_answered_keepalive_keeps_the_channel() -> None:
    pair = Pair()
    for _ in range(20):
        pair.advance(pair.alice.config.keepalive_s)
        for side in (pair.alice, pair.bob):
            assert side.tick(pair.now) == []
        pair.carry()
    assert pair.alice.closed_by is pair.bob.closed_by is None


@pytest.mark.parametrize("detail", [b"", b"certificate", bytes(600)])
def test_close_says_why_after_all_that_was_written(detail: bytes) -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice.write(stream, b"last words")
    pair.alice.ping(pair.now)
    other = pair.alice.open(PROTOCOL)
    pair.alice.reset(other, "channel.cancelled")
    pair.alice.close("channel.going-away", detail)
    pair.carry()
    assert kinds(pair.to_bob) == ["DATA", "OPENED", "RESET", "CLOSED"]
    assert pair.to_bob[-1] == (Event.CLOSED, "channel.going-away", True, detail)
    assert not pair.bob.has_outgoing
    assert pair.bob.take() == pair.alice.take() == []


def test_a_detail_is_bounded() -> None:
    pair = Pair()
    with pytest.raises(UsageError, match="detail-too-long"):
        pair.alice.close("channel.closed", bytes(601))
    assert pair.alice.closed_by is None


def test_nothing_is_read_after_close() -> None:
    forger = Forger()
    events = forger.send(frame(frames.CLOSE, 0, RESET), frame(frames.OPEN, 1, b"/a"), b"garbage")
    assert kinds(events) == ["CLOSED"]
    assert forger.send(frame(frames.OPEN, 1, b"/a")) == []


def test_calls_on_a_closed_channel_are_the_callers_fault() -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice.close()
    for call in (
        lambda: pair.alice.open(PROTOCOL),
        lambda: pair.alice.write(stream, b"x"),
        lambda: pair.alice.end(stream),
        lambda: pair.alice.ping(T0),
        lambda: pair.alice.rekey(T0),
    ):
        with pytest.raises(UsageError, match=r"channel\.closed"):
            call()
    pair.alice.reset(stream, "channel.cancelled")
    pair.alice.consume(stream, 1)
    pair.alice.release(stream)
    pair.alice.close()


def test_after_a_record_that_does_not_open_nothing_is_sent_not_even_what_waited() -> None:
    pair = Pair()
    stream = pair.bob.open(PROTOCOL)
    pair.bob.write(stream, b"secret")
    pair.bob.ping(T0)
    assert pair.bob.receive(b"\x00\x20" + bytes(32), T0) == [(Event.CLOSED, "crypto.not-authentic", False, b"")]
    assert not pair.bob.has_outgoing
    assert pair.bob.take() == []


def test_a_refusal_is_told_with_its_number() -> None:
    forger = Forger()
    forger.send(frame(frames.DATA, 9, b"x"))
    alice = make(initiator=True)
    events = alice.receive(b"".join(forger.bob.take()), T0)
    assert events[-1] == (Event.CLOSED, "channel.protocol-error", True, b"")


def test_the_end_wipes_every_key() -> None:
    pair = Pair()
    pair.alice.rekey(T0)
    pair.carry_to_bob()  # Bob waits for DONE and holds keys of both epochs
    pending = pair.bob._rekey._pending
    assert pending is not None
    pair.bob.close()
    pair.bob.take()
    for cipher in (pair.bob._reader.cipher, pair.bob._writer.cipher, pending.receive):
        with pytest.raises(UsageError, match="wiped"):
            cipher.encrypt(b"", b"")
    assert pair.bob._rekey._exporter == b""
    assert pair.bob._rekey._pending is pair.bob._rekey._handshake is None


def test_a_channel_whose_wire_is_gone_forgets_everything() -> None:
    pair = Pair()
    stream = pair.open()
    pair.alice.write(stream, b"x")
    pair.alice.drop()
    assert pair.alice.closed_by == "channel.lost"
    assert pair.alice.take() == []
    assert pair.alice.statistics().streams == 0
    assert pair.alice.receive(b"anything", T0) == []


def test_numbers_of_reasons_are_distinct_and_survive_the_wire() -> None:
    wires = [entry.wire for entry in catalogue().values() if entry.wire]
    assert len(wires) == len(set(wires))
    for code, entry in catalogue().items():
        if entry.wire:
            assert code_of(wire_of(code)) == code
    assert wire_of("channel.bad-frame") == wire_of("channel.protocol-error")
    assert code_of(65_535) == UNKNOWN


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": 1 << 20},
        {"data_bytes": 0},
        {"data_bytes": 65_513},
        {"rekey_records": 1 << 32},
        {"rekey_records": 0},
        {"rekey_s": 0.0},
        {"keepalive_s": 60.0},
        {"max_window": 1},
        {"queue_bytes": 0},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        ChannelConfig(**wrong)


@pytest.mark.parametrize("size", [1, 100, INITIAL_WINDOW // 2])
def test_a_single_record_is_what_write_and_take_would_have_given(size: int) -> None:
    short, long = Pair(), Pair()
    stream, same = short.alice.open(PROTOCOL), long.alice.open(PROTOCOL)
    short.carry()
    long.carry()
    for _ in range(2):
        record = short.alice.single(stream, bytes(size))
        assert long.alice.write(same, bytes(size)) == size
        assert record == b"".join(long.alice.take())
        assert short.alice.window(stream) == long.alice.window(same)
        assert short.alice.statistics() == long.alice.statistics()


def test_no_single_record_overtakes_what_waits() -> None:
    pair = Pair()
    stream, other = pair.alice.open(PROTOCOL), pair.alice.open(PROTOCOL)
    assert pair.alice.single(stream, b"before its own OPEN") is None
    pair.carry()
    pair.alice.write(other, b"waits")
    assert pair.alice.single(stream, b"after it") is None
    pair.carry()
    pair.bob.ping(pair.now)
    pair.carry_to_alice()
    assert pair.alice.single(stream, b"after the pong") is None


def test_no_single_record_goes_past_credit_the_end_or_the_close() -> None:
    pair = Pair()
    stream = pair.alice.open(PROTOCOL)
    pair.carry()
    assert pair.alice.single(stream, b"") is None
    assert pair.alice.single(stream, bytes(INITIAL_WINDOW + 1)) is None
    assert pair.alice.single(stream + 2, b"nobody's") is None
    pair.alice.end(stream)
    pair.carry()
    assert pair.alice.single(stream, b"after the end") is None
    pair.alice.close()
    assert pair.alice.single(stream, b"after the close") is None
