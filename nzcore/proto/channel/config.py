"""What a node may set about its channels, and what the specification fixes (spec/channel.md §9)."""

from typing import Annotated

from msgspec import Meta, Struct

# Fixed by the specification: both ends must agree.
RECORD_BYTES = 65_535
"""Largest ciphertext of a record: a Noise message."""

TAG_BYTES = 16
PLAINTEXT_BYTES = RECORD_BYTES - TAG_BYTES

INITIAL_WINDOW = 8 * 1024
"""Bytes that may be sent on a new stream before any credit. Small, so that 256 fresh streams reserve 2 MiB."""

HARD_RECORDS = 1 << 32
"""Records after which a key is not used again, whatever was set."""

MAX_STREAM = (1 << 32) - 1

PROTOCOL_CHARACTERS = 64
HELLO_BYTES = 4096

DETAIL_BYTES = 600
"""Largest detail of a CLOSE: it holds a certificate."""

REKEY_PROGRESS_S = 30.0
"""Seconds that a rekey may take before the channel is dropped."""

REKEY_BURST, REKEY_RATE = 64, 1.0
"""Rekeys that the other side may cause at once, and a second, before it is dropped: each costs a KEM and two DH."""

OWN_REKEY_BURST, OWN_REKEY_RATE = 32, 0.5
"""What we cause ourselves: half of it, so that no clock and no network makes us exceed it."""


class ChannelConfig(Struct, frozen=True, kw_only=True):
    """One node's own choices; the other end needs to know none of them."""

    max_streams: Annotated[int, Meta(ge=1, le=1024)] = 128
    """Live streams that each side may have opened."""

    budget: int = 4 << 20
    """Bytes of received data that the channel may hold unread, all streams together."""

    max_window: int = 512 << 10
    """Bytes that one stream's window may grow to: larger ones measured slower, as the cache is missed."""

    data_bytes: int = 32 << 10
    """Payload at which a DATA frame is cut: with its header in OpenSSL's fast class of lengths."""

    queue_bytes: int = 256 << 10
    """Bytes sealed or waiting to be, beyond which writers and openers wait for the wire."""

    resets: int = 1024
    """RESET frames waiting to be sent, beyond which the other side is not reading and the channel is dropped."""

    keepalive_s: float = 20.0
    """Seconds of silence after which the other side is asked for a sign of life."""

    dead_s: float = 60.0
    """Seconds of silence after which the channel is taken for dead."""

    rekey_records: int = 1 << 24
    rekey_bytes: int = 64 << 30
    rekey_s: float = 600.0
    """Records, bytes and seconds after which the keys are renewed, whichever comes first."""

    def __post_init__(self) -> None:
        """*Raises* ValueError where the limits contradict each other (PROTOCOL: max_streams · w₀ ≤ B/2, each side)."""
        if 2 * self.max_streams * INITIAL_WINDOW > self.budget:
            raise ValueError("the budget must hold the initial windows of all streams of both sides")
        if not 1 <= self.data_bytes <= PLAINTEXT_BYTES - 7:
            raise ValueError("data_bytes must fit a record")
        if not 1 <= self.rekey_records < HARD_RECORDS or self.rekey_bytes < 1 or self.rekey_s <= 0:
            raise ValueError("rekeys must come after something, and before the hard limit of records")
        if not 0 < self.keepalive_s < self.dead_s:
            raise ValueError("keepalive_s must be less than dead_s")
        if self.max_window < INITIAL_WINDOW or self.queue_bytes < 1 or self.resets < 1:
            raise ValueError("max_window, queue_bytes or resets is too small")
