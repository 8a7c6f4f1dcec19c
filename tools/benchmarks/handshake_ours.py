"""Real handshakes between two processes over TCP loopback: dialled and met as a node does it.

`python -m tools.benchmarks.handshake_ours meet` serves handshakes and closes each wire once it has verified the other
side; with `keep` it goes on to a channel. The doorkeeper stands at the door with its limits raised, because what is
measured is the handshake. Each side verifies the other's certificate anew, as between nodes that never met.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from nzcore.base.ids import IdentityId, NodeId
from nzcore.base.instant import Instant
from nzcore.kernel import Deadlines
from nzcore.net.doorkeeper import Doorkeeper, DoorSettings
from nzcore.net.link import Flusher, Link
from nzcore.net.meeting import Met, meet
from nzcore.net.tcp import TcpTransport
from nzcore.net.wire import Spawn, Wire
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.hello import Hello
from nzcore.proto.handshake.machine import HANDSHAKE_S, Initiator, Responder
from nzcore.proto.handshake.payload import BOOT_BYTES
from nzcore.proto.handshake.verdict import verified
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.node_keys import NodeKeys
from tools.benchmarks.channel_ours import User
from tools.benchmarks.work_handshake import INTRODUCTION, Strangers, cast, welcome

ROOT = Path(__file__).resolve().parents[2]
WIDE_OPEN = DoorSettings(max_half_open=4096, reserved=0, per_network=4096, rate_per_s=1e6, burst=1e6)
PAGE_KIB = resource.getpagesize() / 1024


class Forgetful(Strangers):
    """Lets the process forget what it has verified as soon as it has: a handshake asks this right afterwards.

    Clearing before each handshake is not enough where many are under way: the others' certificate, the same for all,
    was found verified in 7 of 10.
    """

    def retired(self, node: NodeId, identity: IdentityId) -> bool:
        verified.cache_clear()
        return super().retired(node, identity)


class Side:
    """Alice, who dials, or Bob, who serves."""

    def __init__(self, keys: NodeKeys, nursery: trio.Nursery) -> None:
        self._keys = keys
        self._boot = os.urandom(BOOT_BYTES)
        self._directory = Forgetful()
        self._spawn: Spawn = nursery.start_soon
        self._user = User(nursery)
        self._flusher = Flusher()
        self._deadlines = Deadlines()
        nursery.start_soon(self._flusher.run)
        nursery.start_soon(self._deadlines.run)

    async def shake_hands(self, address: Address, other: NodeKeys) -> float:
        """Returns when both sides have finished: the other one closes the wire then.

        The seconds after which this side had: it had verified the other one, and its last message was on its way.
        """
        begun = time.perf_counter()
        wire, _ = await self._meet(address, other)
        spent = time.perf_counter() - begun
        ending = _Ending()
        wire.attach(ending)
        await wire.read_until(ending.has_come)
        return spent

    async def open_link(self, address: Address, other: NodeKeys) -> Link:
        """A link whose other side has greeted."""
        link = self._link(*await self._meet(address, other))
        await link.greeted.wait()
        assert link.was_greeted, link.closed_by
        return link

    async def serve(self, announce: trio.TaskStatus[Address], *, keep: bool) -> None:
        """Answers everybody until cancelled; a handshake that fails is an error here."""
        door = Doorkeeper(WIDE_OPEN)

        async def answer(wire: Wire, host: str) -> None:
            network = door.enter(host, now())
            responder = Responder(self._keys, self._boot, INTRODUCTION, self._directory, policy=welcome)
            met = await meet(wire, responder, self._deadlines)
            door.leave(network, now(), proved=True)
            if keep:
                self._link(wire, met)
            else:
                wire.close()

        listener = TcpTransport().listen(Address("127.0.0.1", 0), self._spawn)
        announce.started(listener.address)
        await listener.accept(lambda wire, host: self._spawn(answer, wire, host))

    async def _meet(self, address: Address, other: NodeKeys) -> tuple[Wire, Met]:
        wire = await TcpTransport().dial(address, self._spawn)
        initiator = Initiator(self._keys, self._boot, INTRODUCTION, self._directory, target=other.node)
        return wire, await meet(wire, initiator, self._deadlines, first_s=HANDSHAKE_S)

    def _link(self, wire: Wire, met: Met) -> Link:
        fresh = met.established
        peer, keys = fresh.certificate, self._keys
        channel = Channel(
            fresh.transport,
            initiator=fresh.initiator,
            agree=lambda: keys.agree(peer.dh_key),
            hello=Hello(time=0),
            now=now(),
        )
        link = Link(peer.node, channel, wire, self._user, self._flusher)
        link.start(met.rest, met.leftover)
        return link


class _Ending:
    """Waits for the end of a wire."""

    def __init__(self) -> None:
        self._came = False

    def has_come(self) -> bool:
        return self._came

    def on_bytes(self, data: memoryview) -> None:
        raise AssertionError("nothing follows a handshake here")

    def on_writable(self) -> None:
        raise AssertionError("nothing was left to be sent")

    def on_end(self, error: OSError | None) -> None:
        assert error is None, error
        self._came = True


def now() -> Instant:
    return Instant(trio.current_time())


def resident_kib(pid: int) -> float:
    """Memory of a process: Python's, the libraries' and the interpreter's alike."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB


def allow_descriptors() -> None:
    """A thousand sockets are more than many shells allow at first."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def dialling(what: str) -> AsyncIterator[tuple[Side, Address, NodeKeys, int]]:
    """Alice; the address and keys of Bob, who serves `meet` or `keep`; and the id of his process."""
    allow_descriptors()
    alice, bob = cast()
    command = [sys.executable, "-m", "tools.benchmarks.handshake_ours", what]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:  # noqa: ASYNC220 - before the clock
        assert server.stdout is not None
        address = Address("127.0.0.1", int(server.stdout.readline()))
        try:
            async with trio.open_nursery() as nursery:
                yield Side(alice, nursery), address, bob, server.pid
                nursery.cancel_scope.cancel()
        finally:
            server.terminate()


async def _serve(what: str) -> None:
    allow_descriptors()
    _, bob = cast()
    async with trio.open_nursery() as nursery:
        side = Side(bob, nursery)
        address: Address = await nursery.start(lambda task_status: side.serve(task_status, keep=what == "keep"))
        print(address.port, flush=True)


if __name__ == "__main__":
    trio.run(_serve, sys.argv[1])
