"""Whoever sits between two nodes sees addresses, times and sizes: no word of what they say, nor who they are."""

import pytest
import trio

from nzcore.base.scopes import Scope
from nzcore.proto.identity.address import Address
from nzcore.testing.loopback import LoopbackWorld

pytestmark = pytest.mark.real
PLANTED = b"the quick brown fox jumps over the lazy dog, " * 50


class Proxy:
    """Passes bytes on between whoever dials it and one address, and keeps them all."""

    def __init__(self, target):
        self.target = target
        self.seen = {"there": bytearray(), "back": bytearray()}
        self.garble_at = None

    async def run(self, task_status):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, self.pass_on, 0)
            task_status.started(listeners[0].socket.getsockname()[1])

    async def pass_on(self, near):
        far = await trio.open_tcp_stream(self.target.host, self.target.port)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self.copy, near, far, "there", nursery.cancel_scope)
            nursery.start_soon(self.copy, far, near, "back", nursery.cancel_scope)

    async def copy(self, source, sink, way, scope):
        try:
            async for data in source:
                self.seen[way] += data
                at = None if self.garble_at is None else self.garble_at.pop(way, None)
                await sink.send_all(data if at is None else data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


@pytest.fixture
async def between():
    """Alice, bob, and the proxy through which alice dials bob."""
    async with LoopbackWorld(1) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice-of-the-hill"), await world.add("bob-by-the-river")
        proxy = Proxy(Address.parse(bob.node.listening()[0]))
        port = await nursery.start(proxy.run)
        await bob.node.peers.add(alice.identity.certificate)
        await alice.node.peers.add(bob.identity.certificate, [Address("127.0.0.1", port)])
        yield alice, bob, proxy
        nursery.cancel_scope.cancel()


async def echo(stream):
    while chunk := await stream.receive_some():
        await stream.send_all(chunk)
    await stream.send_eof()


async def gather(stream, heard):
    while chunk := await stream.receive_some():
        heard += chunk


async def talk(alice, bob):
    async with await alice.node.channels.open_stream(bob.id, "/test/secret-name/1") as stream:
        await stream.send_all(PLANTED)
        await stream.send_eof()
        heard = b""
        while chunk := await stream.receive_some():
            heard += chunk
    return heard


async def test_it_sees_neither_words_nor_names_nor_keys(between):
    alice, bob, proxy = between
    bob.node.channels.serve("/test/secret-name/1", echo, Scope.MESSAGE)
    assert await talk(alice, bob) == PLANTED
    await alice.call("channel.rekey", peer=bob.name)
    assert await talk(alice, bob) == PLANTED
    seen = bytes(proxy.seen["there"] + b"|" + proxy.seen["back"])
    assert len(seen) > 4 * len(PLANTED)
    hidden = [PLANTED[:8], b"fox", b"/test/", b"secret-name"]
    for node in (alice, bob):
        certificate = node.identity.certificate
        hidden += [node.name.encode(), bytes(node.id), node.id.text.encode(), bytes(certificate.root)]
        hidden += [bytes(certificate.sign_key), bytes(certificate.dh_key), certificate.encoded[:16]]
    for words in hidden:
        assert words not in seen
    assert seen.startswith(b"nzc1"), "the preface is all that is in clear"


async def test_the_same_words_look_different_each_time(between):
    alice, bob, proxy = between
    bob.node.channels.serve("/test/secret-name/1", echo, Scope.MESSAGE)
    await talk(alice, bob)
    first = bytes(proxy.seen["there"])
    await talk(alice, bob)
    second = bytes(proxy.seen["there"])[len(first) :]
    pieces = {first[at : at + 16] for at in range(len(first) - 16)}
    assert len(second) > len(PLANTED)
    assert not any(second[at : at + 16] in pieces for at in range(len(second) - 16))


@pytest.mark.parametrize("way", ["there", "back"])
async def test_one_bit_changed_ends_the_channel_and_nothing_wrong_is_delivered(between, way):
    alice, bob, proxy = between
    bob.node.channels.serve("/test/secret-name/1", echo, Scope.MESSAGE)
    await alice.node.channels.connect(bob.id)
    async with (
        alice.node.bus.subscribe("channel.closed") as at_alice,
        bob.node.bus.subscribe("channel.closed") as at_bob,
    ):
        stream = await alice.node.channels.open_stream(bob.id, "/test/secret-name/1")
        await stream.send_all(b"ping")
        assert await stream.receive_some() == b"ping"
        proxy.garble_at = {way: 10}
        await stream.send_all(PLANTED)
        heard = bytearray()
        with pytest.raises(trio.BrokenResourceError), trio.fail_after(10):
            await gather(stream, heard)
        assert PLANTED.startswith(heard)
        with trio.fail_after(10):
            codes = {(await at_alice.__anext__()).value.code, (await at_bob.__anext__()).value.code}
        assert "crypto.not-authentic" in codes or "channel.bad-record" in codes
        await stream.aclose()
