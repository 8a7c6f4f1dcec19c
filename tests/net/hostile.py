"""Hostile peers, built from the frozen peer, and a connected pair of nodes for them to disturb."""

import tracemalloc
from contextlib import asynccontextmanager, suppress

import trio

from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate
from tests.frozen.peer_v1 import Handshake, Identity, Peer

PATIENCE_S = 15


class Siege:
    """Bob under attack, while alice stays connected with him."""

    def __init__(self, world):
        self.alice, self.bob = world.nodes["alice"], world.nodes["bob"]
        self.world = world
        self.place = Address.parse(self.bob.node.listening()[0])
        self.pings = 0
        self.slowest_s = 0.0
        self.events = None

    async def dial(self):
        """A raw connection to bob."""
        return await trio.open_tcp_stream(self.place.host, self.place.port)

    async def befriend(self, identity=None):
        """A node that bob knows and lets in; what it then does is another matter."""
        identity = identity or Identity()
        await self.bob.node.peers.add(Certificate.parse(identity.certificate))
        return identity

    async def enter(self, identity=None, handshake=Handshake):
        """A hostile peer with an open channel, and its connection."""
        peer = Peer(identity or await self.befriend(), bytes(self.bob.id), handshake)
        stream = await self.dial()
        await talk(peer, stream, lambda: peer.is_open)
        return peer, stream

    async def reason(self, topic):
        """The code of the next event on `topic`."""
        with trio.fail_after(PATIENCE_S):
            async for event in self.events:
                if event.topic == topic:
                    return event.value.code
        raise AssertionError("the bus ended")


@asynccontextmanager
async def besieged(world):
    """Alice pings bob all the while: no ping may fail, and there must be some."""
    siege = Siege(world)

    async def ping():
        while True:
            rtt_ms = (await siege.alice.call("peer.ping", peer="bob"))["rtt_ms"]
            siege.pings += 1
            siege.slowest_s = max(siege.slowest_s, rtt_ms / 1000)

    async with (
        siege.bob.node.bus.subscribe("channel.*", capacity=10_000) as siege.events,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ping)
        yield siege
        before = siege.pings
        with trio.fail_after(PATIENCE_S):
            while siege.pings < before + 3:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert siege.slowest_s < 2, "a neighbour was disturbed"
    assert siege.bob.is_connected(siege.alice)
    assert siege.bob.node.state().healthy
    assert "net.trouble" not in {one.topic for one in world.trace}


async def talk(peer, stream, until):
    """Moves bytes until something is so, or the connection ends."""
    with trio.fail_after(PATIENCE_S), suppress(trio.BrokenResourceError):
        while True:
            if data := peer.outgoing():
                await stream.send_all(data)
            if until():
                return
            data = await stream.receive_some(65_536)
            if not data:
                return
            peer.receive(data)


async def hears(stream):
    """Everything that bob says until he closes."""
    heard = b""
    with trio.fail_after(PATIENCE_S), suppress(trio.BrokenResourceError):
        while data := await stream.receive_some(65_536):
            heard += data
    return heard


@asynccontextmanager
async def memory_below(limit):
    """What is allocated at any time inside stays below `limit` bytes."""
    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield
        peak = tracemalloc.get_traced_memory()[1] - base
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes"
