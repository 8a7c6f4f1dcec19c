"""Both ends of a channel over TCP loopback with fixed keys: this process asks, another one serves.

Handshakes are measured elsewhere; here the channel is open from the first byte.
"""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from nzcore.base.ids import NodeId
from nzcore.crypto.aead import CountingCipher
from nzcore.net.link import Flusher, Link
from nzcore.net.stream import Stream
from nzcore.net.tcp import TcpWire
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.hello import Hello
from nzcore.proto.noise.kernel import Transport

ROOT = Path(__file__).resolve().parents[2]
MESSAGE = 100  # bytes of one message of `messages`
KEYS = (bytes([1]) * 32, bytes([2]) * 32)


class User:
    """Serves the protocols of the bench and knows when the link is over."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.closed = trio.Event()
        self._nursery = nursery

    def on_hello(self, link: Link, hello: Hello) -> None:
        pass

    def on_stream(self, link: Link, stream: Stream) -> None:
        self._nursery.start_soon(_serve_stream, stream)

    def on_rekeyed(self, link: Link, count: int) -> None:
        pass

    def on_fault(self, link: Link, error: Exception) -> None:
        raise error

    def on_closed(self, link: Link, code: str, *, by_remote: bool) -> None:
        self.closed.set()


def machine(*, initiator: bool) -> Channel:
    """One end of a channel whose keys everybody knows."""
    send, receive = KEYS if initiator else KEYS[::-1]
    return Channel(
        Transport(CountingCipher(send), CountingCipher(receive), bytes(32), bytes(32), None),
        initiator=initiator,
        agree=lambda: bytes(32),
        hello=Hello(time=0),
        now=trio.current_time(),  # type: ignore[arg-type]  # an Instant by its definition
    )


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Link, int]]:
    """A link to a serving process, and that process' id."""
    command = [sys.executable, "-m", "tools.benchmarks.channel_ours"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:  # noqa: ASYNC220 - before the clock
        assert server.stdout is not None
        sock = socket.create_connection(("127.0.0.1", int(server.stdout.readline())))
        async with trio.open_nursery() as nursery:
            link, user = _link(sock, nursery, initiator=True)
            yield link, server.pid
            link.close()
            await user.closed.wait()
            nursery.cancel_scope.cancel()


async def ask(link: Link, protocol: str, data: bytes, count: int) -> int:
    """Sends `data` `count` times on one stream; the number that the other side answers with at the end."""
    async with await link.open_stream(protocol) as stream:
        for _ in range(count):
            await stream.send_all(data)
        await stream.send_eof()
        answer = b""
        while piece := await stream.receive_some():
            answer += piece
        return int(answer)


def _link(sock: socket.socket, nursery: trio.Nursery, *, initiator: bool) -> tuple[Link, User]:
    flusher, user = Flusher(), User(nursery)
    nursery.start_soon(flusher.run)
    link = Link(
        NodeId(bytes(32)),
        machine(initiator=initiator),
        TcpWire(sock, "loopback", nursery.start_soon),
        user,
        flusher,
    )
    link.start()
    return link, user


async def _serve_stream(stream: Stream) -> None:
    async with stream:
        if stream.protocol == "/echo":
            while data := await stream.receive_some():
                await stream.send_all(data)
        elif stream.protocol == "/count":
            await _count(stream)
        elif stream.protocol == "/messages":
            await _count_messages(stream)
        else:  # /stall: never reads
            await trio.sleep_forever()


async def _count(stream: Stream) -> None:
    count = 0
    while data := await stream.receive_some():
        count += len(data)
    await stream.send_all(b"%d" % count)


async def _count_messages(stream: Stream) -> None:
    """Cuts the messages out again, as an application would."""
    count, held = 0, b""
    while data := await stream.receive_some():
        held += data
        messages = [held[at : at + MESSAGE] for at in range(0, len(held) - MESSAGE + 1, MESSAGE)]
        count += len(messages)
        held = held[len(messages) * MESSAGE :]
    await stream.send_all(b"%d" % count)


async def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        sock, _ = listener.accept()
    async with trio.open_nursery() as nursery:
        _, user = _link(sock, nursery, initiator=False)
        await user.closed.wait()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_serve)
