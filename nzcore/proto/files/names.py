"""Names of received files, made harmless on every system (spec/files.md §4).

What a name must not be on the wire, `manifest` refuses. What is merely unwise here is rewritten here: nothing is
refused because another system has another taste, and nothing hides, climbs, poses as a device or steers a terminal.
"""

import unicodedata

MAX_NAME_BYTES = 200
"""Longest name that is written: the 255 of common file systems, with room for a number and a working suffix."""

FALLBACK = "file"
_FORBIDDEN = frozenset('<>:"/\\|?*')  # what Windows refuses, and every separator
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, format (bidi), surrogates, private, lines
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)


def safe_name(name: str) -> str:
    """A name that can be one entry of a folder anywhere: never empty, hidden, a device, longer than 200 bytes.

    Idempotent: what is safe stays as it is.
    """
    kept = (_safe_character(character) for character in unicodedata.normalize("NFC", name))
    plain = unicodedata.normalize("NFC", "".join(kept)).strip(" ").rstrip(". ")
    if plain.startswith((".", "~", "-")):
        plain = f"_{plain}"  # hidden, a home, an option
    stem = plain.partition(".")[0].rstrip(" ").casefold()
    if stem in _DEVICES:
        plain = f"_{plain}"
    return _shortened(plain, MAX_NAME_BYTES) or FALLBACK


def numbered(name: str, number: int) -> str:
    """`name` itself for 1, else `stem (number).ending`."""
    if number == 1:
        return name
    stem, dot, ending = _split(name)
    return f"{stem} ({number}){dot}{ending}"


class FreeNames:
    """The names of one folder, no two the same to any file system. A million equal wishes take linear time."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, name: str) -> str:
        """The first of `name`, `name (2)`, … that is free; it is then taken."""
        wish = folded(name)
        number = self._next.get(wish, 1)
        while folded(numbered(name, number)) in self._taken:
            number += 1
        self._next[wish] = number + 1
        free = numbered(name, number)
        self._taken.add(folded(free))
        return free


def folded(name: str) -> str:
    """By which two names are the same to some file system: case and Unicode form aside."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _safe_character(character: str) -> str:
    category = unicodedata.category(character)
    if character in _FORBIDDEN or category in _HIDDEN:
        return "_"
    return " " if category == "Zs" else character


def _split(name: str) -> tuple[str, str, str]:
    """Stem, dot and ending; what follows the last dot is an ending only if it is short and there is a stem."""
    stem, dot, ending = name.rpartition(".")
    return (stem, dot, ending) if stem and len(ending.encode()) <= 16 else (name, "", "")


def _shortened(name: str, max_bytes: int) -> str:
    if len(name.encode()) <= max_bytes:
        return name
    stem, dot, ending = _split(name)
    room = max_bytes - len(f"{dot}{ending}".encode())
    cut = stem.encode()[:room].decode(errors="ignore").rstrip(". ")
    return f"{cut}{dot}{ending}"
