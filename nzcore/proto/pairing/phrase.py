"""Both sides of a pairing by phrase as one machine (spec/pairing.md §3).

Bytes in any pieces go in, bytes to send come out, events say when there are words to compare and what the other side
decided. Knows no channel, no people and no clock; whoever runs it sees to one attempt a window.
"""

from enum import StrEnum
from typing import NamedTuple

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.hashing import hkdf, same_bytes, sha256
from nzcore.crypto.random import random_bytes
from nzcore.proto.identity.mnemonic import word_at

PROTOCOL = "/nz/pair/1"
COMMIT_LABEL = b"NZ-PAIR-01 commit"
PHRASE_LABEL = b"NZ-PAIR-01 phrase"
NONCE_BYTES = 32
HASH_BYTES = 32
WORDS = 3
WORD_BITS = 11
"""BIP-39 has 2,048 words: three are 33 bits, so a man in the middle passes once in eight thousand million."""

ACCEPT = b"\1"
WRITTEN = b"\2"


class State(StrEnum):
    COMMITMENT = "COMMITMENT"
    NONCE = "NONCE"
    OPENING = "OPENING"
    DECISION = "DECISION"
    """Words are known; the other person has not confirmed them yet."""
    WRITTEN = "WRITTEN"
    """The other person has confirmed; their node has not written the peer yet."""
    OVER = "OVER"


class Event(StrEnum):
    WORDS = "words"
    """`words` are there to be compared."""
    ACCEPTED = "accepted"
    """The other person has confirmed them."""
    WRITTEN = "written"
    """The other node has written this one as its peer."""


class Row(NamedTuple):
    size: int
    next: State


INITIATOR = {
    State.NONCE: Row(NONCE_BYTES, State.DECISION),
    State.DECISION: Row(len(ACCEPT), State.WRITTEN),
    State.WRITTEN: Row(len(WRITTEN), State.OVER),
}
RESPONDER = {
    State.COMMITMENT: Row(HASH_BYTES, State.OPENING),
    State.OPENING: Row(NONCE_BYTES, State.DECISION),
    State.DECISION: Row(len(ACCEPT), State.WRITTEN),
    State.WRITTEN: Row(len(WRITTEN), State.OVER),
}
"""What is awaited in each state and its size. Whatever does not fit ends the pairing."""


class Phrase:
    """One side of one attempt, made when its channel is open; good for nothing after an error."""

    def __init__(self, handshake_hash: bytes, *, initiator: bool) -> None:
        """`handshake_hash`: the channel's, 32 bytes. *Raises* UsageError `pair.bad-argument`."""
        if len(handshake_hash) != HASH_BYTES:
            raise UsageError("pair.bad-argument", size=len(handshake_hash))
        self.words: tuple[str, ...] = ()
        """The three words, once both nonces are known."""
        self.accepted_here = self.accepted_there = False
        self._hash = handshake_hash
        self._rows = INITIATOR if initiator else RESPONDER
        self._state = State.NONCE if initiator else State.COMMITMENT
        self._nonce = random_bytes(NONCE_BYTES)
        self._commitment = b""
        self._held = bytearray()
        self._outgoing = commitment(handshake_hash, self._nonce) if initiator else b""

    @property
    def state(self) -> State:
        return self._state

    @property
    def agreed(self) -> bool:
        """Whether both people have confirmed: only now may the peer be written."""
        return self.accepted_here and self.accepted_there

    def outgoing(self) -> bytes:
        """What is to be sent now, once; empty where nothing is."""
        taken, self._outgoing = self._outgoing, b""
        return taken

    def accept(self) -> None:
        """The person here has confirmed the words. *Raises* UsageError `pair.out-of-turn`."""
        if not self.words or self.accepted_here:
            raise UsageError("pair.out-of-turn")
        self.accepted_here = True
        self._outgoing += ACCEPT

    def written(self) -> None:
        """The peer is written here, durably. *Raises* UsageError `pair.out-of-turn` before both have confirmed."""
        if not self.agreed:
            raise UsageError("pair.out-of-turn")
        self._outgoing += WRITTEN

    def receive(self, data: bytes) -> list[Event]:
        """Takes the next bytes, in any pieces; holds at most one message of them.

        *Raises* PeerError `pair.broken-commitment` for a nonce that was not committed to, `pair.bad-message` for
        whatever may not come now.
        """
        events: list[Event] = []
        view = memoryview(data)
        while view:
            row = self._rows.get(self._state)
            if row is None:
                raise self._failed("pair.bad-message")
            missing = row.size - len(self._held)
            self._held += view[:missing]
            view = view[missing:]
            if len(self._held) == row.size:
                message = bytes(self._held)
                self._held.clear()
                events += self._take(message)
                self._state = row.next
        return events

    def _take(self, message: bytes) -> list[Event]:
        if self._state is State.COMMITMENT:
            self._commitment = message
            self._outgoing += self._nonce
            return []
        if self._state is State.NONCE:
            self._outgoing += self._nonce  # only now: the other side has chosen
            self.words = phrase(self._hash, self._nonce, message)
            return [Event.WORDS]
        if self._state is State.OPENING:
            if not same_bytes(self._commitment, commitment(self._hash, message)):
                raise self._failed("pair.broken-commitment")
            self.words = phrase(self._hash, message, self._nonce)
            return [Event.WORDS]
        if message != (ACCEPT if self._state is State.DECISION else WRITTEN) or (
            self._state is State.WRITTEN and not self.accepted_here
        ):
            raise self._failed("pair.bad-message")
        if self._state is State.DECISION:
            self.accepted_there = True
            return [Event.ACCEPTED]
        return [Event.WRITTEN]

    def _failed(self, code: str) -> PeerError:
        self._state = State.OVER
        self.words = ()
        self.accepted_here = self.accepted_there = False
        return PeerError(code)


def commitment(handshake_hash: bytes, nonce: bytes) -> bytes:
    """C: what the initiator says before it knows the responder's nonce."""
    return sha256(COMMIT_LABEL, b"\0", handshake_hash, nonce)


def phrase(handshake_hash: bytes, initiator_nonce: bytes, responder_nonce: bytes) -> tuple[str, ...]:
    """The words: the first 33 bits of what both nonces and the handshake give."""
    bits = WORDS * WORD_BITS
    size = -(-bits // 8)
    derived = hkdf(handshake_hash + initiator_nonce + responder_nonce, info=PHRASE_LABEL, length=size)
    number = int.from_bytes(derived, "big") >> (8 * size - bits)
    return tuple(word_at(number >> WORD_BITS * place & (1 << WORD_BITS) - 1) for place in reversed(range(WORDS)))
