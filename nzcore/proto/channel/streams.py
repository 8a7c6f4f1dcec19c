"""One stream's state and credit, and the budget that all streams share (spec/channel.md §5, §6).

Knows no frames and no bytes, only who may send how much and what may still come.
"""

from enum import IntEnum

from nzcore.base.errors import PeerError
from nzcore.proto.channel.config import INITIAL_WINDOW, ChannelConfig


class StreamState(IntEnum):
    OPEN = 0
    LOCAL_ENDED = 1
    """We sent END; the other side may still send."""
    REMOTE_ENDED = 2
    """The other side sent END; we may still send."""
    CLOSED = 3


class Turn(IntEnum):
    SEND_END = 0
    RECEIVE_END = 1
    SEND_RESET = 2
    RECEIVE_RESET = 3


NEXT = {
    (StreamState.OPEN, Turn.SEND_END): StreamState.LOCAL_ENDED,
    (StreamState.OPEN, Turn.RECEIVE_END): StreamState.REMOTE_ENDED,
    (StreamState.OPEN, Turn.SEND_RESET): StreamState.CLOSED,
    (StreamState.OPEN, Turn.RECEIVE_RESET): StreamState.CLOSED,
    (StreamState.LOCAL_ENDED, Turn.RECEIVE_END): StreamState.CLOSED,
    (StreamState.LOCAL_ENDED, Turn.SEND_RESET): StreamState.CLOSED,
    (StreamState.LOCAL_ENDED, Turn.RECEIVE_RESET): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED, Turn.SEND_END): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED, Turn.SEND_RESET): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED, Turn.RECEIVE_RESET): StreamState.CLOSED,
}
"""A missing row is the refusal: of our caller for what we send, of the other side for what we receive."""


class StreamRecord:
    """What the machine remembers of one live stream."""

    __slots__ = (
        "credit",
        "data_ended",
        "id",
        "protocol",
        "receivable",
        "released",
        "state",
        "unacknowledged",
        "window",
    )

    def __init__(self, stream_id: int, protocol: str) -> None:
        self.id = stream_id
        self.protocol = protocol
        self.state = StreamState.OPEN
        self.released = False  # the application is done with it
        self.data_ended = False  # END or RESET came: no more data may
        self.credit = INITIAL_WINDOW  # bytes that we may still send
        self.window = INITIAL_WINDOW  # bytes that the other side may have sent and we not read
        self.receivable = INITIAL_WINDOW  # bytes that the other side may still send
        self.unacknowledged = 0  # bytes that the application has read since the last credit

    def turn(self, turn: Turn) -> None:
        """Moves by the table. *Raises* PeerError `channel.out-of-turn` where the table has no row."""
        state = NEXT.get((self.state, turn))
        if state is None:
            raise PeerError("channel.out-of-turn", stream=self.id, state=self.state.name, turn=turn.name)
        self.state = state
        if turn in (Turn.RECEIVE_END, Turn.RECEIVE_RESET, Turn.SEND_RESET):
            self.data_ended = True


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
        if stream.data_ended or 2 * stream.unacknowledged < stream.window:
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
