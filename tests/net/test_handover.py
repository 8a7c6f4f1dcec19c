"""A wire goes from the handshake to whoever comes next: nothing of it is lost, told twice or left behind."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.kernel import Deadlines
from nzcore.net.guest import Guest
from nzcore.net.joining import Knock
from nzcore.net.meeting import meet
from nzcore.net.stream import StreamLost
from nzcore.net.tcp import TcpWire
from nzcore.net.wire import Wire
from nzcore.node.config import Config
from nzcore.proto.handshake.machine import Initiator, Responder
from nzcore.proto.identity.address import Address
from nzcore.testing.conformance import Ear
from nzcore.testing.loopback import LoopbackWorld
from nzcore.testing.network import Conditions, MemoryNetwork, MemoryTransport
from nzcore.testing.world import World


class Once:
    """A machine that is done with the first bytes, and answers them."""

    rest = b""

    def __init__(self, answer: bytes = b"answer") -> None:
        self._said = b"?"
        self._answer = answer

    def outgoing(self) -> bytes:
        said, self._said = self._said, b""
        return said

    def receive(self, data: memoryview) -> object:
        self._said = self._answer
        return "established"


@asynccontextmanager
async def memory_wires(**conditions: float) -> AsyncIterator[tuple[MemoryNetwork, Wire, Wire]]:
    """A network in memory, and both ends of a connection in it: 10.0.0.1 dialled 10.0.0.2."""
    network, accepted = MemoryNetwork(1, Conditions(**conditions)), list[Wire]()
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        listener = MemoryTransport(network, "10.0.0.2").listen(Address("10.0.0.2", 0), nursery.start_soon)
        nursery.start_soon(listener.accept, lambda wire, host: accepted.append(wire))
        near = await MemoryTransport(network, "10.0.0.1").dial(listener.address, nursery.start_soon)
        await wait_all_tasks_blocked()
        yield network, near, accepted[0]
        nursery.cancel_scope.cancel()


@pytest.mark.real
async def test_a_link_that_nobody_would_read_is_none() -> None:
    async with LoopbackWorld(1) as world:
        alice, bob = await world.add("alice", config=Config()), await world.add("bob", config=Config())
        await world.introduce(alice, bob)
        await world.until_connected((alice, bob))
        channels = alice.node.channels
        channels.disconnect(bob.id)
        await wait_all_tasks_blocked(0.05)
        channels.resume(bob.id)
        place = Address.parse(bob.node.listening()[0])
        nursery, channels._nursery = channels._nursery, None  # the service ends while the handshake is under way
        try:
            wire, met = await channels.joining.knock(Knock(bob.id), place)
            with pytest.raises(UnavailableError) as refused:
                await channels.links.adopt(wire, met)
        finally:
            channels._nursery = nursery
        assert refused.value.code == "net.not-running"
        assert channels.links.get(bob.id) is None
        assert isinstance(wire, TcpWire)
        assert wire._sock.fileno() < 0


async def test_nobody_dials_while_nobody_keeps_deadlines(autojump_clock: MockClock) -> None:
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        joining = alice.node.channels.joining
        joining._deadlines = Deadlines()
        with pytest.raises(UnavailableError) as refused:
            await joining.knock(Knock(bob.id), Address.parse(bob.node.listening()[0]))
        assert refused.value.code == "net.not-running"


async def test_a_guest_whose_wire_was_cut_meanwhile_is_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        here, there = alice.node.channels._local, bob.node.channels._local
        initiator = Initiator(here.keys(), here.boot, here.introduction, here.directory, target=bob.id)
        responder = Responder(there.keys(), there.boot, there.introduction, there.directory, policy=lambda *_: "")
        ours, theirs = socket.socketpair()
        wire = TcpWire(ours, "bob", nursery.start_soon)

        async def answer_and_go() -> None:
            with theirs:
                theirs.setblocking(False)
                await trio.lowlevel.wait_readable(theirs)
                responder.receive(theirs.recv(65_536))
                theirs.send(responder.outgoing())

        nursery.start_soon(answer_and_go)
        met = await meet(wire, initiator, Deadlines())
        assert met.is_cut(), "message 3 could be sent"
        guest = Guest(wire, met, here, alice.node.bus, alice.node.channels._flusher, "/nz/pair/1")
        with trio.fail_after(60), pytest.raises(StreamLost):
            await guest.stream()


async def test_what_the_last_message_left_over_is_sent_once(autojump_clock: MockClock) -> None:
    async with memory_wires(buffer_bytes=4) as (_, near, far):
        ear = Ear(far)
        far.send([b"!"])
        met = await meet(near, Once(b"0123456789"), Deadlines())
        assert met.leftover
        await trio.sleep(1)  # as while an old link is asked whether it lives
        Ear(near, near.send(met.leftover))
        await trio.sleep(1)
        assert bytes(ear.heard) == b"?0123456789"


async def test_nobody_on_a_host_that_vanished_is_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with memory_wires() as (network, near, _):
        told: list[str] = []
        scope = trio.CancelScope()

        async def shake_hands() -> None:
            with scope:
                try:
                    await meet(near, Once(), Deadlines())
                except NzError as error:
                    told.append(error.code)

        nursery.start_soon(shake_hands)
        await wait_all_tasks_blocked()
        network.vanish("10.0.0.1")
        await wait_all_tasks_blocked()
        assert told == []
        scope.cancel()


class Refusing(socket.socket):
    """As on systems that refuse options of a connection which the other side has reset."""

    def setsockopt(self, *args: object) -> None:  # type: ignore[override]
        raise OSError(errno.EINVAL, "invalid argument")


async def test_a_handshake_expires_although_the_system_refuses_an_option(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    ours, theirs = socket.socketpair()
    with theirs:
        wire = TcpWire(Refusing(fileno=ours.detach()), "far", nursery.start_soon)
        with pytest.raises(PeerError) as refused:
            await meet(wire, Once(), deadlines)
        assert refused.value.code == "net.too-slow"
        assert wire._sock.fileno() < 0
        assert deadlines.are_kept
    nursery.cancel_scope.cancel()
