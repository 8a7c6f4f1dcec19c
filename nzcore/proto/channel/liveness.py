"""Whether the other side is still there: when it was last heard, and our unanswered pings (spec/channel.md §8)."""

from nzcore.base.instant import Instant
from nzcore.proto.channel.config import ChannelConfig

MAX_PINGS = 16
"""Pings of ours without an answer; one more is not sent but shares the last one's answer."""


class Liveness:
    """Knows times and nonces only. Nonces count up from 1."""

    __slots__ = ("_config", "_nonce", "_pings", "heard_at", "rtt")

    def __init__(self, config: ChannelConfig, now: Instant) -> None:
        self.heard_at = now
        self.rtt: float | None = None  # seconds, of the last answered ping
        self._config = config
        self._pings: dict[int, Instant] = {}
        self._nonce = 0

    def ping(self, now: Instant) -> tuple[int, bool]:
        """The nonce to wait for, and whether a PING with it is to be sent."""
        if len(self._pings) >= MAX_PINGS:
            return self._nonce, False
        self._nonce += 1
        self._pings[self._nonce] = now
        return self._nonce, True

    def pong(self, nonce: int, now: Instant) -> float | None:
        """Seconds since the ping that this answers, with all earlier ones; None where nothing was asked."""
        sent_at = self._pings.get(nonce)
        if sent_at is None:
            return None
        self._pings = {later: at for later, at in self._pings.items() if later > nonce}
        self.rtt = now - sent_at
        return self.rtt

    def is_dead(self, now: Instant) -> bool:
        return now >= self.heard_at + self._config.dead_s

    def wants_ping(self, now: Instant) -> bool:
        """Whether it is time to ask for a sign of life, and none is asked for yet."""
        return not self._pings and now >= self.heard_at + self._config.keepalive_s

    def deadline(self) -> Instant:
        """When one of both becomes true."""
        patience = self._config.dead_s if self._pings else self._config.keepalive_s
        return Instant(self.heard_at + patience)
