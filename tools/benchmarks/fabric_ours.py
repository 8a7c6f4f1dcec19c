"""Both ends of a fabric over TCP loopback with fixed keys: this process publishes and asks, another one serves.

Run as a program, it serves one connection: it hears what is published on `bench.**`, echoes `bench.echo`, says by
`bench.heard` when so many messages have come and what CPU time that took, and echoes streams of `/echo`.
"""

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import trio

from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.base.scopes import Scope
from nzcore.crypto.secrets import StoreKey
from nzcore.kernel import Bus
from nzcore.net.link import Flusher, Link
from nzcore.net.links import Opened, OpenLink
from nzcore.net.protocols import StreamHandler
from nzcore.net.stream import Stream, StreamLost
from nzcore.net.tcp import TcpWire
from nzcore.node.fabric.fabric import Fabric
from nzcore.node.peers import PeerBook
from nzcore.proto.channel.hello import Hello
from nzcore.proto.trust.view import TrustView
from nzcore.store.inline import InlineKV
from tools.benchmarks.channel_ours import ROOT, User, machine

if TYPE_CHECKING:
    from nzcore.net.manager import ChannelManager

NODES = (NodeId(bytes(31) + b"\1"), NodeId(bytes(31) + b"\2"))
"""Who asks, who serves."""


class Channels(User):
    """One channel, as the fabric sees all channels of a node."""

    def __init__(self, bus: Bus, nursery: trio.Nursery, other: NodeId, *, initiator: bool) -> None:
        super().__init__(nursery)
        self.links = self
        self._bus = bus
        self._other = other
        self._initiator = initiator
        self._one: OpenLink | None = None
        self._handlers: dict[str, StreamHandler] = {"/echo": _echo}

    def begin(self, sock: socket.socket) -> Link:
        flusher = Flusher()
        self._nursery.start_soon(flusher.run)
        wire = TcpWire(sock, "loopback", self._nursery.start_soon)
        link = Link(self._other, machine(initiator=self._initiator), wire, self, flusher)
        self._one = OpenLink(link, self._initiator, bytes(16), Instant(trio.current_time()), "bench")
        link.start()
        return link

    def __iter__(self) -> Iterator[OpenLink]:
        return iter([self._one] if self._one else [])

    def get(self, node: NodeId) -> OpenLink | None:
        return self._one

    async def connect(self, node: NodeId) -> OpenLink | None:
        await trio.lowlevel.checkpoint()
        return self._one

    def serve(self, protocol: str, handler: StreamHandler, scope: Scope) -> Callable[[], None]:
        self._handlers[protocol] = handler
        return lambda: self._handlers.pop(protocol, None) and None

    def on_hello(self, link: Link, hello: Hello) -> None:
        self._bus.emit("channel.opened", Opened(link.peer, "out", "loopback"))

    def on_stream(self, link: Link, stream: Stream) -> None:
        self._nursery.start_soon(self._run, self._handlers[stream.protocol], stream)

    async def _run(self, handler: StreamHandler, stream: Stream) -> None:
        with suppress(StreamLost):
            async with stream:
                await handler(stream)


async def _echo(stream: Stream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@asynccontextmanager
async def fabric(sock: socket.socket, *, initiator: bool) -> AsyncIterator[tuple[Fabric, Channels, Link]]:
    """A running fabric on one channel."""
    own, other = NODES if initiator else NODES[::-1]
    bus, trust = Bus(), TrustView()
    trust.set(other, frozenset(Scope))
    async with InlineKV(StoreKey(bytes(32))) as kv, trio.open_nursery() as nursery:
        channels = Channels(bus, nursery, other, initiator=initiator)
        peers = PeerBook(lambda: kv, trust, time.time)
        manager = cast("ChannelManager", cast("Any", channels))
        one = Fabric(manager, peers, trust, bus, own, lambda: kv, time.time, lambda: b"")
        await nursery.start(one.run)
        link = channels.begin(sock)
        yield one, channels, link
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Fabric, Link]]:
    """A fabric whose only peer is a serving process, up and subscribed."""
    command = [sys.executable, "-m", "tools.benchmarks.fabric_ours"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:  # noqa: ASYNC220 - before the clock
        assert server.stdout is not None
        sock = socket.create_connection(("127.0.0.1", int(server.stdout.readline())))
        async with fabric(sock, initiator=True) as (one, channels, link):
            await one.lines.wait(NODES[1])
            yield one, link
            link.close()
            await channels.closed.wait()


async def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        sock, _ = listener.accept()
    heard, cpu = 0, 0.0
    enough = trio.Event()
    wanted = -1

    async def count(origin: NodeId, body: Any) -> object:
        """Waits until so many have come since the last call."""
        nonlocal heard, wanted, enough, cpu
        wanted, enough = body, trio.Event()
        if heard < wanted:
            await enough.wait()
        answer, heard, wanted = heard, heard - wanted, -1
        before, cpu = cpu, time.process_time()
        return [answer, cpu - before]

    async def echo(origin: NodeId, body: Any) -> object:
        return body

    async with (
        fabric(sock, initiator=False) as (one, channels, _),
        trio.open_nursery() as nursery,
        one.subscribe("bench.**", overflow="block") as arriving,
    ):
        one.answer("bench.echo", echo, Scope.MESSAGE)
        one.answer("bench.heard", count, Scope.MESSAGE)

        async def handle() -> None:
            nonlocal heard
            async for message in arriving:
                assert len(message.body) == 100  # type: ignore[arg-type]  # bytes
                heard += 1
                if heard == wanted:
                    enough.set()

        nursery.start_soon(handle)
        await channels.closed.wait()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_serve)
