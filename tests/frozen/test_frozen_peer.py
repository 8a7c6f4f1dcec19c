"""The peer of the first version, which shares no code with nzcore, talks to the nzcore of today over TCP."""

import hashlib
from pathlib import Path

import pytest
import trio

from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.node.config import Channels, Config
from nzcore.proto.handshake.payload import Introduction
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate
from nzcore.testing.loopback import LoopbackWorld
from tests.echo import echo
from tests.frozen import peer_v1
from tests.frozen.peer_v1 import PING, Identity, Peer, frame

pytestmark = pytest.mark.real

AS_IT_WAS = "c8afb059b52bcb4e81dc5bd356268e21dead7e9d3f8e100b766b9c18c726dcef"


async def talk(peer, stream, until):
    """Moves bytes until something is so."""
    with trio.fail_after(10):
        while True:
            if data := peer.outgoing():
                await stream.send_all(data)
            if until():
                return
            data = await stream.receive_some(65_536)
            assert data, "the node closed the connection"
            peer.receive(data)


async def dialled(world, bob, identity):
    place = Address.parse(bob.node.listening()[0])
    peer = Peer(identity, bytes(bob.id))
    stream = await trio.open_tcp_stream(place.host, place.port)
    return peer, stream


@pytest.fixture
async def bob():
    async with LoopbackWorld(1) as world:
        bob = await world.add("bob", config=Config(channels=Channels(rekey_bytes=1 << 17)))
        bob.node.channels.serve("/test/echo/1", echo, Scope.MESSAGE)
        yield bob


async def befriended(bob):
    identity = Identity()
    certificate = Certificate.parse(identity.certificate)
    assert certificate.node == NodeId(identity.node)
    await bob.node.peers.add(certificate)
    return identity


async def test_it_connects_echoes_and_renews_keys_as_it_is_asked(bob):
    peer, stream = await dialled(bob, bob, await befriended(bob))
    data = bytes(range(256)) * 2048  # 512 KiB, so that the node asks for new keys
    async with stream:
        await talk(peer, stream, lambda: peer.is_open)
        number, sent = peer.open("/test/echo/1"), 0
        while sent < len(data):
            sent += (step := peer.write(number, data[sent:]))
            await talk(peer, stream, lambda step=step, number=number: step or peer.credit[number])
        peer.end(number)
        await talk(peer, stream, lambda: number in peer.ended)
        assert peer.heard[number] == data
        assert peer.renewals >= 2
        peer.send(frame(PING, 0, b"12345678"))
        await talk(peer, stream, lambda: peer.pongs == [b"12345678"])


async def test_it_survives_what_a_later_version_says_beside_what_it_knows(bob):
    manager = bob.node.channels
    later = Introduction("99.1.0", ("something-new", "and-more"))
    manager._local = manager._local._replace(introduction=later)
    peer, stream = await dialled(bob, bob, await befriended(bob))
    async with stream:
        await talk(peer, stream, lambda: peer.is_open)
        assert peer.handshake.said["version"] == "99.1.0"
        peer.send(frame(0, 0, bytes(100)), frame(PING, 0, b"abcdefgh"))
        await talk(peer, stream, lambda: peer.pongs == [b"abcdefgh"])


async def test_the_node_shows_it_as_any_other_peer(bob):
    identity = await befriended(bob)
    peer, stream = await dialled(bob, bob, identity)
    async with stream:
        await talk(peer, stream, lambda: peer.is_open)
        (shown,) = await bob.call("peer.list")
        assert (shown["name"], shown["connected"]) == ("frozen", True)
        assert shown["node"] == NodeId(identity.node).text


async def test_an_unknown_one_is_told_so_and_a_protocol_that_is_not_served_is_refused(bob):
    peer, stream = await dialled(bob, bob, Identity())
    async with stream:
        await talk(peer, stream, lambda: peer.closed_by is not None)
        assert peer.closed_by == 68
    peer, stream = await dialled(bob, bob, await befriended(bob))
    async with stream:
        await talk(peer, stream, lambda: peer.is_open)
        number = peer.open("/test/unheard-of/1")
        await talk(peer, stream, lambda: number in peer.reset)
        assert peer.reset[number] == 34


def test_the_frozen_peer_is_as_it_was():
    digest = hashlib.sha256(Path(peer_v1.__file__).read_bytes()).hexdigest()
    assert digest == AS_IT_WAS, "a later version must talk to the frozen peer as it is; write another peer beside it"
