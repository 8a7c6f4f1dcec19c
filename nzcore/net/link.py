"""A link: one channel over one wire, its streams, and when to flush (spec/channel.md §10).

No task of its own. What arrives is handled to its end inside the wire's callback; what is written goes out at once when
the link is cold, and is gathered for the rest of the tick when it is hot: one flusher serves all links of a node.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import trio

from nzcore.base.errors import UsageError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.net.flusher import Flusher
from nzcore.net.stream import Stream, StreamLost
from nzcore.net.waits import Pings, Turns
from nzcore.net.wire import Buffer, Wire
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.events import Event, Statistics
from nzcore.proto.channel.hello import Hello

__all__ = ["Flusher", "Link", "LinkUser"]

_DATA = Event.DATA

FLUSH_BYTES = 128 * 1024
"""Queued on a hot link, it goes out before the tick ends: the other side works while we pack on."""


class LinkUser(Protocol):
    """Whoever owns a link: the channel manager."""

    def on_hello(self, link: "Link", hello: Hello) -> None:
        """The other side has greeted: the channel is open."""

    def on_stream(self, link: "Link", stream: Stream) -> None:
        """The other side opened a stream; it is to be closed by whoever handles it."""

    def on_rekeyed(self, link: "Link", count: int) -> None:
        """The keys of the channel are new."""

    def on_fault(self, link: "Link", error: Exception) -> None:
        """Our own code failed on what arrived: a bug, to be reported; the link is over."""

    def on_closed(self, link: "Link", code: str, *, by_remote: bool) -> None:
        """The link is over, for this reason; the last callback."""


class Link:
    """One open channel. Made after the handshake; `close` or the wire's end finishes it."""

    def __init__(self, peer: NodeId, channel: Channel, wire: Wire, user: LinkUser, flusher: Flusher) -> None:
        """Takes over `channel` and `wire`; call `start` with what the handshake had left unread."""
        self.peer = peer
        self.remote = wire.remote
        self._channel = channel
        self._wire = wire
        self._user = user
        self._flusher = flusher
        self._streams: dict[int, Stream] = {}
        self._waiting: dict[int, Stream] = {}  # streams whose sender waits for room in the queue
        self._openers = Turns()
        self._pings = Pings()
        self._leftover: list[Buffer] = []
        self._hot = False  # what is written waits for the flusher's turn in this tick
        self._warm = False  # something was flushed at once since the other side was last heard
        self._handling = False  # inside `on_bytes`, which flushes at its end
        self._over = False
        self.greeted = trio.Event()
        """Set when the other side has greeted, or the link is over."""
        self.was_greeted = False
        """Whether the other side's HELLO has come: without it, the channel never opened."""
        self.detail = b""
        """What the other side's CLOSE said beside its code."""
        self.extend = channel.extend
        """For streams: puts bytes into the open DATA frame. There is one only while the link is sure to flush."""
        self.reader = wire.reader
        """For streams: by which whoever waits reads the wire itself."""
        self._clock = trio.lowlevel.current_clock().current_time

    def start(self, rest: bytes = b"", leftover: Sequence[Buffer] = (), *, is_cut: bool = False) -> None:
        """Attaches to the wire, greets, and goes on where the handshake ended: `rest` came, `leftover` is unsent, and
        the connection ended meanwhile if it `is_cut`. *Raises* what the wire's owner of tasks does.
        """
        self._wire.attach(self)
        self._wire.resume()
        self._leftover = self._wire.send(leftover) if leftover else []
        if rest:
            self.on_bytes(memoryview(rest))
        if is_cut:
            self.on_end(None)
        if not self._over:
            self._flush()

    # What the wire says.

    def on_bytes(self, data: memoryview) -> None:
        self._warm = False
        self._handling = True
        channel, streams = self._channel, self._streams
        try:
            events: list[tuple[Any, ...]] = channel.receive(data, self._now())
            for event in events:
                if event[0] is _DATA:  # in line: once for every piece of data
                    stream = streams.get(event[1])
                    if stream is not None:
                        stream.on_data(event[2])
                else:
                    self._handle(event)
                    if self._over:
                        break
            if not self._over and not self._hot and channel.has_outgoing:
                self._flush()
        except Exception as error:  # the crash boundary of a channel: ours to mend, no other channel's to suffer
            try:
                self._user.on_fault(self, error)
            finally:
                self._finish("channel.protocol-error", by_remote=False)
        finally:
            self._handling = False

    def on_writable(self) -> None:
        self._leftover = self._wire.send(self._leftover)
        if not self._leftover and not self._over:
            self._flush()

    def on_end(self, error: OSError | None) -> None:
        self._finish("channel.lost", by_remote=True)

    # What streams and the manager ask.

    async def open_stream(self, protocol: str) -> Stream:
        """Opens a stream, waiting while as many are open as may be.

        *Raises* StreamLost when the link is over, PeerError `channel.bad-protocol`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_alive()
        stream = None if self._openers else self._open(protocol)
        return stream if stream is not None else await self._openers.take(partial(self._open, protocol))

    async def ping(self) -> float:
        """Seconds for a round trip through the other side's machine. *Raises* StreamLost when the link ends first."""
        self._check_alive()
        ping = self._pings.expect(self._channel.ping(self._now()))
        self._kick()
        rtt = await self._pings.wait(ping)
        if rtt is None:
            raise StreamLost(self._reason)
        return rtt

    def rekey(self) -> None:
        """Asks for new keys. *Raises* StreamLost when the link is over."""
        self._check_alive()
        self._channel.rekey(self._now())
        self._kick()

    def tick(self) -> Instant:
        """Does what is due; when to come again."""
        if not self._over:
            for event in self._channel.tick(self._now()):
                self._handle(event)
            if not self._over and self._channel.has_outgoing:
                self._flush()
        return self._channel.next_deadline()

    def close(self, code: str = "channel.closed", detail: bytes = b"") -> None:
        """Ends the channel in good order: what was written goes out, then CLOSE with `code` and its `detail`."""
        if not self._over:
            self._channel.close(code, detail)
            self._finish(code, by_remote=False)

    def streams(self) -> list[Stream]:
        """The streams that applications hold now."""
        return list(self._streams.values())

    @property
    def is_over(self) -> bool:
        return self._over

    @property
    def closed_by(self) -> str:
        """The code with which the link ended; empty while it lives."""
        return (self._channel.closed_by or "channel.lost") if self._over else ""

    def statistics(self) -> Statistics:
        return self._channel.statistics()

    # What streams ask.

    def write(self, stream_id: int, data: Buffer) -> int:
        """Takes as much as credit and queue allow; how much. *Raises* StreamLost."""
        channel, size, accepted = self._channel, len(data), 0
        if not (self._hot or self._warm or self._leftover) and type(data) is bytes:
            record = channel.single(stream_id, data)
            if record is not None:
                self._warm = True
                self._leftover = self._wire.send((record,))
                return size
        while True:
            try:
                accepted += channel.write(stream_id, memoryview(data)[accepted:] if accepted else data)
            except UsageError as error:
                raise StreamLost(channel.closed_by or error.code, stream=stream_id) from error
            if not self._hot:
                self._kick()
            elif channel.queued() >= FLUSH_BYTES:
                self._flush()
            if accepted == size or channel.full or not channel.window(stream_id):
                return accepted

    def can_write(self, stream_id: int) -> bool:
        return bool(self._channel.window(stream_id)) and not self._channel.full

    def await_room(self, stream: Stream) -> None:
        """The stream's sender waits: for credit, or for the queue to be taken."""
        if self._channel.window(stream.id):
            self._waiting[stream.id] = stream

    def consume(self, stream_id: int, size: int) -> None:
        if self._channel.consume(stream_id, size) and not self._hot and not self._handling:
            self._heat()

    def end(self, stream_id: int) -> None:
        if self._is_alive:
            self._channel.end(stream_id)
            self._kick()

    def finish(self, stream: Stream, code: str, *, in_order: bool) -> None:
        """The application is done with the stream; `in_order`: what it sent is all."""
        self._streams.pop(stream.id, None)
        self._waiting.pop(stream.id, None)
        if not self._is_alive:
            return
        if not stream.is_lost:
            if in_order and not stream.has_sent_end:
                self._channel.end(stream.id)
            if not in_order or not stream.has_received_end:
                self._channel.reset(stream.id, code)
        self._channel.release(stream.id)
        self._openers.wake()
        self._kick()

    def cool(self) -> None:
        """The flusher's turn: sends what was gathered; stays hot while there is more."""
        self._hot = self._warm = False
        if not self._over and not self._leftover and self._channel.has_outgoing:
            self._heat()
            self._flush()

    # Small print.

    def _open(self, protocol: str) -> Stream | None:
        """A new stream; None where there is no place for one now. *Raises* StreamLost when the link is over."""
        self._check_alive()
        try:
            stream_id = self._channel.open(protocol)
        except UsageError as error:
            if error.code == "channel.used-up":
                self.close(error.code)
                self._check_alive()
            return None
        stream = self._streams[stream_id] = Stream(self, stream_id, protocol, is_remote=False)
        self._kick()
        return stream

    def _kick(self) -> None:
        """Sends at once what comes first; what follows unanswered is gathered for the rest of the tick.

        So whoever asks and answers in turn never wakes the flusher, and whoever pours pays for one wake-up a tick.
        """
        if self._hot:
            return
        if self._warm:
            self._heat()
        else:
            self._warm = True
            self._flush()

    def _heat(self) -> None:
        self._hot = True
        self._flusher.heat(self)

    def _flush(self) -> None:
        if self._leftover:
            return
        buffers = self._channel.take()
        if buffers:
            self._leftover = self._wire.send(buffers)
        if (self._waiting or self._openers) and not self._channel.full:
            self._wake_waiting()

    def _wake_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for stream in waiting.values():
            stream.on_sendable()
        self._openers.wake()

    def _handle(self, event: tuple[Any, ...]) -> None:
        kind = event[0]
        if kind is Event.CREDITED:
            stream = self._streams.get(event[1])
            if stream is not None:
                stream.on_sendable()
        elif kind is Event.OPENED:
            stream = self._streams[event[1]] = Stream(self, event[1], event[2], is_remote=True)
            self._user.on_stream(self, stream)
        elif kind is Event.ENDED:
            stream = self._streams.get(event[1])
            if stream is not None:
                stream.on_ended()
        elif kind is Event.RESET:
            stream = self._streams.get(event[1])
            if stream is not None:
                stream.on_lost(event[2])
        else:
            self._handle_channel(event)

    def _handle_channel(self, event: tuple[Any, ...]) -> None:
        kind = event[0]
        if kind is Event.PONG:
            self._pings.answered(event[1], event[2])
        elif kind is Event.HELLO:
            self.was_greeted = True
            self.greeted.set()
            self._user.on_hello(self, event[1])
        elif kind is Event.REKEYED:
            self._user.on_rekeyed(self, event[1])
        elif kind is Event.CLOSED:
            self.detail = event[3]
            self._finish(event[1], by_remote=event[2])

    def _finish(self, code: str, *, by_remote: bool) -> None:
        """Ends the link: says the last words, if there are any, and tells everybody who waits."""
        if self._over:
            return
        self._over = True
        if self._channel.is_silent or self._channel.closed_by is None:
            self._wire.close(abort=bool(self._leftover))
        else:
            self._wire.close(rest=[*self._leftover, *self._channel.take()])
        self._leftover = []
        self._channel.closed_by = self._channel.closed_by or code
        self._channel.drop()
        streams = self.streams()
        self._streams.clear()
        for stream in streams:
            stream.on_lost(code)
        self._waiting.clear()
        self.greeted.set()
        self._pings.end()
        self._openers.wake_all()
        self._user.on_closed(self, code, by_remote=by_remote)

    @property
    def _is_alive(self) -> bool:
        """The channel may have ended before the link has: while the events of its last bytes are handled."""
        return not self._over and self._channel.closed_by is None

    @property
    def _reason(self) -> str:
        return self._channel.closed_by or "channel.lost"

    def _check_alive(self) -> None:
        if not self._is_alive:
            raise StreamLost(self._reason)

    def _now(self) -> Instant:
        return Instant(self._clock())
