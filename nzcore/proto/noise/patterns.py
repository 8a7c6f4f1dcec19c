"""Handshake patterns as data, and the parser of their names (spec/noise.md §3; Noise rev. 34 §7, §9; HFS rev. 1 §5).

Knows names and the order of tokens: no keys, no bytes. What a token does stands in `handshake`.
"""

import re
from enum import Enum, unique
from functools import lru_cache
from typing import NamedTuple

from nzcore.base.errors import UsageError

PUBLIC_BYTES = 32  # X25519
KEM_PUBLIC_BYTES = 1184  # ML-KEM-768
KEM_CIPHERTEXT_BYTES = 1088
TAG_BYTES = 16  # ChaCha20-Poly1305


@unique
class Token(Enum):
    """One step of a message: a key sent, or a secret mixed in. The text is the specification's."""

    E = "e"
    S = "s"
    EE = "ee"
    ES = "es"
    SE = "se"
    SS = "ss"
    E1 = "e1"
    EKEM1 = "ekem1"
    PSK = "psk"

    def __init__(self, text: str) -> None:
        # Attributes, because a handshake asks them dozens of times and an Enum's hash and value cost 0.5 µs each.
        self.agrees = text in ("ee", "es", "se", "ss")
        """Mixes in a shared secret: of the keys whose letters follow."""
        self.initiators, self.responders = (text[0], text[1]) if self.agrees else ("", "")


# The messages in turn, the initiator's first. What is known before them follows from the name's letters: the first is
# the initiator's static key, the second the responder's (N: none, K: known beforehand, X and I: sent). One-way names
# have the sender's letter only; their recipient's key is always known.
_ONE_WAY = {
    "N": "e es",
    "K": "e es ss",
    "X": "e es s ss",
}
_FUNDAMENTAL = {
    "NN": "e / e ee",
    "NK": "e es / e ee",
    "NX": "e / e ee s es",
    "KN": "e / e ee se",
    "KK": "e es ss / e ee se",
    "KX": "e / e ee se s es",
    "XN": "e / e ee / s se",
    "XK": "e es / e ee / s se",
    "XX": "e / e ee s es / s se",
    "IN": "e s / e ee se",
    "IK": "e es s ss / e ee se",
    "IX": "e s / e ee se s es",
}
_DEFERRED = {
    "NK1": "e / e ee es",
    "NX1": "e / e ee s / es",
    "X1N": "e / e ee / s / se",
    "X1K": "e es / e ee / s / se",
    "XK1": "e / e ee es / s se",
    "X1K1": "e / e ee es / s / se",
    "X1X": "e / e ee s es / s / se",
    "XX1": "e / e ee s / es s se",
    "X1X1": "e / e ee s / es s / se",
    "K1N": "e / e ee / se",
    "K1K": "e es / e ee / se",
    "KK1": "e / e ee se es",
    "K1K1": "e / e ee es / se",
    "K1X": "e / e ee s es / se",
    "KX1": "e / e ee se s / es",
    "K1X1": "e / e ee s / se es",
    "I1N": "e s / e ee / se",
    "I1K": "e es s / e ee / se",
    "IK1": "e s / e ee se es",
    "I1K1": "e s / e ee es / se",
    "I1X": "e s / e ee s es / se",
    "IX1": "e s / e ee se s / es",
    "I1X1": "e s / e ee s / se es",
}
BASES = {**_ONE_WAY, **_FUNDAMENTAL, **_DEFERRED}

_MODIFIER = "hfs|psk[0-9]"
_NAME = re.compile(f"([NKXI1]{{1,4}})((?:{_MODIFIER})(?:\\+(?:{_MODIFIER}))*)?")

Message = tuple[Token, ...]


class Pattern(NamedTuple):
    """One handshake pattern with its modifiers applied."""

    name: str
    """As it stands in the protocol name: `XXhfs+psk0`."""
    protocol_name: str
    """The whole Noise protocol name, which is mixed into every key."""
    knows_initiator: bool
    """The responder knows the initiator's static key beforehand."""
    knows_responder: bool
    messages: tuple[Message, ...]
    overheads: tuple[int, ...]
    """Bytes of each message beyond its payload, in turn."""
    one_way: bool
    hybrid: bool
    psk_count: int
    initiator_has_static: bool
    responder_has_static: bool

    def has_static(self, *, initiator: bool) -> bool:
        """Whether that side needs a static key pair at all: its key is known beforehand, or it travels."""
        return self.initiator_has_static if initiator else self.responder_has_static


@lru_cache(maxsize=64)
def parse(name: str) -> Pattern:
    """The pattern of a name such as `N`, `XXpsk3` or `NNhfs+psk0`; modifiers in any order, each once.

    *Raises* UsageError `noise.unknown-pattern`.
    """
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in BASES:
        raise UsageError("noise.unknown-pattern", name=name)
    base, modifiers = match[1], match[2].split("+") if match[2] else []
    messages = [[Token(word) for word in message.split()] for message in BASES[base].split("/")]
    one_way = base in _ONE_WAY
    if len(set(modifiers)) != len(modifiers):
        raise UsageError("noise.unknown-pattern", name=name)
    for modifier in modifiers:
        if modifier == "hfs" and not one_way:
            _add_hfs(messages)
        elif modifier != "hfs" and int(modifier[3:]) <= len(messages):
            _add_psk(messages, int(modifier[3:]))
        else:
            raise UsageError("noise.unknown-pattern", name=name)
    letters = base.replace("1", "")
    frozen = tuple(tuple(message) for message in messages)
    hybrid = "hfs" in modifiers
    knows_initiator, knows_responder = letters[0] == "K", one_way or letters[1] == "K"
    return Pattern(
        name=name,
        protocol_name=f"Noise_{name}_25519{'+MLKEM768' if hybrid else ''}_ChaChaPoly_SHA256",
        knows_initiator=knows_initiator,
        knows_responder=knows_responder,
        messages=frozen,
        overheads=_overheads(frozen),
        one_way=one_way,
        hybrid=hybrid,
        psk_count=sum(message.count(Token.PSK) for message in frozen),
        initiator_has_static=knows_initiator or any(Token.S in message for message in frozen[0::2]),
        responder_has_static=knows_responder or any(Token.S in message for message in frozen[1::2]),
    )


def _add_psk(messages: list[list[Token]], place: int) -> None:
    """`psk0` opens the first message, `pskN` ends the Nth."""
    if place == 0:
        messages[0].insert(0, Token.PSK)
    else:
        messages[place - 1].append(Token.PSK)


def _add_hfs(messages: list[list[Token]]) -> None:
    """`e1` follows the first `e`, or the first agreement in that message, so that it is encrypted where it can be;
    `ekem1` follows the first `ee`."""
    opening = messages[0]
    agreement = next((at for at, token in enumerate(opening) if token.agrees), opening.index(Token.E))
    opening.insert(agreement + 1, Token.E1)
    answer = messages[1]
    answer.insert(answer.index(Token.EE) + 1, Token.EKEM1)


def _overheads(messages: tuple[Message, ...]) -> tuple[int, ...]:
    """Sizes follow from the tokens alone: everything but `e` is encrypted from the first key on."""
    with_psk = any(Token.PSK in message for message in messages)
    sizes = {Token.S: PUBLIC_BYTES, Token.E1: KEM_PUBLIC_BYTES, Token.EKEM1: KEM_CIPHERTEXT_BYTES}
    overheads, keyed = [], False
    for message in messages:
        total = 0
        for token in message:
            if token is Token.E:
                total += PUBLIC_BYTES
                keyed = keyed or with_psk
            elif token in sizes:
                total += sizes[token] + (TAG_BYTES if keyed else 0)
                keyed = keyed or token is Token.EKEM1
            else:
                keyed = True
        overheads.append(total + (TAG_BYTES if keyed else 0))
    return tuple(overheads)
