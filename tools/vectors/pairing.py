"""Makes vectors/pairing.json: phrases, and conversations that end in one or in a refusal (spec/pairing.md §3)."""

from collections.abc import Iterator

from nzcore.crypto.hashing import sha256
from nzcore.proto.pairing.phrase import ACCEPT, WRITTEN, commitment, phrase
from tools.vectors.identity_cast import Case, flip


def seed(name: str) -> bytes:
    return sha256(f"NZ-VECTORS-01 pairing {name}".encode())


HASH, NA, NB = seed("handshake hash"), seed("initiator's nonce"), seed("responder's nonce")


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/pairing.md",
        "comment": "byte strings are hex; `to` is what arrives at that side, whose nonce is `nonce`",
        "cases": list(_cases()),
    }


def _cases() -> Iterator[Case]:
    commit, words = commitment(HASH, NA), list(phrase(HASH, NA, NB))
    yield {
        "name": "a phrase",
        "comment": "commitment and words from both nonces",
        "expect": "ok",
        "handshake_hash": HASH.hex(),
        "na": NA.hex(),
        "nb": NB.hex(),
        "commitment": commit.hex(),
        "words": words,
    }
    other = seed("another handshake")
    yield {
        "name": "a man in the middle",
        "comment": "the same nonces in another handshake give other words",
        "expect": "ok",
        "handshake_hash": other.hex(),
        "na": NA.hex(),
        "nb": NB.hex(),
        "commitment": commitment(other, NA).hex(),
        "words": list(phrase(other, NA, NB)),
    }
    rows = [
        (
            "responder hears all",
            "commitment, opening, decision, written",
            "ok",
            "responder",
            commit + NA + ACCEPT + WRITTEN,
        ),
        ("initiator hears all", "nonce, decision, written", "ok", "initiator", NB + ACCEPT + WRITTEN),
        ("another nonce", "not the one committed to", "pair.broken-commitment", "responder", commit + flip(NA, 0)),
        (
            "a commitment from elsewhere",
            "made for another handshake",
            "pair.broken-commitment",
            "responder",
            commitment(other, NA) + NA,
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
    for name, comment, expect, to, data in rows:
        nonce = NA if to == "initiator" else NB
        yield {
            "name": name,
            "comment": comment,
            "expect": expect,
            "handshake_hash": HASH.hex(),
            "to": to,
            "nonce": nonce.hex(),
            "data": data.hex(),
            "words": words if expect == "ok" else [],
        }
