"""Whoever does not shake hands as he must gets silence or a coded reason; the node and its channels don't notice."""

import os
from contextlib import suppress

import nacl.signing
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from trio.testing import MockClock

from nzcore.base.errors import PeerError
from nzcore.base.instant import Instant
from nzcore.net.doorkeeper import Doorkeeper, DoorSettings
from tests.frozen.peer_v1 import Handshake, Identity, Peer, framed, msgpack, sign1
from tests.net.hostile import besieged, hears, talk

pytestmark = pytest.mark.real


@pytest.fixture
def patient_clock():
    """Jumps over waiting, but only after all sockets have been quiet for a while."""
    return MockClock(autojump_threshold=0.03)


GARBAGE = {
    "random bytes": (os.urandom(5000), "handshake.bad-preface"),
    "one random byte": (b"\xfe", "handshake.bad-preface"),
    "another protocol": (b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n", "handshake.bad-preface"),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + bytes(200), "handshake.bad-preface"),
    "an unknown mode": (b"nzc1\x09" + bytes(11) + bytes(1250), "handshake.bad-preface"),
    "a tid without a ticket": (b"nzc1" + bytes(11) + b"\1" + bytes(1250), "handshake.bad-preface"),
    "an oversize message 1": (b"nzc1" + bytes(12) + b"\xff\xff" + bytes(60_000), "handshake.bad-length"),
    "an undersize message 1": (b"nzc1" + bytes(12) + b"\0\1" + bytes(10), "handshake.bad-length"),
    "a message 1 of zeros": (b"nzc1" + bytes(12) + framed(bytes(1248)), "handshake.silence"),
    "a ticket that was never given": (
        b"nzc1\1" + bytes(3) + b"ticket!!" + framed(bytes(1248)),
        "handshake.unknown-ticket",
    ),
    "pairing where no window is open": (b"nzc1\2" + bytes(11) + framed(bytes(1248)), "handshake.not-offered"),
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_gets_silence(town, what):
    data, code = GARBAGE[what]
    async with besieged(town) as siege, await siege.dial() as stream:
        await stream.send_all(data)
        assert await hears(stream) == b""
        assert await siege.reason("channel.refused") == code


async def test_a_message_for_another_node_gets_silence(town):
    async with besieged(town) as siege, await siege.dial() as stream:
        await stream.send_all(Peer(Identity(), bytes(siege.alice.id)).outgoing())
        assert await hears(stream) == b""
        assert await siege.reason("channel.refused") == "handshake.silence"


@pytest.mark.parametrize("size", [0, 3, 16, 600])
async def test_a_handshake_that_is_cut_short_is_named(town, size):
    async with besieged(town) as siege, await siege.dial() as stream:
        await stream.send_all(Peer(Identity(), bytes(siege.bob.id)).outgoing()[:size])
        await stream.send_eof()
        assert await hears(stream) == b""
        assert await siege.reason("channel.refused") == "net.cut"


@pytest.mark.parametrize("size", [0, 3, 16, 600])
async def test_a_handshake_that_stalls_before_its_first_message_is_given_two_seconds(town, size, patient_clock):
    bob = town.nodes["bob"]
    stream = await trio.open_tcp_stream(*_place(bob))
    async with stream, bob.node.bus.subscribe("channel.refused") as events:
        await stream.send_all(Peer(Identity(), bytes(bob.id)).outgoing()[:size])
        began = trio.current_time()
        assert await hears(stream) == b""
        assert (await events.__anext__()).value.code == "net.too-slow"
        assert 1.9 < trio.current_time() - began < 4


async def test_a_handshake_that_stalls_after_its_first_message_is_given_ten_seconds(town, patient_clock):
    bob = town.nodes["bob"]
    stream = await trio.open_tcp_stream(*_place(bob))
    async with stream, bob.node.bus.subscribe("channel.refused") as events:
        await stream.send_all(Peer(Identity(), bytes(bob.id)).outgoing())
        began = trio.current_time()
        assert len(await hears(stream)) > 1200  # message 2, and nothing more
        assert (await events.__anext__()).value.code == "net.too-slow"
        assert 9.9 < trio.current_time() - began < 12


async def test_a_recorded_handshake_cannot_be_replayed(town):
    async with besieged(town) as siege:
        identity = await siege.befriend()
        peer = Peer(identity, bytes(siege.bob.id))
        first = peer.outgoing()
        async with await siege.dial() as stream:
            await stream.send_all(first)
            while not peer.queue:
                peer.receive(await stream.receive_some(65_536))
            second = peer.outgoing()
            await stream.send_all(second)
            await talk(peer, stream, lambda: peer.is_open)
        assert await siege.reason("channel.closed") == "channel.lost"
        async with await siege.dial() as stream:
            await stream.send_all(first)
            await stream.receive_some(65_536)
            await stream.send_all(second)
            assert await hears(stream) == b""
            assert await siege.reason("channel.refused") == "noise.not-authentic"
        async with await siege.dial() as stream:
            await stream.send_all(first + second)
            assert await hears(stream) == b""
            assert await siege.reason("channel.refused") == "handshake.early"


async def test_a_message_that_is_reflected_is_refused(town):
    async with besieged(town) as siege, await siege.dial() as stream:
        await stream.send_all(Peer(Identity(), bytes(siege.bob.id)).outgoing())
        message = await stream.receive_some(65_536)
        await stream.send_all(message)
        assert await hears(stream) == b""
        assert await siege.reason("channel.refused") == "noise.not-authentic"


class Impostor(Handshake):
    """Shows a certificate that is not about its key."""

    def __init__(self, identity, responder):
        super().__init__(identity, responder)
        self.stolen = Impostor.stolen_certificate

    def payload(self):
        return super().payload() | {"certificate": self.stolen}


class BigTalker(Handshake):
    def payload(self):
        return super().payload() | {"filler": bytes(5000)}


class Babbler(Handshake):
    def payload(self):
        return ["not", "a", "map"]


class Forger(Handshake):
    """Changes one byte of its certificate's signature."""

    def payload(self):
        certificate = self.identity.certificate
        return super().payload() | {"certificate": certificate[:-1] + bytes([certificate[-1] ^ 1])}


class Smooth(Handshake):
    """Its ephemeral key has a small order: the agreement would be known to everybody."""

    def ephemeral_public(self):
        return bytes(32)


class SmoothStatic(Handshake):
    """Its static key has."""

    def third(self):
        message = self.noise.seal(bytes(32))
        self.noise.mix_key(bytes(32))
        return framed(message + self.noise.seal(msgpack.packb(self.payload())))


@pytest.mark.parametrize(
    ("handshake", "code"),
    [
        (Impostor, "handshake.other-key"),
        (BigTalker, "handshake.bad-length"),
        (Babbler, "handshake.bad-payload"),
        (Forger, "crypto.bad-signature"),
        (Smooth, "noise.weak-key"),
        (SmoothStatic, "noise.weak-key"),
    ],
)
async def test_who_proves_nothing_gets_silence(town, handshake, code):
    Impostor.stolen_certificate = town.nodes["alice"].identity.certificate.encoded
    async with besieged(town) as siege, await siege.dial() as stream:
        peer = Peer(Identity(), bytes(siege.bob.id), handshake)
        await talk(peer, stream, lambda: peer.tx is not None)
        assert peer.hello == {}
        assert peer.closed_by is None
        assert await siege.reason("channel.refused") == code


async def test_replaced_keys_are_refused_with_the_reason_inside_the_channel(town):
    async with besieged(town) as siege:
        identity = await siege.befriend()
        older = Identity()
        older.root, older.nonce = identity.root, identity.nonce
        root, signing = older.root.verify_key.encode(), nacl.signing.SigningKey.generate()
        older.static = X25519PrivateKey.generate()
        older.static_public = older.static.public_key().public_bytes_raw()
        value = {0: 1, 1: root, 2: older.nonce, 3: 3_500_000, 4: signing.verify_key.encode(), 5: older.static_public}
        older.certificate = sign1(older.root, "NZ-IDENTITY-01 certificate", value | {6: 0, 8: 1_700_000_000})
        peer = Peer(older, bytes(siege.bob.id))
        async with await siege.dial() as stream:
            await talk(peer, stream, lambda: peer.closed_by is not None)
        assert peer.closed_by == 64
        assert await siege.reason("channel.refused") == "handshake.older-epoch"


async def test_a_stranger_hears_a_code_and_leaves_no_trace(town):
    async with besieged(town) as siege:
        stored = await siege.bob.kv.list("peers")
        for _ in range(5):
            peer = Peer(Identity(), bytes(siege.bob.id))
            async with await siege.dial() as stream:
                await talk(peer, stream, lambda peer=peer: peer.closed_by is not None)
            assert peer.closed_by == 68
            assert await siege.reason("channel.refused") == "handshake.not-admitted"
        assert await siege.bob.kv.list("peers") == stored
        assert len(siege.bob.node.channels.links) == 1


async def test_a_crowd_before_the_door_costs_no_more_than_its_slots(town):
    bob = town.nodes["bob"]
    door = bob.node.channels._door
    inside = []

    async def knock():
        with suppress(OSError, trio.BrokenResourceError):
            async with await trio.open_tcp_stream(*_place(bob)) as stream:
                inside.append(door.half_open)
                await stream.receive_some(1)
                inside.append(door.half_open)

    async with besieged(town), trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(knock)
        with trio.fail_after(5):
            while len(inside) < 60:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert 0 < max(inside) <= DoorSettings().per_network
    with trio.fail_after(5):
        while door.half_open:
            await trio.lowlevel.checkpoint()


def test_slots_of_those_who_proved_themselves_are_kept_for_them():
    door = Doorkeeper(DoorSettings(max_half_open=8, reserved=3, per_network=4))
    door.leave(door.enter("10.0.0.1", Instant(0)), Instant(0), proved=True)
    crowd = [door.enter(f"10.1.0.{number}", Instant(1)) for number in range(5)]
    with pytest.raises(PeerError) as full:
        door.enter("10.2.0.1", Instant(1))
    assert full.value.code == "net.too-many-half-open"
    known = [door.enter("10.0.0.1", Instant(1)) for _ in range(3)]
    with pytest.raises(PeerError):
        door.enter("10.0.0.1", Instant(1))
    for network in (*crowd, *known):
        door.leave(network, Instant(2), proved=False)
    assert door.half_open == 0


def test_one_network_opens_so_many_connections_a_second_and_no_more():
    door = Doorkeeper(DoorSettings(rate_per_s=10, burst=5, per_network=100, max_half_open=200))
    for host in ("2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:3::4", "2001:db8:1:2::9", "2001:db8:1:2::a"):
        door.enter(host, Instant(0))
    with pytest.raises(PeerError) as fast:
        door.enter("2001:db8:1:2::ffff", Instant(0))
    assert fast.value.code == "net.too-fast"
    door.enter("2001:db8:1:3::1", Instant(0))
    door.enter("2001:db8:1:2::ffff", Instant(0.11))


def _place(node):
    host, _, port = node.node.listening()[0].removeprefix("tcp://").partition(":")
    return host, int(port)
