"""One side of a Noise handshake as a machine (Noise rev. 34 §5.3, HFS rev. 1 §4; spec/noise.md §5).

Messages in, messages out; no I/O, no clock. Knows no purposes: prologues, psks and what stands in payloads belong to
the callers. A message that fails leaves the state as it was; a handshake that was split is gone.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.aead import CountingCipher
from nzcore.crypto.keys import AgreementPublic, AgreementSecret, KemPublic, KemSecret
from nzcore.proto.noise.patterns import (
    KEM_CIPHERTEXT_BYTES,
    KEM_PUBLIC_BYTES,
    PUBLIC_BYTES,
    TAG_BYTES,
    Pattern,
    Token,
)
from nzcore.proto.noise.symmetric import Mark, SymmetricState

MESSAGE_BYTES = 65_535  # the specification's largest message, transport messages included
PSK_BYTES = 32


class Transport(NamedTuple):
    """What a finished handshake leaves: two ciphers and values that name it. Nobody closes it; drop it."""

    send: CountingCipher
    receive: CountingCipher
    handshake_hash: bytes
    exporter: bytes
    remote_static: AgreementPublic | None

    def __repr__(self) -> str:
        return f"<Transport {self.handshake_hash[:4].hex()}>"


class OneWayTransport(NamedTuple):
    """What a one-way handshake leaves: the sender seals with `cipher`, the recipient opens; there is no way back."""

    cipher: CountingCipher
    handshake_hash: bytes
    exporter: bytes
    remote_static: AgreementPublic | None

    def __repr__(self) -> str:
        return f"<OneWayTransport {self.handshake_hash[:4].hex()}>"


_Mark = tuple[
    Mark,
    AgreementSecret | None,
    KemSecret | None,
    AgreementPublic | None,
    KemPublic | None,
    AgreementPublic | None,
    int,
]
"""Where a handshake can return to: the SymmetricState's mark and all that a message can add beside it."""


_SPENT = SymmetricState("")
"""In the place of a state whose keys have gone to the transport; never asked for anything."""


class Handshake:
    """One side of one handshake, from its first message to its split.

    `static` is the caller's: it is not wiped here. Ephemeral keys are, at the split. Tests and vector tools fix the
    random choices by overriding the three `_new_…` methods; there is no parameter for them.
    """

    __slots__ = (
        *("_pattern", "_initiator", "_static", "_psks", "_next", "_consumed", "_symmetric"),
        *("_ephemeral", "_kem", "_remote_ephemeral", "_remote_kem", "_remote_static", "_psks_used"),
    )

    def __init__(
        self,
        pattern: Pattern,
        *,
        initiator: bool,
        prologue: bytes = b"",
        static: AgreementSecret | None = None,
        remote_static: AgreementPublic | None = None,
        psks: Sequence[bytes] = (),
    ) -> None:
        """Takes exactly the keys that the pattern needs: `static` where this side has one, `remote_static` where it
        is known beforehand, one psk of 32 bytes for each psk modifier in their order.

        *Raises* UsageError `noise.bad-setup`.
        """
        knows_remote = pattern.knows_responder if initiator else pattern.knows_initiator
        if (static is not None) != pattern.has_static(initiator=initiator):
            raise UsageError("noise.bad-setup", pattern=pattern.name, given="static")
        if (remote_static is not None) != knows_remote:
            raise UsageError("noise.bad-setup", pattern=pattern.name, given="remote_static")
        if len(psks) != pattern.psk_count or any(len(psk) != PSK_BYTES for psk in psks):
            raise UsageError("noise.bad-setup", pattern=pattern.name, given="psks")
        self._pattern = pattern
        self._initiator = initiator
        self._static = static
        self._psks = tuple(psks)
        self._remote_static = remote_static
        self._ephemeral: AgreementSecret | None = None
        self._kem: KemSecret | None = None
        self._remote_ephemeral: AgreementPublic | None = None
        self._remote_kem: KemPublic | None = None
        self._psks_used = 0
        self._next = 0
        self._consumed = False
        self._symmetric = SymmetricState(pattern.protocol_name)
        self._symmetric.mix_hash(prologue)
        self._mix_known_statics()

    def __repr__(self) -> str:
        role = "initiator" if self._initiator else "responder"
        return f"<Handshake {self._pattern.name} {role}, {self._next} of {len(self._pattern.messages)} messages>"

    @property
    def pattern(self) -> Pattern:
        return self._pattern

    @property
    def finished(self) -> bool:
        """All messages are exchanged; stays true after the split."""
        return self._next == len(self._pattern.messages)

    @property
    def writes_next(self) -> bool:
        """Whether the next message is ours to write."""
        return not self.finished and (self._next % 2 == 0) == self._initiator

    @property
    def remote_static(self) -> AgreementPublic | None:
        """The other side's static key, from the message that brought it on; proven only by what follows it.

        *Raises* UsageError `noise.consumed`.
        """
        self._check_alive()
        return self._remote_static

    @property
    def handshake_hash(self) -> bytes:
        """32 bytes, the same on both sides. *Raises* UsageError `noise.not-finished`, `noise.consumed`."""
        self._check_alive()
        if not self.finished:
            raise UsageError("noise.not-finished")
        return self._symmetric.get_handshake_hash()

    def write_message(self, payload: bytes = b"") -> bytes:
        """The next message, at most 65,535 bytes, with `payload` encrypted as far as the pattern can by then.

        *Raises* UsageError `noise.not-our-turn`, `noise.consumed`, `noise.payload-too-long`; PeerError
        `noise.weak-key` where a key that the other side sent earlier can't be used.
        """
        self._check_turn(ours=True)
        if len(payload) + self._pattern.overheads[self._next] > MESSAGE_BYTES:
            raise UsageError("noise.payload-too-long", size=len(payload))
        mark, done = self._mark(), False
        try:
            parts = [self._write(token) for token in self._pattern.messages[self._next]]
            parts.append(self._symmetric.encrypt_and_hash(payload))
            done = True
        finally:
            if not done:
                self._roll_back(mark)
        self._next += 1
        return b"".join(parts)

    def read_message(self, message: bytes) -> bytes:
        """The payload of the other side's next message.

        After an error the state is as before, and the genuine message still succeeds.
        *Raises* UsageError `noise.not-our-turn`, `noise.consumed`; PeerError `noise.message-too-long`,
        `noise.truncated`, `noise.weak-key`, `noise.reflected`, `noise.not-authentic`.
        """
        self._check_turn(ours=False)
        if len(message) > MESSAGE_BYTES:
            raise PeerError("noise.message-too-long", size=len(message))
        if len(message) < self._pattern.overheads[self._next]:
            raise PeerError("noise.truncated", size=len(message))
        mark, done = self._mark(), False
        try:
            at = 0
            for token in self._pattern.messages[self._next]:
                at = self._read(token, message, at)
            payload = self._symmetric.decrypt_and_hash(message[at:])
            done = True
        finally:
            if not done:
                self._roll_back(mark)
        self._next += 1
        return payload

    def split(self, export_label: str) -> Transport:
        """Ends the handshake: the ciphers of both directions, and HMAC(chaining key, `export_label` ‖0‖ hash).

        Once; every later use of the handshake raises UsageError `noise.consumed`.
        *Raises* UsageError `noise.not-finished`, `noise.consumed`, `noise.wrong-split` for one-way patterns.
        """
        first, second, handshake_hash, exporter, remote = self._consume(export_label, one_way=False)
        send, receive = (first, second) if self._initiator else (second, first)
        return Transport(CountingCipher(send), CountingCipher(receive), handshake_hash, exporter, remote)

    def split_one_way(self, export_label: str) -> OneWayTransport:
        """As `split`, for N, K and X: one cipher, since their recipient must never answer under these keys.

        *Raises* UsageError `noise.not-finished`, `noise.consumed`, `noise.wrong-split` for other patterns.
        """
        first, _, handshake_hash, exporter, remote = self._consume(export_label, one_way=True)
        return OneWayTransport(CountingCipher(first), handshake_hash, exporter, remote)

    # The three random choices of a handshake.

    def _new_ephemeral(self) -> AgreementSecret:
        return AgreementSecret.generate()

    def _new_kem(self) -> KemSecret:
        return KemSecret.generate()

    def _new_encapsulation(self, public: KemPublic) -> tuple[bytes, bytes]:
        """Secret and ciphertext."""
        return public.encapsulate()

    # Tokens.

    def _write(self, token: Token) -> bytes:
        """Does what `token` says to the sender; the bytes that it adds to the message."""
        symmetric = self._symmetric
        if token.agrees:
            symmetric.mix_key(self._agree(token))
            return b""
        if token is Token.E:
            self._ephemeral = self._new_ephemeral()
            self._mix_ephemeral(self._ephemeral.public)
            return self._ephemeral.public
        if token is Token.S:
            assert self._static is not None
            return symmetric.encrypt_and_hash(self._static.public)
        if token is Token.E1:
            self._kem = self._new_kem()
            return symmetric.encrypt_and_hash(self._kem.public)
        if token is Token.EKEM1:
            return self._encapsulate()
        self._mix_psk()
        return b""

    def _read(self, token: Token, message: bytes, at: int) -> int:
        """Does what `token` says to the recipient; where in `message` the next one begins."""
        if token.agrees:
            self._symmetric.mix_key(self._agree(token))
        elif token is Token.E:
            return self._read_ephemeral(message, at)
        elif token is Token.S:
            opened, at = self._open(message, at, PUBLIC_BYTES)
            self._remote_static = AgreementPublic(opened)
        elif token is Token.E1:
            opened, at = self._open(message, at, KEM_PUBLIC_BYTES)
            self._remote_kem = KemPublic(opened)
        elif token is Token.EKEM1:
            ciphertext, at = self._open(message, at, KEM_CIPHERTEXT_BYTES)
            assert self._kem is not None
            self._symmetric.mix_key(self._kem.decapsulate(ciphertext))
        else:
            self._mix_psk()
        return at

    def _open(self, message: bytes, at: int, size: int) -> tuple[bytes, int]:
        """A field of `size` bytes, with a tag once there is a key."""
        end = at + size + (TAG_BYTES if self._symmetric.has_key else 0)
        return self._symmetric.decrypt_and_hash(message[at:end]), end

    def _read_ephemeral(self, message: bytes, at: int) -> int:
        remote = AgreementPublic(message[at : at + PUBLIC_BYTES])
        local = self._ephemeral
        if local is not None and remote == local.public:
            raise PeerError("noise.reflected")
        self._remote_ephemeral = remote
        self._mix_ephemeral(remote)
        return at + PUBLIC_BYTES

    def _mix_ephemeral(self, public: AgreementPublic) -> None:
        self._symmetric.mix_hash(public)
        if self._psks:  # §9.2: or a psk alone would key messages that repeat
            self._symmetric.mix_key(public)

    def _mix_psk(self) -> None:
        used = self._psks_used
        self._symmetric.mix_key_and_hash(self._psks[used])
        self._psks_used = used + 1

    def _encapsulate(self) -> bytes:
        assert self._remote_kem is not None
        try:
            secret, ciphertext = self._new_encapsulation(self._remote_kem)
        except PeerError as error:
            raise PeerError("noise.weak-key") from error
        sealed = self._symmetric.encrypt_and_hash(ciphertext)
        self._symmetric.mix_key(secret)
        return sealed

    def _agree(self, token: Token) -> bytes:
        """The shared secret of `ee`, `es`, `se` or `ss`: the first letter is the initiator's key."""
        first, second = token.initiators, token.responders
        ours, theirs = (first, second) if self._initiator else (second, first)
        local = self._ephemeral if ours == "e" else self._static
        remote = self._remote_ephemeral if theirs == "e" else self._remote_static
        assert local is not None
        assert remote is not None
        try:
            return local.agree(remote)
        except PeerError as error:
            raise PeerError("noise.weak-key") from error

    # Turns and ends.

    def _mix_known_statics(self) -> None:
        local = None if self._static is None else self._static.public
        remote = self._remote_static
        initiators, responders = (local, remote) if self._initiator else (remote, local)
        if self._pattern.knows_initiator and initiators is not None:
            self._symmetric.mix_hash(initiators)
        if self._pattern.knows_responder and responders is not None:
            self._symmetric.mix_hash(responders)

    def _check_alive(self) -> None:
        if self._consumed:
            raise UsageError("noise.consumed")

    def _check_turn(self, *, ours: bool) -> None:
        self._check_alive()
        if self.finished or self.writes_next != ours:
            raise UsageError("noise.not-our-turn")

    def _mark(self) -> _Mark:
        return (
            self._symmetric.mark(),
            self._ephemeral,
            self._kem,
            self._remote_ephemeral,
            self._remote_kem,
            self._remote_static,
            self._psks_used,
        )

    def _roll_back(self, mark: _Mark) -> None:
        (
            symmetric,
            self._ephemeral,
            self._kem,
            self._remote_ephemeral,
            self._remote_kem,
            self._remote_static,
            self._psks_used,
        ) = mark
        self._symmetric.roll_back(symmetric)

    def _consume(
        self, export_label: str, *, one_way: bool
    ) -> tuple[bytes, bytes, bytes, bytes, AgreementPublic | None]:
        handshake_hash = self.handshake_hash
        if self._pattern.one_way != one_way:
            raise UsageError("noise.wrong-split", pattern=self._pattern.name)
        first, second = self._symmetric.split()
        exporter = self._symmetric.export(export_label)
        remote = self._remote_static
        for secret in (self._ephemeral, self._kem):
            if secret is not None:
                secret.wipe()
        self._consumed = True
        self._ephemeral = self._kem = None
        self._symmetric = _SPENT
        self._static = None
        self._psks = ()
        return first, second, handshake_hash, exporter, remote
