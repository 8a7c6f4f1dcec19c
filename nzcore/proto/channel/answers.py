"""Frames that are owed rather than queued: answers and credit, each kept once however often it is caused.

This is what bounds a channel against a side that causes answers and does not read them (spec/channel.md §8).
"""

from nzcore.base.errors import PeerError
from nzcore.proto.channel import frames
from nzcore.proto.channel.records import RecordWriter


class Answers:
    """One PONG, one CREDIT a stream, one RESET a stream, written when the channel is next flushed."""

    __slots__ = ("_credits", "_max_resets", "_pong", "_resets")

    def __init__(self, max_resets: int) -> None:
        self._max_resets = max_resets
        self._pong = b""
        self._credits: dict[int, int] = {}
        self._resets: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._credits or self._resets or self._pong)

    @property
    def is_full(self) -> bool:
        return len(self._resets) >= self._max_resets

    def pong(self, payload: bytes) -> None:
        """Owes an answer to the last ping only."""
        self._pong = payload

    def credit(self, stream: int, amount: int) -> None:
        self._credits[stream] = self._credits.get(stream, 0) + amount

    def reset(self, stream: int, wire: int) -> None:
        """The stream's credit is void with it."""
        self._resets[stream] = wire
        self._credits.pop(stream, None)

    def refuse(self, stream: int, wire: int) -> None:
        """As `reset`, caused by the other side. *Raises* PeerError `channel.control-flood` where too many wait."""
        if self.is_full:
            raise PeerError("channel.control-flood")
        self._resets[stream] = wire

    def forget(self, stream: int) -> None:
        """No credit for a stream that is over."""
        self._credits.pop(stream, None)

    def write(self, writer: RecordWriter) -> None:
        """Packs everything that is owed; then nothing is."""
        if self._pong:
            writer.frame(frames.PONG, 0, self._pong)
            self._pong = b""
        for stream, amount in self._credits.items():
            writer.frame(frames.CREDIT, stream, frames.credit_payload(amount))
        self._credits.clear()
        for stream, wire in self._resets.items():
            writer.frame(frames.RESET, stream, frames.code_payload(wire))
        self._resets.clear()

    def drop(self) -> None:
        self._pong = b""
        self._credits.clear()
        self._resets.clear()
