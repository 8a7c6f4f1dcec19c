"""Who reads a socket where everything happens at once: receivers cancelled, wires paused, a link closed."""

import random
import socket
from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nzcore.net.link import Link
from nzcore.net.stream import Stream, StreamLost
from tests.net.memory_wire import SocketLinks

STORMS = 64
"""Seeds that every run tries: in a second."""


class Storm:
    """Streams that are echoed both ways while receivers are cancelled, wires paused, keys renewed and a link closed.

    A seed chooses the same each time; the order in which tasks run is Trio's choice.
    """

    def __init__(self, seed: int, links: SocketLinks, nursery: trio.Nursery) -> None:
        self.random = random.Random(seed)
        self.links, self.nursery = links, nursery
        self.is_ending = False
        for wire in links.wires[: self.random.randint(0, 2)]:  # that is full at once
            wire._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for user in links.users:
            user.serve = lambda stream: nursery.start_soon(self.echo, stream)

    async def blow(self) -> None:
        mischief = trio.CancelScope()
        self.nursery.start_soon(self.mischief, mischief)
        async with trio.open_nursery() as nursery:
            for _ in range(self.random.randint(1, 5)):
                link = self.random.choice((self.links.alice, self.links.bob))
                nursery.start_soon(self.talk, link)
            if self.random.random() < 0.5:
                await self.falter(2000)
                self.end()
        mischief.cancel()
        self.end()

    def end(self) -> None:
        self.is_ending = True
        self.random.choice((self.links.alice, self.links.bob)).close("channel.going-away")

    async def falter(self, most: int = 3) -> None:
        """Lets others have a few turns."""
        for _ in range(self.random.randint(0, most)):
            await trio.lowlevel.checkpoint()

    async def hear(self, stream: Stream) -> bytes:
        """What comes next, although the task that waits for it is cancelled now and then."""
        while self.random.random() < 0.4:
            scope = trio.CancelScope()
            self.nursery.start_soon(self.strike, scope)
            with scope:
                return await stream.receive_some()
        return await stream.receive_some()

    async def strike(self, scope: trio.CancelScope) -> None:
        await self.falter()
        scope.cancel()

    async def echo(self, stream: Stream) -> None:
        with suppress(StreamLost, trio.ClosedResourceError):
            async with stream:
                while data := await self.hear(stream):
                    await self.falter()
                    await stream.send_all(data)
                await stream.send_eof()

    async def talk(self, link: Link) -> None:
        """Asks and hears the answer in turn."""
        try:
            async with await link.open_stream("/nz/talk/1") as stream:
                for number in range(self.random.choice((5, 40))):
                    said, heard = b"%6d" % number * self.random.choice((1, 100, 2000)), bytearray()
                    await stream.send_all(said)
                    while len(heard) < len(said):
                        heard += await self.hear(stream)
                    assert heard == said
        except StreamLost:
            assert self.is_ending

    async def mischief(self, scope: trio.CancelScope) -> None:
        with scope, suppress(StreamLost):
            while True:
                await self.falter(100)
                wire = self.random.choice(self.links.wires)
                link = self.random.choice((self.links.alice, self.links.bob))
                self.random.choice((wire.pause, link.rekey, wire.reader.interrupt))()
                try:
                    await self.falter()
                finally:
                    wire.resume()


async def test_a_storm_loses_no_byte_and_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nzcore.net.tcp.LINGER_S", 0.05)
    for seed in range(STORMS):
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                links = SocketLinks(nursery)
                await Storm(seed, links, nursery).blow()
                await wait_all_tasks_blocked(0.001)
                nursery.cancel_scope.cancel()
        for user in links.users:
            assert [told[0] for told in user.told if told[0] in ("fault", "closed")] == ["closed"]
