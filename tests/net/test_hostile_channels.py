"""A peer that was let in and turns hostile ends its own channel with a reason, or harms only its own streams."""

import os
import struct
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.scopes import Scope
from nzcore.net.stream import StreamLost
from tests.frozen.peer_v1 import (
    CLOSE,
    CREDIT,
    DATA,
    HELLO,
    M1,
    OPEN,
    PING,
    REKEY,
    RESET,
    Peer,
    frame,
    framed,
)
from tests.net.hostile import Siege, besieged, hears, memory_below, talk

pytestmark = pytest.mark.real

BUDGET = 4 << 20
"""What a channel may hold unread (spec/channel.md), and as much again for everything around it."""


@pytest.fixture
def patient_clock():
    """Jumps over waiting, but only after all sockets have been quiet for a while."""
    return MockClock(autojump_threshold=0.02)


BREACHES = {
    "an unknown frame": (frame(77), "channel.bad-frame"),
    "half a header": (b"\x03\0\0", "channel.bad-frame"),
    "a frame longer than its record": (struct.pack(">BIH", DATA, 1, 500) + b"short", "channel.bad-frame"),
    "empty data": (frame(OPEN, 1, b"/test/echo/1") + frame(DATA, 1), "channel.bad-frame"),
    "a second greeting": (frame(HELLO, 0, b"\x81\xa4time\x01"), "channel.bad-frame"),
    "data for a stream that never was": (frame(DATA, 5, b"x"), "channel.bad-stream"),
    "a stream of the other side's": (frame(OPEN, 2, b"/test/echo/1"), "channel.bad-stream"),
    "a stream out of order": (frame(OPEN, 3, b"/test/echo/1"), "channel.bad-stream"),
    "an impossible protocol name": (frame(OPEN, 1, b"../etc/passwd"), "channel.bad-protocol"),
    "more data than credit": (frame(OPEN, 1, b"/test/hold/1") + frame(DATA, 1, bytes(8193)), "channel.over-credit"),
    "more credit than can be": (
        frame(OPEN, 1, b"/test/hold/1") + frame(CREDIT, 1, b"\x7f\xff\xff\xff") * 2,
        "channel.over-credit",
    ),
    "credit of nothing": (frame(OPEN, 1, b"/test/hold/1") + frame(CREDIT, 1, bytes(4)), "channel.bad-frame"),
    "data after a reset": (
        frame(OPEN, 1, b"/test/hold/1") + frame(RESET, 1, b"\0\x20") + frame(DATA, 1, b"x"),
        "channel.out-of-turn",
    ),
    "a rekey out of turn": (frame(REKEY, 0, b"\3"), "channel.out-of-turn"),
    "a rekey that proves nothing": (frame(REKEY, 0, bytes([M1]) + os.urandom(1248)), "noise.not-authentic"),
    "a ping of another size": (frame(PING, 0, b"short"), "channel.bad-frame"),
}


async def hold(stream):
    await trio.sleep_forever()


@pytest.mark.parametrize("what", BREACHES)
async def test_a_breach_of_the_rules_ends_the_channel_with_its_reason(town, what):
    breach, code = BREACHES[what]
    async with besieged(town) as siege:
        siege.bob.node.channels.serve("/test/hold/1", hold, Scope.MESSAGE)
        peer, stream = await siege.enter()
        async with stream:
            peer.send(breach)
            await talk(peer, stream, lambda: peer.closed_by is not None)
        assert peer.closed_by == 2, "it is told that it broke the protocol, not how it was found out"
        assert await siege.reason("channel.closed") == code


async def test_a_channel_that_does_not_begin_with_a_greeting_is_closed(town):
    async with besieged(town) as siege:
        peer = Peer(await siege.befriend(), bytes(siege.bob.id))
        greet, peer.send = peer.send, lambda *frames: greet(frame(PING, 0, b"rudeness"))
        async with await siege.dial() as stream:
            await talk(peer, stream, lambda: peer.closed_by is not None)
        assert await siege.reason("channel.refused") == "channel.bad-hello"


@pytest.mark.parametrize(
    "garbage", [os.urandom(4096), framed(bytes(100)), framed(b"\0" * 16), b"\xff\xff" + bytes(65_535)]
)
async def test_garbage_after_the_handshake_is_met_with_silence(town, garbage):
    async with besieged(town) as siege:
        _, stream = await siege.enter()
        async with stream:
            await stream.send_all(garbage)
            await stream.send_eof()
            assert await hears(stream) == b""
        assert await siege.reason("channel.closed") in ("crypto.not-authentic", "channel.bad-record", "channel.lost")


async def test_a_record_that_is_sent_twice_is_no_record(town):
    async with besieged(town) as siege:
        peer, stream = await siege.enter()
        async with stream:
            peer.send(frame(PING, 0, b"12345678"))
            record = peer.outgoing()
            await stream.send_all(record)
            await talk(peer, stream, lambda: peer.pongs)
            await stream.send_all(record)
            assert await hears(stream) == b""
        assert peer.pongs == [b"12345678"]
        assert await siege.reason("channel.closed") == "crypto.not-authentic"


async def test_a_cut_connection_loses_its_streams_and_is_never_a_clean_end(town):
    lost = []

    async def read(stream):
        try:
            while await stream.receive_some():
                pass
        except StreamLost as error:
            lost.append(error.code)
            raise

    async with besieged(town) as siege:
        siege.bob.node.channels.serve("/test/read/1", read, Scope.MESSAGE)
        peer, stream = await siege.enter()
        number = peer.open("/test/read/1")
        peer.write(number, b"half a sen")
        await stream.send_all(peer.outgoing())
        await stream.aclose()
        assert await siege.reason("channel.closed") == "channel.lost"
        await trio.lowlevel.checkpoint()
    assert lost == ["channel.lost"]


async def test_a_flood_of_streams_is_refused_beyond_the_limit_and_bounded_in_memory(town):
    async with besieged(town) as siege, memory_below(2 * BUDGET):
        siege.bob.node.channels.serve("/test/hold/1", hold, Scope.MESSAGE)
        peer, stream = await siege.enter()
        async with stream:
            for _ in range(20):
                for _ in range(40):
                    peer.open("/test/hold/1")
                await talk(peer, stream, lambda: True)
            await talk(peer, stream, lambda: len(peer.reset) == 800 - 128)
            assert set(peer.reset.values()) == {33}
            (link,) = [one for one in siege.bob.node.channels.links if one.link.peer == peer.identity.node]
            assert len(link.link.streams()) == 128
        assert await siege.reason("channel.closed") == "channel.lost"


async def test_a_flood_of_streams_from_one_who_never_reads_is_bounded_in_memory(town):
    async with besieged(town) as siege, memory_below(2 * BUDGET):
        peer, stream = await siege.enter()
        async with stream:
            with suppress(trio.BrokenResourceError):
                for _ in range(100):
                    for _ in range(200):
                        peer.open("/test/unheard-of/1")
                    await stream.send_all(peer.outgoing())
            held = [s.protocol for one in siege.bob.node.channels.links for s in one.link.streams()]
            assert "/test/unheard-of/1" not in held
        assert await siege.reason("channel.closed") in ("channel.control-flood", "channel.lost")


async def test_streams_that_are_opened_and_reset_at_once_leave_nothing(town):
    async with besieged(town) as siege, memory_below(2 * BUDGET):
        siege.bob.node.channels.serve("/test/hold/1", hold, Scope.MESSAGE)
        peer, stream = await siege.enter()
        async with stream:
            for _ in range(100):
                for _ in range(50):
                    number = peer.open("/test/hold/1")
                    peer.send(frame(RESET, number, b"\0\x20"))
                await talk(peer, stream, lambda: True)
            peer.send(frame(PING, 0, b"finished"))
            await talk(peer, stream, lambda: b"finished" in peer.pongs)
            (link,) = [one for one in siege.bob.node.channels.links if one.link.peer == peer.identity.node]
            assert len(link.link.streams()) <= 128
        await siege.reason("channel.closed")


async def test_a_reader_that_never_reads_costs_its_own_queue_and_dies_of_silence(town, patient_clock):
    sent = []

    async def pour(stream):
        while True:
            await stream.send_all(bytes(100_000))
            sent.append(100_000)

    bob = town.nodes["bob"]
    bob.node.channels.serve("/test/pour/1", pour, Scope.MESSAGE)
    async with besieged(town) as siege:
        peer, stream = await siege.enter()
        async with stream, memory_below(2 * BUDGET):
            number = peer.open("/test/pour/1")
            peer.send(frame(CREDIT, number, struct.pack(">I", (1 << 31) - 9000)))
            await stream.send_all(peer.outgoing())
            (link,) = [one for one in bob.node.channels.links if one.link.peer == peer.identity.node]
            for _ in range(200):
                await trio.lowlevel.checkpoint()
            assert sum(sent) < 32 << 20, "the system's buffers, and no more"
            assert len(link.link.streams()) == 1


async def test_a_peer_that_falls_silent_in_the_middle_of_a_record_is_given_up(town, patient_clock):
    siege = Siege(town)
    async with siege.bob.node.bus.subscribe("channel.closed") as siege.events:
        peer, stream = await siege.enter()
        async with stream:
            peer.send(frame(PING, 0, b"12345678"))
            await stream.send_all(peer.outgoing()[:-5])
            began = trio.current_time()
            event = await siege.events.__anext__()
            assert (event.value.peer, event.value.code) == (peer.identity.node, "channel.dead")
            assert 59 < trio.current_time() - began < 63
    assert siege.bob.is_connected(siege.alice)


async def test_a_writer_that_never_writes_stops_nobody_else(town):
    async with besieged(town) as siege:
        siege.bob.node.channels.serve("/test/hold/1", hold, Scope.MESSAGE)
        peer, stream = await siege.enter()
        async with stream:
            for _ in range(100):
                peer.open("/test/hold/1")
            number = peer.open("/test/echo/1")
            peer.write(number, b"and yet")
            await talk(peer, stream, lambda: peer.heard[number] == b"and yet")
        await siege.reason("channel.closed")


async def test_pings_without_end_are_answered_one_at_a_time(town):
    async with besieged(town) as siege, memory_below(2 * BUDGET):
        peer, stream = await siege.enter()
        async with stream:
            with suppress(trio.BrokenResourceError), trio.move_on_after(5):
                for _ in range(50):
                    peer.send(*(frame(PING, 0, struct.pack(">Q", number)) for number in range(2000)))
                    await stream.send_all(peer.outgoing())
            await talk(peer, stream, lambda: peer.closed_by is not None or struct.pack(">Q", 1999) in peer.pongs)
            assert len(peer.pongs) < 10_000


async def test_rekeys_without_end_are_a_flood(town):
    async with besieged(town) as siege:
        peer, stream = await siege.enter()
        async with stream:
            for _ in range(70):
                done = peer.renewals
                peer.renew()
                await talk(peer, stream, lambda done=done: peer.renewals > done or peer.closed_by is not None)
        assert 30 < peer.renewals <= 66
        assert await siege.reason("channel.closed") == "channel.control-flood"


async def test_a_handler_that_raises_harms_its_stream_only(town):
    async def broken(stream):
        raise RuntimeError("planted")

    async with besieged(town) as siege:
        siege.bob.node.channels.serve("/test/broken/1", broken, Scope.MESSAGE)
        peer, stream = await siege.enter()
        async with stream:
            number = peer.open("/test/broken/1")
            await talk(peer, stream, lambda: number in peer.reset)
            assert peer.reset[number] == 35
            number = peer.open("/test/echo/1")
            peer.write(number, b"still here")
            await talk(peer, stream, lambda: peer.heard[number] == b"still here")


async def test_a_close_in_good_order_is_one(town):
    async with besieged(town) as siege:
        peer, stream = await siege.enter()
        async with stream:
            peer.send(frame(CLOSE, 0, b"\0\1"))
            await stream.send_all(peer.outgoing())
            assert await hears(stream) == b""
        assert await siege.reason("channel.closed") == "channel.closed"
