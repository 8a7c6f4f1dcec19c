"""Names of a namespace in memory, for listing by prefix: read through once, then kept up by commits.

`get` and `put` never need it. A commit that happens while a namespace is being read is noted and applied afterwards,
so it does not matter which pages had seen it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager

MAX_NAMES = 1 << 20  # over all namespaces, about 100 MB; beyond it the namespaces listed longest ago are forgotten


class _Index:
    """Sorted names, and what commits have changed since they were sorted."""

    def __init__(self, names: list[str], noted: dict[str, bool]) -> None:
        self.names = sorted(names)
        self.noted = noted

    def __len__(self) -> int:
        return len(self.names) + len(self.noted)

    def settle(self) -> None:
        if self.noted:
            kept = [name for name in self.names if name not in self.noted]
            kept.extend(name for name, present in self.noted.items() if present)
            kept.sort()  # two runs that are nearly sorted: linear
            self.names, self.noted = kept, {}


class NameIndexes:
    """The indexes of those namespaces that somebody has listed."""

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        self._max_names = max_names
        self._indexes: dict[str, _Index] = {}  # in the order of their last listing
        self._loading: dict[str, list[dict[str, bool]]] = {}

    @property
    def idle(self) -> bool:
        """Whether there is nothing to keep up."""
        return not self._indexes and not self._loading

    def has(self, ns: str) -> bool:
        """Whether `select` can answer without reading."""
        return ns in self._indexes

    @contextmanager
    def loading(self, ns: str) -> Iterator[list[str]]:
        """A list to fill with the names on disk; leaving normally makes it the index."""
        names: list[str] = []
        noted: dict[str, bool] = {}
        self._loading.setdefault(ns, []).append(noted)
        try:
            yield names
        finally:
            loads = self._loading[ns]
            # By identity: two loads that have noted nothing are equal dicts.
            self._loading[ns] = [other for other in loads if other is not noted]
            if not self._loading[ns]:
                del self._loading[ns]
        self._indexes[ns] = _Index(names, noted)
        self._trim(ns)

    def note(self, ns: str, name: str, *, present: bool) -> None:
        """Takes in a committed change."""
        index = self._indexes.get(ns)
        if index is not None:
            index.noted[name] = present
            if len(index) > self._max_names:
                del self._indexes[ns]
        for noted in self._loading.get(ns, ()):
            noted[name] = present

    def clear(self) -> None:
        """Forgets everything that is not being read right now."""
        self._indexes.clear()

    def select(self, ns: str, prefix: str) -> list[str]:
        """Names under the prefix, sorted by code points."""
        index = self._indexes.pop(ns)
        self._indexes[ns] = index
        index.settle()
        size = len(prefix)
        first = bisect_left(index.names, prefix)
        last = bisect_right(index.names, prefix, lo=first, key=lambda name: name[:size])
        return index.names[first:last]

    def _trim(self, keep: str) -> None:
        total = sum(len(index) for index in self._indexes.values())
        for ns in list(self._indexes):
            if total <= self._max_names:
                return
            if ns != keep:
                total -= len(self._indexes.pop(ns))
