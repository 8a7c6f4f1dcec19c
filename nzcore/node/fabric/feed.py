"""Publications on their way to one peer: gathered for the rest of a tick, bounded, sent on a stream of their own."""

import math
from collections import deque
from typing import TYPE_CHECKING

import trio

from nzcore.base.errors import NzError
from nzcore.kernel import Backoff
from nzcore.net.flusher import Flusher
from nzcore.net.link import Link
from nzcore.net.wire import Spawn
from nzcore.proto.fabric.frames import encode_publications
from nzcore.proto.fabric.limits import TOPICS

if TYPE_CHECKING:
    from nzcore.net.stream import Stream

BATCH_BYTES = 24 << 10
"""Gathered publications go out at this size: a frame of them fits one DATA frame of the channel."""

FEED_BYTES = 1 << 20
"""Publications that wait for a peer, beyond the one that always may."""

STALL_S = 5.0
"""Seconds for which a publisher is held up by a peer that takes nothing; until it reads again, it loses messages."""

AGAIN = Backoff(initial_s=1.0, factor=2.0, max_s=30.0, jitter=0.0)
"""Pauses before the stream is opened again after the peer has ended it: it may not want us to, for now."""


class Feed:
    """What one peer is still to get. `put` never waits."""

    def __init__(self, link: Link, spawn: Spawn, flusher: Flusher) -> None:
        self.dropped = 0
        """Publications that this peer did not get."""
        self.is_over = False
        self._link = link
        self._spawn = spawn
        self._flusher = flusher
        self._stream: Stream | None = None
        self._items: deque[bytes] = deque()
        self._bytes = 0
        self._rest = b""
        self._taken = 0  # publications in the frame that is being sent
        self._hot = False
        self._pumping = False
        self._stalled = False
        self._failures = 0  # of the stream, in a row
        self._again_at = -math.inf  # not before this time is it opened again
        self._room = trio.lowlevel.ParkingLot()

    def put(self, item: bytes) -> bool:
        """Takes a packed topic and body; False: there is no room."""
        size = len(item)
        if self._failures and self._is_refused:
            return False
        if self._bytes + size > BATCH_BYTES and self._items:
            if not self._pumping:
                self._flush()
            if self._bytes + size > FEED_BYTES and self._items:
                return False
        self._items.append(item)
        self._bytes += size
        if not self._hot and not self._pumping:
            self._hot = True
            self._flusher.heat(self)
            self._flush()  # the first goes at once; what follows in this tick is gathered
        return True

    async def put_when_room(self, item: bytes) -> bool:
        """As `put`, but waits for room, up to `STALL_S`; False: the peer does not read."""
        with trio.move_on_after(STALL_S):
            while not self._stalled and not self._is_refused:
                if self.put(item):
                    return True
                await self._room.park()
        self._stalled = not self._is_refused
        return False

    @property
    def _is_refused(self) -> bool:
        """Whether the peer takes nothing now."""
        return self.is_over or trio.current_time() < self._again_at

    def cool(self) -> None:
        """The flusher's turn."""
        self._hot = False
        if self._items and not self._pumping and not self.is_over:
            self._hot = True
            self._flusher.heat(self)
            self._flush()

    def close(self) -> None:
        """No more; what waits is counted as dropped."""
        if self.is_over:
            return
        self.is_over = True
        self._failures += 1
        self.dropped += len(self._items)
        self._items.clear()
        self._bytes = 0
        if self._stream is not None:
            self._stream.close()
        self._room.unpark_all()

    def _fail(self) -> None:
        """The peer takes no publications, now: it has ended the stream. What waits is lost; it is asked again later."""
        self._failures += 1
        self._again_at = trio.current_time() + AGAIN.delay(self._failures, lambda: 0.5)
        self.dropped += len(self._items) + self._taken
        self._items.clear()
        self._bytes, self._rest, self._taken = 0, b"", 0
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._room.unpark_all()

    def _flush(self) -> None:
        if self._stream is None:
            self._pumping = True
            self._spawn(self._pump)
            return
        while self._items:
            frame = self._take()
            try:
                sent = self._stream.send_nowait(frame)
            except (NzError, trio.ClosedResourceError):
                self._fail()
                return
            if sent < len(frame):
                self._rest = frame[sent:]
                self._pumping = True
                self._spawn(self._pump)
                return

    def _take(self) -> bytes:
        """A frame of what waited longest."""
        items: list[bytes] = []
        size = 0
        while self._items and (not items or size + len(self._items[0]) <= BATCH_BYTES):
            item = self._items.popleft()
            items.append(item)
            size += len(item)
        self._bytes -= size
        self._taken = len(items)
        return encode_publications(items)

    async def _pump(self) -> None:
        """Sends what waits, as fast as the peer reads."""
        try:
            if self._stream is None:
                self._stream = await self._link.open_stream(TOPICS)
            while not self.is_over and (self._rest or self._items):
                frame, self._rest = self._rest or self._take(), b""
                await self._stream.send_all(frame)
                self._failures = 0
                if self._bytes <= FEED_BYTES // 2:
                    self._stalled = False
                    self._room.unpark_all()
        except (NzError, trio.ClosedResourceError):
            self._fail()
        finally:
            self._pumping = False
