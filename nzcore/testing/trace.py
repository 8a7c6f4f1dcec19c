"""What happened in a world, in order, and one hash of it: two runs of one seed must agree on it.

Events count, not bytes: keys and ciphertexts differ in every run. Times are rounded to the microsecond.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from nzcore.kernel import Event
from nzcore.node.plain import plain


class Happened(NamedTuple):
    """One event of one node."""

    at: float
    """Virtual seconds since the world began."""
    node: str
    topic: str
    value: object


class Trace:
    """The events of all nodes of a world: all of them, or the last `remember`; the hash is always over all."""

    def __init__(self, remember: int | None = None) -> None:
        self._all: deque[Happened] = deque(maxlen=remember)
        self._hash = hashlib.sha256()

    def add(self, at: float, node: str, event: Event) -> None:
        happened = Happened(round(at, 6), node, event.topic, event.value)
        self._all.append(happened)
        self._hash.update(repr((*happened[:3], plain(event.value))).encode())

    def __iter__(self) -> Iterator[Happened]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def of(self, node: str, topic: str = "") -> list[Happened]:
        """The events of one node, of one topic if named."""
        return [one for one in self._all if one.node == node and topic in ("", one.topic)]

    @property
    def digest(self) -> str:
        """SHA-256 over everything so far, in hexadecimal."""
        return self._hash.hexdigest()
