"""New keys inside an open channel (spec/channel.md §7).

A fresh handshake runs in REKEY frames, keyed by the old session and by a static-static DH that is computed anew. Only
the channel's initiator starts; the responder may ask. Each direction switches at an explicit frame, the last of its
record, so both sides agree which record is the first under the new key.
"""

from collections.abc import Callable
from enum import IntEnum, StrEnum

from nzcore.base.errors import PeerError
from nzcore.base.instant import Instant
from nzcore.crypto.hashing import hmac_sha256
from nzcore.proto.channel.config import (
    OWN_REKEY_BURST,
    OWN_REKEY_RATE,
    REKEY_BURST,
    REKEY_PROGRESS_S,
    REKEY_RATE,
    ChannelConfig,
)
from nzcore.proto.channel.frames import REKEY
from nzcore.proto.channel.records import RecordReader, RecordWriter
from nzcore.proto.noise.kernel import CHANNEL_EXPORT, Handshake, Transport, rekey_handshake

PROLOGUE_LABEL = b"NZ-REKEY-01\0"
PSK_LABEL = b"NZ-CHANNEL-01 rekey\0"


class Step(IntEnum):
    """First byte of a REKEY frame's payload."""

    ASK = 0
    M1 = 1
    M2 = 2
    DONE = 3


class Phase(StrEnum):
    IDLE = "IDLE"
    ASKED = "ASKED"
    """Responder: has asked the initiator to start."""
    SENT = "SENT"
    """Initiator: M1 is on its way."""
    WAIT = "WAIT"
    """Responder: M2 is on its way, under the old key; what it sends now goes under the new one."""


class Cause(StrEnum):
    """What may move a rekey besides a frame from the other side."""

    LIMIT = "limit"


class Act(StrEnum):
    """What is done with a cause or a step."""

    ASK = "send ASK"
    START = "send M1"
    ANSWER = "send M2 under old tx; tx := new"
    FINISH = "rx := new; send DONE under old tx; tx := new; wipe"
    SETTLE = "rx := new; wipe"
    IGNORE = "ignore"


INITIATOR = {
    (Phase.IDLE, Cause.LIMIT): (Act.START, Phase.SENT),
    (Phase.IDLE, Step.ASK): (Act.START, Phase.SENT),
    (Phase.SENT, Cause.LIMIT): (Act.IGNORE, Phase.SENT),
    (Phase.SENT, Step.ASK): (Act.IGNORE, Phase.SENT),
    (Phase.SENT, Step.M2): (Act.FINISH, Phase.IDLE),
}
RESPONDER = {
    (Phase.IDLE, Cause.LIMIT): (Act.ASK, Phase.ASKED),
    (Phase.IDLE, Step.M1): (Act.ANSWER, Phase.WAIT),
    (Phase.ASKED, Cause.LIMIT): (Act.IGNORE, Phase.ASKED),
    (Phase.ASKED, Step.M1): (Act.ANSWER, Phase.WAIT),
    (Phase.WAIT, Cause.LIMIT): (Act.IGNORE, Phase.WAIT),
    (Phase.WAIT, Step.DONE): (Act.SETTLE, Phase.IDLE),
}
"""Anything else drops the channel."""


class Allowance:
    """So many at once, and so many a second afterwards."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: int, rate: float, now: Instant) -> None:
        self._burst = self._left = float(burst)
        self._rate = rate
        self._at = now

    def take(self, now: Instant) -> bool:
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1 - 1e-6:  # the clock's rounding must not make `ready_at` come too early
            return False
        self._left -= 1
        return True

    def ready_at(self) -> Instant:
        """When `take` succeeds again."""
        return Instant(self._at + max(0.0, 1 - self._left) / self._rate)


class Rekey:
    """One side's rekeying over the life of a channel: handed a step or the time, packs frames, switches ciphers."""

    def __init__(
        self,
        writer: RecordWriter,
        reader: RecordReader,
        transport: Transport,
        *,
        initiator: bool,
        agree: Callable[[], bytes],
        config: ChannelConfig,
        now: Instant,
    ) -> None:
        self.phase = Phase.IDLE
        self.count = 0  # keys of the channel that were replaced
        self._table = INITIATOR if initiator else RESPONDER
        self._writer = writer
        self._reader = reader
        self._exporter = transport.exporter
        self._hash = transport.handshake_hash
        self._agree = agree
        self._config = config
        self._keyed_at = now
        self._moved_at = now
        self._handshake: Handshake | None = None
        self._pending: Transport | None = None
        self._wanted = False  # by our own application
        self._ours = Allowance(OWN_REKEY_BURST, OWN_REKEY_RATE, now)
        self._theirs = Allowance(REKEY_BURST, REKEY_RATE, now)

    def due(self, now: Instant) -> bool:
        """Whether the keys have served long enough, or new ones are wanted.

        *Raises* PeerError `channel.key-exhausted` where records could not be sealed for that reason.
        """
        writer, reader, config = self._writer, self._reader, self._config
        if writer.is_exhausted:
            raise PeerError("channel.key-exhausted")
        return (
            self._wanted
            or writer.records >= config.rekey_records
            or reader.records >= config.rekey_records
            or writer.bytes >= config.rekey_bytes
            or reader.bytes >= config.rekey_bytes
            or now >= self._keyed_at + config.rekey_s
        )

    def deadline(self) -> Instant:
        """When `tick` has something to do, if nothing comes before."""
        if self.phase is not Phase.IDLE:
            return Instant(self._moved_at + REKEY_PROGRESS_S)
        ready_at = self._ours.ready_at()
        return ready_at if self._wanted else max(Instant(self._keyed_at + self._config.rekey_s), ready_at)

    def tick(self, now: Instant) -> None:
        """Starts or asks where it is due. *Raises* PeerError `channel.rekey-stalled`, `channel.key-exhausted`."""
        if self.phase is not Phase.IDLE and now >= self._moved_at + REKEY_PROGRESS_S:
            raise PeerError("channel.rekey-stalled", phase=self.phase.value)
        if self.due(now):
            self.start(now)

    def start(self, now: Instant, *, asked: bool = False) -> None:
        """Starts (initiator) or asks (responder); nothing while one is under way.

        Later where we have caused too many lately; `asked`, by the application, is then remembered.
        """
        if self.phase is not Phase.IDLE:
            self._move(Cause.LIMIT, b"", now)
        elif self._ours.take(now):
            self._wanted = False
            self._move(Cause.LIMIT, b"", now)
        else:
            self._wanted = self._wanted or asked

    def receive(self, payload: bytes, now: Instant) -> bool:
        """A REKEY frame's payload; true when the keys of both directions are new.

        *Raises* PeerError `channel.bad-frame`, `channel.out-of-turn`, `channel.control-flood`, `noise.*`: the channel
        is to be dropped.
        """
        try:
            step = Step(payload[0])
        except (IndexError, ValueError):
            raise PeerError("channel.bad-frame") from None
        caused = self.phase is Phase.IDLE and step in (Step.ASK, Step.M1)  # not an answer to anything of ours
        if caused and not self._theirs.take(now):
            raise PeerError("channel.control-flood")
        return self._move(step, payload[1:], now)

    def drop(self) -> None:
        """Forgets all secrets."""
        if self._pending is not None:
            self._pending.receive.wipe()
        self._handshake, self._pending, self._exporter = None, None, b""

    def _move(self, cause: Cause | Step, message: bytes, now: Instant) -> bool:
        row = self._table.get((self.phase, cause))
        if row is None:
            raise PeerError("channel.out-of-turn", phase=self.phase.value, cause=cause.name)
        act, phase = row
        if message and act not in (Act.ANSWER, Act.FINISH):  # ASK and DONE are bare
            raise PeerError("channel.bad-frame")
        if act is Act.IGNORE:
            return False
        finished = self._act(act, message)
        self.phase, self._moved_at = phase, now
        if finished:
            self.count += 1
            self._keyed_at = now
            self._wanted = False
        return finished

    def _act(self, act: Act, message: bytes) -> bool:
        if act is Act.ASK:
            self._send(Step.ASK, b"")
        elif act is Act.START:
            self._handshake = self._new_handshake(initiator=True)
            self._send(Step.M1, self._handshake.write_message())
        elif act is Act.ANSWER:
            handshake = self._new_handshake(initiator=False)
            self._read_empty(handshake, message)
            self._send(Step.M2, handshake.write_message())
            self._pending = handshake.split(CHANNEL_EXPORT)
            self._writer.switch(self._pending.send)
        elif act is Act.FINISH:
            assert self._handshake is not None
            self._read_empty(self._handshake, message)
            fresh = self._handshake.split(CHANNEL_EXPORT)
            self._reader.switch(fresh.receive)
            self._send(Step.DONE, b"")
            self._writer.switch(fresh.send)
            self._adopt(fresh)
        else:
            assert self._pending is not None
            self._reader.switch(self._pending.receive)
            self._adopt(self._pending)
        return act in (Act.FINISH, Act.SETTLE)

    def _new_handshake(self, *, initiator: bool) -> Handshake:
        prologue, psk = self._binding()
        return rekey_handshake(initiator=initiator, prologue=prologue, psk=psk)

    def _binding(self) -> tuple[bytes, bytes]:
        """Prologue and psk of the next rekey: what ties it to this channel, and to both static keys."""
        number = (self.count + 1).to_bytes(4, "big")
        return PROLOGUE_LABEL + self._hash + number, hmac_sha256(self._exporter, PSK_LABEL, number, self._agree())

    @staticmethod
    def _read_empty(handshake: Handshake, message: bytes) -> None:
        if handshake.read_message(message):
            raise PeerError("channel.bad-frame")

    def _send(self, step: Step, message: bytes) -> None:
        self._writer.frame(REKEY, 0, bytes([step]) + message)
        self._writer.seal()

    def _adopt(self, fresh: Transport) -> None:
        self._exporter, self._hash = fresh.exporter, fresh.handshake_hash
        self._handshake, self._pending = None, None
