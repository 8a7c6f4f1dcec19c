"""What a channel tells its shell: events as tuples, their kind first (spec/channel.md §5).

Tuples, because one is made for every piece of data: measured at 0.04 µs, against 0.24 for a frozen dataclass.
"""

from enum import IntEnum
from typing import NamedTuple


class Event(IntEnum):
    """First item of every event; what follows it in the tuple."""

    DATA = 0
    """stream, bytes"""
    OPENED = 1
    """stream, protocol: the other side opened a stream"""
    ENDED = 2
    """stream: the other side has sent all it wanted"""
    RESET = 3
    """stream, code: the other side gave the stream up"""
    CREDITED = 4
    """stream: there is credit where there was none"""
    HELLO = 5
    """Hello: always the first"""
    PONG = 6
    """nonce, seconds since our ping"""
    REKEYED = 7
    """how many times by now"""
    CLOSED = 8
    """code, whether it was the other side that said so, detail (bytes, of the other side's CLOSE): always the last"""


Events = list[tuple[object, ...]]


class Statistics(NamedTuple):
    """What a channel has done so far."""

    streams: int
    rekeys: int
    bytes_in: int
    bytes_out: int
    rtt_s: float | None
