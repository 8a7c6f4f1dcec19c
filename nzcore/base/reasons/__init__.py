"""The catalogue of reasons: every code that an error, a refusal or a wire message can carry, explained offline.

One file a room (`store.py` holds `store.*`), each with one dict `REASONS` from slug to `Reason`. A room is
imported only when one of its codes is explained. A test holds the catalogue and the code that raises to each other.
"""

from importlib import import_module
from typing import NamedTuple


class Reason(NamedTuple):
    """What a code means, what to try next, and its number on the wire (0: never on the wire)."""

    meaning: str
    hint: str
    wire: int = 0


def reason(code: str) -> Reason:
    """Looks up `room.slug`. *Raises* KeyError where no room declares it."""
    room, _, slug = code.partition(".")
    if room not in rooms():
        raise KeyError(code)
    return _declared(room)[slug]


def rooms() -> list[str]:
    """Names of all rooms, sorted."""
    from pkgutil import iter_modules  # costs 2 ms of every command's start, needed only to explain

    return sorted(module.name for module in iter_modules(__path__))


def catalogue() -> dict[str, Reason]:
    """All codes with their reasons, sorted by code."""
    return {f"{room}.{slug}": entry for room in rooms() for slug, entry in sorted(_declared(room).items())}


def _declared(room: str) -> dict[str, Reason]:
    declared: dict[str, Reason] = import_module(f"{__name__}.{room}").REASONS
    return declared
