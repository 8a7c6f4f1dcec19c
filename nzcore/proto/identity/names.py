"""Names that people see: suggestions made harmless, and petnames made unique (NZ-IDENTITY-01 §8).

A name in a certificate is a suggestion by its owner and may be anything; what is shown is `sanitise`d. A petname is
ours: unique in this node, typed in commands, so it can't hide, can't start like an option and can't pose as an id.
Letters that merely look alike in two scripts are not told apart here: that is what NodeIds are for.
"""

import unicodedata
from collections.abc import Collection

from nzcore.base import limits
from nzcore.base.errors import UsageError
from nzcore.base.ids import IdentityId, NodeId

FALLBACK = "peer"
MARKS = 2  # combining marks kept in a row: enough for every living script's words, too few to climb out of a line
READ_CHARACTERS = 256  # of a suggestion; the rest is not looked at
_REFUSED = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn"}
)  # control, format (bidi, zero-width), surrogate, private, unassigned
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for code in (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}  # shown as nothing although Unicode calls them letters, marks or symbols
_PLAIN = frozenset("-_.")  # beside letters, digits and marks, what a petname may hold


def sanitise(text: str, max_bytes: int = limits.NAME_BYTES) -> str:
    """`text` in NFC without control, bidi or invisible characters, on one line, at most `max_bytes`; may be empty.

    Idempotent: what is sanitised stays as it is.
    """
    if len(text) <= min(max_bytes, READ_CHARACTERS) and text.isascii() and text.isprintable():
        return " ".join(text.split())  # as below, without a look at each character
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text[:READ_CHARACTERS]):
        category = unicodedata.category(character)
        if character.isspace():
            character, category = " ", "Zs"
        elif category in _REFUSED or character in _INVISIBLE:
            continue
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= MARKS:
            kept.append(character)
    return _cut(" ".join(unicodedata.normalize("NFC", "".join(kept)).split()), max_bytes).strip()


def unique_petname(suggestion: str, taken: Collection[str]) -> str:
    """A petname made from `suggestion` that equals none of `taken` however written: `bob`, else `bob-2`, `bob-3`…

    An unusable suggestion becomes `peer`.
    """
    base = _plain(suggestion)
    folded = {fold(name) for name in taken}
    name, number = base, 1
    while fold(name) in folded:
        number += 1
        ending = f"-{number}"
        name = _cut(base, limits.NAME_BYTES - len(ending)).rstrip("-_.") + ending
    return name


def check_petname(name: str) -> str:
    """`name` itself, where it can be a petname. *Raises* UsageError `identity.bad-petname` with a `usable` one."""
    usable = _plain(name)
    if name != usable:
        raise UsageError("identity.bad-petname", usable=usable)
    return name


def fold(name: str) -> str:
    """What two petnames are compared by: compatibility forms and case folded, so that `Bob` and `ｂｏｂ` are one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _plain(text: str) -> str:
    """The usable petname nearest to `text`: letters, digits, marks and `-_.`, beginning with a letter or a digit."""
    parts = [c if c in _PLAIN or unicodedata.category(c)[0] in "LMN" else "-" for c in sanitise(text)]
    joined = "-".join(part for part in "".join(parts).split("-") if part)
    while joined and not joined[0].isalnum():
        joined = joined[1:]
    joined = joined.rstrip("-_.")
    if joined.lower().startswith((f"{NodeId.PREFIX}1", f"{IdentityId.PREFIX}1")):
        joined = _cut(f"{FALLBACK}-{joined}", limits.NAME_BYTES).rstrip("-_.")
    return joined or FALLBACK


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")
