"""Makes vectors/pairing.json: phrases, and conversations that end in one or in a refusal (spec/pairing.md §3)."""

from collections.abc import Iterator
from functools import partial

from nzcore.proto.pairing.phrase import ACCEPT, WRITTEN, commitment, phrase
from tools.vectors.identity_cast import Case, flip
from tools.vectors.seeds import seed_of

seed = partial(seed_of, "pairing")
HASH, NA, NB = seed("handshake hash"), seed("initiator's nonce"), seed("responder's nonce")
OTHER_HASH = seed("another handshake")
COMMIT = commitment(HASH, NA)

_HEARD = [  # name, comment, outcome, who hears it, what it hears
    (
        "responder hears all",
        "commitment, opening, decision, written",
        "ok",
        "responder",
        COMMIT + NA + ACCEPT + WRITTEN,
    ),
    ("initiator hears all", "nonce, decision, written", "ok", "initiator", NB + ACCEPT + WRITTEN),
    ("another nonce", "not the one committed to", "pair.broken-commitment", "responder", COMMIT + flip(NA, 0)),
    (
        "a commitment from elsewhere",
        "made for another handshake",
        "pair.broken-commitment",
        "responder",
        commitment(OTHER_HASH, NA) + NA,
    ),
    ("no decision", "a byte that is none", "pair.bad-message", "initiator", NB + b"\0"),
    ("written too early", "before the other side has decided", "pair.bad-message", "initiator", NB + WRITTEN),
    (
        "one byte more",
        "nothing follows the last message",
        "pair.bad-message",
        "initiator",
        NB + ACCEPT + WRITTEN + b"\2",
    ),
]


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/pairing.md",
        "comment": "byte strings are hex; `to` is what arrives at that side, whose nonce is `nonce`",
        "cases": [*_phrases(), *_conversations()],
    }


def _phrases() -> Iterator[Case]:
    for name, comment, handshake in (
        ("a phrase", "commitment and words from both nonces", HASH),
        ("a man in the middle", "the same nonces in another handshake give other words", OTHER_HASH),
    ):
        yield {
            "name": name,
            "comment": comment,
            "expect": "ok",
            "handshake_hash": handshake.hex(),
            "na": NA.hex(),
            "nb": NB.hex(),
            "commitment": commitment(handshake, NA).hex(),
            "words": list(phrase(handshake, NA, NB)),
        }


def _conversations() -> Iterator[Case]:
    for name, comment, expect, to, data in _HEARD:
        yield {
            "name": name,
            "comment": comment,
            "expect": expect,
            "handshake_hash": HASH.hex(),
            "to": to,
            "nonce": (NA if to == "initiator" else NB).hex(),
            "data": data.hex(),
            "words": list(phrase(HASH, NA, NB)) if expect == "ok" else [],
        }
