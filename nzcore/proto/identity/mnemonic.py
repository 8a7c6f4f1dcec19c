"""The mnemonic: 24 English words that are an identity's only root (NZ-IDENTITY-01 §4, BIP-39).

Knows words, entropy and the BIP-39 seed; nothing of keys. Errors name the place of a wrong word, never the words.
"""

import re
import unicodedata
from difflib import get_close_matches
from types import TracebackType
from typing import Self

import mnemonic as bip39

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.random import random_bytes
from nzcore.crypto.secrets import Hidden, SecretBytes

WORDS = 24
ENTROPY_BYTES = 32  # 256 bits: 24 words
SEED_BYTES = 64
TEXT_CHARACTERS = 1024  # 24 words of 8 letters with numbers and generous white space; more is not read
SUGGESTED_PLACES = 3  # unknown words for which the nearest words are looked up
_NUMBERING = re.compile(r"^[0-9]{1,2}[.):]?")  # how printed lists number their words

_BOOK = bip39.Mnemonic("english")
_KNOWN = {word: index for index, word in enumerate(_BOOK.wordlist)}


def word_at(index: int) -> str:
    """Word number `index` of BIP-39's 2,048 English words, from 0: for phrases that people compare."""
    return _BOOK.wordlist[index]


class Mnemonic(Hidden):
    """A valid mnemonic of 24 words. Hides itself; whoever made it wipes it. Usable as a context manager."""

    __slots__ = ("_entropy",)

    def __init__(self, entropy: bytes | bytearray) -> None:
        """*Raises* UsageError `identity.bad-argument` unless `entropy` has 32 bytes."""
        if len(entropy) != ENTROPY_BYTES:
            raise UsageError("identity.bad-argument", size=len(entropy))
        self._entropy = SecretBytes(entropy)

    @classmethod
    def generate(cls) -> Self:
        """A new one, from the system's randomness."""
        return cls(random_bytes(ENTROPY_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mnemonic that a person typed or pasted: case, white space and numbering of words don't matter.

        *Raises* PeerError `identity.bad-mnemonic`, with facts `problem` (`word-count`, `unknown-word`, `checksum`) and
        `count`; for unknown words also their `places`, from 1, and `unknown`: the first three of these places to the
        nearest words of the list. Those are near to a secret: for the person who typed it, not for a log.
        """
        if len(text) > TEXT_CHARACTERS:
            raise PeerError("identity.bad-mnemonic", "far more text than 24 words", problem="word-count")
        typed = unicodedata.normalize("NFKD", text).lower().split()
        words = [word for word in (_NUMBERING.sub("", part) for part in typed) if word]
        _refuse_unknown(words)
        if len(words) != WORDS:
            message = f"a mnemonic has {WORDS} words, not {len(words)}"
            raise PeerError("identity.bad-mnemonic", message, problem="word-count", count=len(words))
        joined = " ".join(words)
        if not _BOOK.check(joined):
            raise PeerError(
                "identity.bad-mnemonic",
                "all words are known, but one of them or their order is wrong",
                problem="checksum",
                count=len(words),
            )
        return cls(_BOOK.to_entropy(words))

    @property
    def words(self) -> tuple[str, ...]:
        """The 24 words: secret."""
        return tuple(self.reveal().split(" "))

    def reveal(self) -> str:
        """The words with single spaces: secret; for showing once on a terminal.

        *Raises* UsageError `crypto.wiped` after `wipe`.
        """
        return _BOOK.to_mnemonic(self._entropy.reveal())

    def seed(self) -> SecretBytes:
        """The 64-byte BIP-39 seed with an empty passphrase, after 2,048 rounds of PBKDF2; the caller wipes it.

        *Raises* UsageError `crypto.wiped` after `wipe`.
        """
        return SecretBytes(bip39.Mnemonic.to_seed(self.reveal(), passphrase=""))

    def wipe(self) -> None:
        """Forgets the words, as well as Python can: copies in strings that others hold remain."""
        self._entropy.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()


def nearest_words(word: str) -> list[str]:
    """Up to three words of the list, the likeliest first: those that begin alike, then those spelt alike."""
    begin = [known for known in _KNOWN if word and (known.startswith(word) or word.startswith(known))]
    alike = get_close_matches(word[:16], _KNOWN, n=3, cutoff=0.6)
    return list(dict.fromkeys([*alike, *begin]))[:3]


def _refuse_unknown(words: list[str]) -> None:
    places = [place for place, word in enumerate(words, 1) if word not in _KNOWN]
    if not places:
        return
    # Each suggestion costs a pass over the list; where more than a few are unknown, it is another text altogether.
    unknown = {place: nearest_words(words[place - 1]) for place in places[:SUGGESTED_PLACES]}
    first = places[0]
    near = ", ".join(unknown[first])
    raise PeerError(
        "identity.bad-mnemonic",
        f"word {first} is not in the list of words",
        hint=f"did you mean {near}" if near else "",
        problem="unknown-word",
        count=len(words),
        places=places,
        unknown=unknown,
    )
