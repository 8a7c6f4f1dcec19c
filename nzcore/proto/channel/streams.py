"""One stream's state and credit, the table of all streams, and the budget that they share (spec/channel.md §5, §6).

Knows no frames and no bytes, only who may say what, who may send how much and what may still come.
"""

from enum import IntEnum

from nzcore.base.errors import PeerError, UsageError
from nzcore.proto.channel.config import INITIAL_WINDOW, MAX_STREAM, ChannelConfig


class Half(IntEnum):
    """What one side has said on a stream. A stream has two, each moved by the frames of its own side."""

    OPEN = 0
    ENDED = 1
    """END: no more data."""
    RESET = 2
    """RESET: nothing more at all, and what comes from the other side is not wanted."""


class Turn(IntEnum):
    """What a side may say on a stream after OPEN."""

    DATA = 0
    CREDIT = 1
    END = 2
    RESET = 3


NEXT = {
    (Half.OPEN, Turn.DATA): Half.OPEN,
    (Half.OPEN, Turn.CREDIT): Half.OPEN,
    (Half.OPEN, Turn.END): Half.ENDED,
    (Half.OPEN, Turn.RESET): Half.RESET,
    (Half.ENDED, Turn.CREDIT): Half.ENDED,
    (Half.ENDED, Turn.RESET): Half.RESET,
}
"""A missing row is the refusal: of our caller for our half, of the other side for its half."""


class StreamRecord:
    """What the machine remembers of one live stream."""

    __slots__ = ("credit", "id", "local", "receivable", "released", "remote", "unacknowledged", "window")

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.local = Half.OPEN
        self.remote = Half.OPEN
        self.released = False  # the application is done with it
        self.credit = INITIAL_WINDOW  # bytes that we may still send
        self.window = INITIAL_WINDOW  # bytes that the other side may have sent and we not read
        self.receivable = INITIAL_WINDOW  # bytes that the other side may still send
        self.unacknowledged = 0  # bytes that the application has read since the last credit

    @property
    def is_over(self) -> bool:
        """Both sides have ended, or one has given the stream up."""
        return self.local + self.remote >= Half.RESET

    @property
    def is_writable(self) -> bool:
        return self.local is Half.OPEN and self.remote is not Half.RESET

    def hear(self, turn: Turn) -> bool:
        """The other side said it; whether it matters, since after our own RESET it was merely on its way.

        *Raises* PeerError `channel.out-of-turn` where the table has no row.
        """
        state = NEXT.get((self.remote, turn))
        if state is None:
            raise PeerError("channel.out-of-turn", stream=self.id, state=self.remote.name, turn=turn.name)
        self.remote = state
        return self.local is not Half.RESET


class Budget:
    """Bounds what a channel may hold unread: initial windows are reserved, growth comes from the rest."""

    __slots__ = ("_left", "_max_window")

    def __init__(self, config: ChannelConfig) -> None:
        self._left = config.budget - 2 * config.max_streams * INITIAL_WINDOW
        self._max_window = config.max_window

    def consume(self, stream: StreamRecord, size: int) -> int:
        """The application has read `size` bytes; the credit to send now, 0 while it is not worth a frame.

        A reader that keeps up doubles its window until the limit or until the budget is spent; so a window grows
        only as the application reads.
        """
        stream.unacknowledged += size
        if 2 * stream.unacknowledged < stream.window or stream.remote or stream.local is Half.RESET:
            return 0
        growth = max(0, min(stream.window, self._max_window - stream.window, self._left))
        self._left -= growth
        stream.window += growth
        credit = stream.unacknowledged + growth
        stream.unacknowledged = 0
        stream.receivable += credit
        return credit

    def release(self, stream: StreamRecord) -> None:
        """Takes back what the stream's window had grown by."""
        self._left += stream.window - INITIAL_WINDOW
        stream.window = INITIAL_WINDOW

    @property
    def left(self) -> int:
        """Bytes by which windows may still grow."""
        return self._left


class Streams:
    """The streams that count as live: opened by either side, and not yet both over and released."""

    __slots__ = ("_live_local", "_live_remote", "_max", "_next_local", "_next_remote", "budget", "records")

    def __init__(self, config: ChannelConfig, *, initiator: bool) -> None:
        self.records: dict[int, StreamRecord] = {}
        self.budget = Budget(config)
        self._max = config.max_streams
        self._next_local, self._next_remote = (1, 2) if initiator else (2, 1)
        self._live_local = self._live_remote = 0

    def open_local(self) -> StreamRecord:
        """The next stream of ours. *Raises* UsageError `channel.too-many-streams`, `channel.used-up`."""
        if self._next_local > MAX_STREAM:
            raise UsageError("channel.used-up")
        if self._live_local >= self._max:
            raise UsageError("channel.too-many-streams", limit=self._max)
        self._live_local += 1
        record = self.records[self._next_local] = StreamRecord(self._next_local)
        self._next_local += 2
        return record

    def open_remote(self, number: int) -> bool:
        """The other side opens the stream `number`; false where as many are live as may be.

        *Raises* PeerError `channel.bad-stream` unless it is the next one.
        """
        if number != self._next_remote:
            raise PeerError("channel.bad-stream", stream=number)
        self._next_remote += 2
        if self._live_remote >= self._max:
            return False
        self._live_remote += 1
        self.records[number] = StreamRecord(number)
        return True

    def known(self, number: int) -> StreamRecord | None:
        """The stream that a frame is for; None for one that is forgotten: its frames were on their way.

        *Raises* PeerError `channel.bad-stream` for one that never was.
        """
        record = self.records.get(number)
        if record is None:
            ours = number % 2 == self._next_local % 2
            if not 0 < number < (self._next_local if ours else self._next_remote):
                raise PeerError("channel.bad-stream", stream=number)
        return record

    def forget_if_over(self, record: StreamRecord) -> bool:
        """Stops counting a stream as live once it is over and the application is done with it; whether it did."""
        if not record.released or not record.is_over:
            return False
        del self.records[record.id]
        self.budget.release(record)
        if record.id % 2 == self._next_local % 2:
            self._live_local -= 1
        else:
            self._live_remote -= 1
        return True
