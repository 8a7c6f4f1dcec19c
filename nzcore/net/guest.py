"""A guest's channel: one stream with a node that is no peer yet, and nothing else (spec/pairing.md §3).

Stands apart from the table of links: no trust, no addresses in its HELLO, no keepalive, because it lives as long as a
pairing window at most. Whoever got it closes it.
"""

import trio

from nzcore.base.ids import NodeId
from nzcore.kernel import Bus
from nzcore.kernel.described import describe
from nzcore.net.link import Flusher, Link
from nzcore.net.links import NetTrouble, open_channel
from nzcore.net.local import Local
from nzcore.net.meeting import Met
from nzcore.net.stream import Stream, StreamLost
from nzcore.net.wire import Wire
from nzcore.proto.channel.hello import Hello


class Guest:
    """The other node, its certificate verified, and the one stream; also the user of its link."""

    def __init__(self, wire: Wire, met: Met, local: Local, bus: Bus, flusher: Flusher, protocol: str) -> None:
        """Takes over `wire` of a finished handshake. `protocol` is that of the one stream."""
        fresh = met.established
        self.certificate = fresh.certificate
        self.initiator = fresh.initiator
        self.handshake_hash: bytes = fresh.transport.handshake_hash
        self.remote = wire.remote
        self._bus = bus
        self._protocol = protocol
        self._stream: Stream | None = None
        self._arrived = trio.Event()
        bare = Hello(time=local.hello().time)
        self._link = Link(self.node, open_channel(local, fresh, bare), wire, self, flusher)
        self._link.start(met.rest, met.leftover, is_cut=met.is_cut())

    @property
    def node(self) -> NodeId:
        return self.certificate.node

    async def stream(self) -> Stream:
        """The stream, opened by whoever dialled; once. *Raises* StreamLost with the reason where there is none."""
        await self._link.greeted.wait()
        if self.initiator and not self._link.is_over:
            return await self._link.open_stream(self._protocol)
        await self._arrived.wait()
        if self._stream is None:
            raise StreamLost(self._link.closed_by)
        return self._stream

    def close(self, code: str = "channel.closed") -> None:
        """Ends the channel with this code. Idempotent."""
        self._link.close(code)

    # What the link says.

    def on_hello(self, link: Link, hello: Hello) -> None:
        """A guest's greeting says nothing that is kept."""

    def on_stream(self, link: Link, stream: Stream) -> None:
        if self._stream is None and not self.initiator and stream.protocol == self._protocol:
            self._stream = stream
            self._arrived.set()
        else:
            stream.close("channel.out-of-scope")

    def on_rekeyed(self, link: Link, count: int) -> None:
        """Harmless, and no event: a guest is no channel of a peer."""

    def on_fault(self, link: Link, error: Exception) -> None:
        self._bus.emit("net.trouble", NetTrouble("a guest's channel failed", describe(error)))

    def on_closed(self, link: Link, code: str, *, by_remote: bool) -> None:
        self._arrived.set()
