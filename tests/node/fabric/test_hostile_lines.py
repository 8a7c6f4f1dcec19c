"""A peer that opens lines and publications by itself and says what it likes."""

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack
from nzcore.net.stream import Stream, StreamLost
from nzcore.proto.fabric import frames
from nzcore.proto.fabric.frames import encode, encode_publications, framed
from nzcore.proto.fabric.limits import FABRIC, TOPICS
from nzcore.testing.world import World, WorldNode


async def victim_and_peer(world: World) -> tuple[WorldNode, WorldNode]:
    """Bob runs as he should; mallory has no fabric of her own."""
    bob, mallory = await world.add("bob"), await world.add("mallory")
    await mallory.call("service.stop", name="fabric", force=True)
    await world.introduce(bob, mallory)
    await world.until_connected((bob, mallory))
    return bob, mallory


async def opened(mallory: WorldNode, bob: WorldNode, protocol: str = FABRIC) -> Stream:
    return await mallory.node.channels.open_stream(bob.id, protocol)


async def code_of_the_end(stream: Stream) -> str:
    try:
        while await stream.receive_some():
            pass
    except StreamLost as lost:
        return lost.code
    return ""


@pytest.mark.parametrize(
    "data",
    [
        encode(frames.CANCEL, 1),
        framed(b"\xc1"),
        b"\xff\xff\xff\xff",
        encode(frames.SUBSCRIBE) + encode(frames.REPLY, 1, None),
        encode(frames.SUBSCRIBE) + encode(frames.ACK, bytes(16), 1),
        encode(frames.SUBSCRIBE) + encode(frames.DELIVER, bytes(16), 1, 1, "a", 1) * 2,
    ],
    ids=["no greeting", "no MessagePack", "too long", "answer to nothing", "acknowledges nothing", "twice"],
)
async def test_what_breaks_the_protocol_ends_the_line_and_nothing_else(data: bytes, autojump_clock: MockClock) -> None:
    async with World() as world:
        bob, mallory = await victim_and_peer(world)
        stream = await opened(mallory, bob)
        await stream.send_all(data)
        assert await code_of_the_end(stream) == "channel.protocol-error"
        assert bob.is_connected(mallory)
        again = await opened(mallory, bob)
        await again.send_all(encode(frames.SUBSCRIBE))
        assert await again.receive_some() == encode(frames.SUBSCRIBE)


@pytest.mark.parametrize("data", [framed(b"\x90"), framed(b"\x91\x01"), framed(b"\x92\x01\x02"), b"\xff\xff\xff\xff"])
async def test_publications_that_are_none_end_their_stream_only(data: bytes, autojump_clock: MockClock) -> None:
    async with World() as world:
        bob, mallory = await victim_and_peer(world)
        stream = await opened(mallory, bob, TOPICS)
        await stream.send_all(data)
        assert (await code_of_the_end(stream)).startswith("channel.")
        assert bob.is_connected(mallory)


async def test_publications_that_nobody_asked_for_go_nowhere(autojump_clock: MockClock) -> None:
    async with World() as world:
        bob, mallory = await victim_and_peer(world)
        async with bob.node.fabric.subscribe("asked.for") as arriving:
            stream = await opened(mallory, bob, TOPICS)
            await stream.send_all(encode_publications([pack("bus.dropped") + pack(1)] * 1000))
            await stream.send_all(encode_publications([pack("asked.for") + pack(2)]))
            message = await anext(arriving)
        assert (message.body, message.origin) == (2, mallory.id)


async def test_a_newer_line_takes_the_place_of_the_older_one(autojump_clock: MockClock) -> None:
    async with World() as world:
        bob, mallory = await victim_and_peer(world)
        first = await opened(mallory, bob)
        await first.send_all(encode(frames.SUBSCRIBE, "a", False))
        await world.until(lambda: len(bob.node.fabric.lines) == 1)
        second = await opened(mallory, bob)
        await second.send_all(encode(frames.SUBSCRIBE, "b", False))
        with trio.fail_after(5):
            while await first.receive_some():
                pass
        line = bob.node.fabric.lines.get(mallory.id)
        assert line is not None
        assert line.session.wanted == {"b": False}


async def test_who_asks_without_reading_is_given_up_and_costs_bounded_memory(autojump_clock: MockClock) -> None:
    async with World() as world:
        bob, mallory = await victim_and_peer(world)

        async def large(origin: object, body: object) -> object:
            return bytes(1_000_000)

        bob.node.fabric.answer("x.large", large, Scope.MESSAGE)
        stream = await opened(mallory, bob)
        await stream.send_all(encode(frames.SUBSCRIBE))
        await world.until(lambda: len(bob.node.fabric.lines) == 1)
        asked = 0
        with trio.move_on_after(60):
            while True:
                asked += 1
                await stream.send_all(encode(frames.REQUEST, asked, "x.large", 3_600_000, None, None))
                await trio.sleep(0.02)
                line = bob.node.fabric.lines.get(mallory.id)
                if line is None:
                    break
                assert line._unsent_bytes < 10 << 20
                assert len(line.serving) <= 32
        assert asked > 32


async def test_requests_given_up_at_once_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with World() as world:
        bob, mallory = await victim_and_peer(world)

        async def hang(origin: object, body: object) -> object:
            await trio.sleep_forever()

        fabric = bob.node.fabric
        fabric.answer("x.hang", hang, Scope.MESSAGE)
        stream = await opened(mallory, bob)
        await stream.send_all(encode(frames.SUBSCRIBE))
        for number in range(1, 2000):
            await stream.send_all(
                encode(frames.REQUEST, number, "x.hang", 3_600_000, None, None) + encode(frames.CANCEL, number)
            )
        await world.run_for(1)
        line = fabric.lines.get(mallory.id)
        assert line is not None
        assert line.serving == {}
        assert fabric.lines.deadlines._due == {}
