"""Both sides of a channel's handshake as machines (NZ-HANDSHAKE-01 §5).

Bytes in any pieces go in, bytes to send come out; at the end an `Established`. Every PeerError means the same to the
shell: close without a byte. Only a finished handshake may be answered with more, because only then are there keys to
say it under (`may_answer`). Deadlines are the shell's; their lengths stand here.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.proto.handshake.payload import PAYLOAD_BYTES, Introduction, Payload, decode_payload, encode_payload
from nzcore.proto.handshake.preface import (
    MAGIC,
    NO_TICKET,
    PREFACE_BYTES,
    Mode,
    Preface,
    decode_preface,
    derive_psk,
    prologue,
    ticket_id,
)
from nzcore.proto.handshake.verdict import Directory, Policy, Verdict, identify, judge
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.noise.kernel import CHANNEL_EXPORT, CHANNEL_MESSAGES, Handshake, Transport, channel_handshake

MESSAGE1_S = 2
"""Seconds that a responder waits for preface and message 1, which travel together."""

HANDSHAKE_S = 10
"""Seconds that either side grants the whole handshake."""

LENGTH_BYTES = 2
FIRST, SECOND, THIRD = CHANNEL_MESSAGES
"""Bytes of the three messages beyond their payloads; the first has none."""


class State(StrEnum):
    PREFACE = "PREFACE"
    MESSAGE_1 = "MESSAGE 1"
    MESSAGE_2 = "MESSAGE 2"
    MESSAGE_3 = "MESSAGE 3"
    DONE = "DONE"
    """Established or refused: the channel's from here on."""
    DEAD = "DEAD"
    """Something was wrong: close without a byte."""


class Act(StrEnum):
    """What is done with what was awaited."""

    CHECK = "check its form"
    ANSWER = "find psk, open, send message 2"
    FINISH = "open, identify, judge, send message 3, split"
    JUDGE = "open, identify, split, judge"


class Row(NamedTuple):
    smallest: int
    largest: int
    act: Act
    next: State


INITIATOR = {
    State.MESSAGE_2: Row(SECOND + 1, SECOND + PAYLOAD_BYTES, Act.FINISH, State.DONE),
}
RESPONDER = {
    State.PREFACE: Row(PREFACE_BYTES, PREFACE_BYTES, Act.CHECK, State.MESSAGE_1),
    State.MESSAGE_1: Row(FIRST, FIRST, Act.ANSWER, State.MESSAGE_3),
    State.MESSAGE_3: Row(THIRD + 1, THIRD + PAYLOAD_BYTES, Act.JUDGE, State.DONE),
}
"""What is awaited in each state, the sizes it may have, what is done with it. Whatever fails leads to DEAD."""

_ANSWERED = (Act.ANSWER, Act.FINISH)


class Established(Struct, frozen=True, kw_only=True):
    """A finished handshake: who is there, and the keys of the channel. Nobody closes it; drop it."""

    transport: Transport
    certificate: Certificate
    """The other node's, verified. If it is newer than the one known, or final, the shell remembers it."""
    boot: bytes
    """16 random bytes of the other process: tells a restart from a second connection."""
    version: str
    features: tuple[str, ...]
    initiator: bool
    mode: Mode
    tid: bytes
    refusal: str = ""
    """Responder only: the code to say in CLOSE, the one frame that this channel may then carry."""
    evidence: Certificate | None = None
    """To go into that CLOSE: what the other node may not know of itself."""


class _Machine(ABC):
    """Cuts what is awaited out of the bytes, hands it to the row's act, and dies of the first error."""

    def __init__(
        self,
        keys: NodeKeys,
        boot: bytes,
        introduction: Introduction,
        directory: Directory,
        policy: Policy,
        *,
        rows: dict[State, Row],
        state: State,
    ) -> None:
        self._keys = keys
        self._payload = encode_payload(keys.certificate.encoded, boot, introduction)
        self._directory = directory
        self._policy = policy
        self._rows = rows
        self._noise: Handshake | None = None
        self._held = bytearray()
        self._outgoing = b""
        self.state = state

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.state.value}>"

    @property
    def may_answer(self) -> bool:
        """Whether anything may be sent besides `outgoing`: only once there is a channel to say it in."""
        return self.state is State.DONE

    @property
    def rest(self) -> bytes:
        """What came behind the last message: the channel's first bytes."""
        return bytes(self._held) if self.state is State.DONE else b""

    def outgoing(self) -> bytes:
        """What is to be sent now, once; empty where nothing is."""
        taken, self._outgoing = self._outgoing, b""
        return taken

    def receive(self, data: bytes | bytearray | memoryview) -> Established | None:
        """Takes the next bytes, in any pieces; a result once the last message is there and good.

        *Raises* PeerError `handshake.*`, `noise.*`, `identity.*`, `codec.*`, `crypto.*`: the shell closes without a
        byte. UsageError `handshake.over` after an end. Holds what it was given and at most one message more.
        """
        if self.state not in self._rows:
            raise UsageError("handshake.over", state=self.state.value)
        self._held += data
        done = False
        try:
            established = self._advance()
            done = True
        finally:
            if not done:
                self._die()
        return established

    def _advance(self) -> Established | None:
        while True:
            row = self._rows[self.state]
            message = self._cut(row)
            if message is None:
                return None
            if self._held and row.act in _ANSWERED:  # nobody can know yet what to say to our answer
                raise PeerError("handshake.early", state=self.state.value)
            established = self._act(row.act, message)
            self.state = row.next
            if established is not None:
                self._noise, self._payload = None, b""
                return established

    def _cut(self, row: Row) -> bytes | None:
        """What the row awaits, without its length; None while it is incomplete."""
        held = self._held
        if self.state is State.PREFACE:
            start, size = 0, PREFACE_BYTES
            if not MAGIC.startswith(bytes(held[: len(MAGIC)])):
                raise PeerError("handshake.bad-preface")
        else:
            if len(held) < LENGTH_BYTES:
                return None
            start, size = LENGTH_BYTES, held[0] << 8 | held[1]
            if not row.smallest <= size <= row.largest:
                raise PeerError("handshake.bad-length", size=size, state=self.state.value)
        if len(held) < start + size:
            return None
        message = bytes(held[start : start + size])
        del held[: start + size]
        return message

    @abstractmethod
    def _act(self, act: Act, message: bytes) -> Established | None:
        """Does what a row says with what it awaited. *Raises* PeerError."""

    def _die(self) -> None:
        self.state = State.DEAD
        self._noise, self._payload, self._outgoing = None, b"", b""
        self._held.clear()

    def _new_noise(self, preface: Preface, psk: bytes, *, initiator: bool) -> Handshake:
        """For vectors and tests to override: a handshake whose random choices are fixed."""
        return channel_handshake(
            initiator=initiator, prologue=prologue(preface.encode()), static=self._keys.agreement, psk=psk
        )

    def _queue(self, message: bytes) -> None:
        self._outgoing += len(message).to_bytes(LENGTH_BYTES, "big") + message


class Initiator(_Machine):
    """The side that dials. Its preface and message 1 are ready at once."""

    def __init__(
        self,
        keys: NodeKeys,
        boot: bytes,
        introduction: Introduction,
        directory: Directory,
        *,
        target: NodeId | None,
        mode: Mode = Mode.KNOWN,
        ticket_secret: bytes | None = None,
        instance: bytes | None = None,
        policy: Policy | None = None,
    ) -> None:
        """`target` is needed except in mode WINDOW, and binds there too; `ticket_secret` (16 B) belongs to TICKET,
        `instance` to WINDOW. `boot` has 16 bytes. `keys` stay the caller's.

        *Raises* UsageError `handshake.bad-setup`, `handshake.own-node` for a dial to this very node.
        """
        super().__init__(keys, boot, introduction, directory, policy or _welcome, rows=INITIATOR, state=State.MESSAGE_2)
        if target == keys.node:
            raise UsageError("handshake.own-node", node=keys.node)
        self._target = target
        self._preface = Preface(mode, NO_TICKET if ticket_secret is None else ticket_id(ticket_secret))
        psk = derive_psk(
            self._preface,
            responder=target,
            instance=instance,
            ticket_secret=ticket_secret,
            network_secret=directory.network_secret,
        )
        self._noise = self._new_noise(self._preface, psk, initiator=True)
        self._outgoing = self._preface.encode()
        self._queue(self._noise.write_message())

    def _act(self, act: Act, message: bytes) -> Established:
        """Message 2: everything is checked before message 3 tells the other side who dials."""
        noise = self._noise
        assert noise is not None
        said = decode_payload(noise.read_message(message))
        certificate = identify(said.certificate, noise.remote_static)
        if self._target is not None and certificate.node != self._target:
            raise PeerError("handshake.other-node", expected=self._target, got=certificate.node)
        mode, tid = self._preface
        verdict = judge(certificate, self._keys.certificate, self._directory, self._policy, mode, tid)
        if verdict.refusal:
            raise PeerError(verdict.refusal, certificate=certificate, evidence=verdict.evidence)
        self._queue(noise.write_message(self._payload))
        return _established(noise, said, certificate, self._preface, verdict, initiator=True)


class Responder(_Machine):
    """The side that was dialled. It sends nothing to anybody who could not have made message 1."""

    def __init__(
        self, keys: NodeKeys, boot: bytes, introduction: Introduction, directory: Directory, *, policy: Policy
    ) -> None:
        """`boot` has 16 bytes. `keys` stay the caller's. *Raises* UsageError `handshake.bad-setup`."""
        super().__init__(keys, boot, introduction, directory, policy, rows=RESPONDER, state=State.PREFACE)
        self._preface: Preface | None = None

    def _act(self, act: Act, message: bytes) -> Established | None:
        if act is Act.CHECK:
            self._preface = decode_preface(message)
            return None
        assert self._preface is not None
        if act is Act.ANSWER:
            self._answer(self._preface, message)
            return None
        return self._judge(self._preface, message)

    def _answer(self, preface: Preface, message: bytes) -> None:
        """Message 1. What depends on this node's state is decided here and not at the preface: else a preface alone
        would tell a prober whether a window is open or a ticket waits."""
        noise = self._new_noise(preface, self._find_psk(preface), initiator=False)
        try:
            noise.read_message(message)
        except PeerError as error:
            raise PeerError("handshake.silence", mode=preface.mode.name) from error
        self._queue(noise.write_message(self._payload))
        self._noise = noise

    def _find_psk(self, preface: Preface) -> bytes:
        directory, mode = self._directory, preface.mode
        secret = directory.ticket_secret(preface.tid) if mode is Mode.TICKET else None
        instance = directory.window if mode is Mode.WINDOW else None
        if mode is Mode.TICKET and secret is None:
            raise PeerError("handshake.unknown-ticket", tid=preface.tid)
        if mode is Mode.WINDOW and instance is None:
            raise PeerError("handshake.not-offered", mode=mode.name)
        return derive_psk(
            preface,
            responder=self._keys.node,
            instance=instance,
            ticket_secret=secret,
            network_secret=directory.network_secret,
        )

    def _judge(self, preface: Preface, message: bytes) -> Established:
        noise = self._noise
        assert noise is not None
        said = decode_payload(noise.read_message(message))
        certificate = identify(said.certificate, noise.remote_static)
        mode, tid = preface
        verdict = judge(certificate, self._keys.certificate, self._directory, self._policy, mode, tid)
        return _established(noise, said, certificate, preface, verdict, initiator=False)


def _established(
    noise: Handshake, said: Payload, certificate: Certificate, preface: Preface, verdict: Verdict, *, initiator: bool
) -> Established:
    """Ends the handshake: what either side hands to its shell."""
    return Established(
        transport=noise.split(CHANNEL_EXPORT),
        certificate=certificate,
        boot=said.boot,
        version=said.version,
        features=said.features,
        initiator=initiator,
        mode=preface.mode,
        tid=preface.tid,
        refusal=verdict.refusal,
        evidence=verdict.evidence,
    )


def _welcome(certificate: Certificate, mode: Mode, tid: bytes) -> str:
    """An initiator's policy where the shell gives none: it has chosen whom to dial."""
    return ""
