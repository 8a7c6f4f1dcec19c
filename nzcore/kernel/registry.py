"""The services that are known, and who requires whom (spec/core.md §3): no cycles, no unknown names.

Knows policies and order only: nothing runs here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from nzcore.base.errors import UsageError
from nzcore.kernel.service import ServiceSpec


class Registry:
    """Specs by name, and the start order: dependencies first, otherwise as they were added."""

    def __init__(self) -> None:
        self._specs: dict[str, ServiceSpec] = {}
        self._order: tuple[str, ...] = ()
        self._dependants: dict[str, tuple[str, ...]] = {}
        self._all_dependants: dict[str, tuple[str, ...]] = {}  # found when asked for; forgotten when the graph changes

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[str]:
        """Names in start order."""
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, name: str) -> ServiceSpec:
        """*Raises* UsageError `kernel.unknown-service`."""
        try:
            return self._specs[name]
        except KeyError:
            raise UsageError("kernel.unknown-service", f"no service is called {name!r}", service=name) from None

    def add(self, *specs: ServiceSpec) -> None:
        """Adds all of them or none; they may require each other in any order.

        *Raises* UsageError `kernel.duplicate-name`, `kernel.unknown-dependency`, `kernel.dependency-cycle`.
        """
        known = dict(self._specs)
        for spec in specs:
            if spec.name in known:
                raise UsageError("kernel.duplicate-name", f"two services are called {spec.name!r}", service=spec.name)
            known[spec.name] = spec
        self._take(known, _start_order(known))

    def remove(self, name: str) -> None:
        """*Raises* UsageError `kernel.unknown-service`, `kernel.has-dependants`."""
        if users := self.dependants(name):
            raise has_dependants(name, users)
        self._take(
            {key: spec for key, spec in self._specs.items() if key != name}, tuple(n for n in self._order if n != name)
        )

    def dependants(self, name: str) -> tuple[str, ...]:
        """Who requires it directly, in start order. *Raises* UsageError `kernel.unknown-service`."""
        return self._dependants[self[name].name]

    def all_dependants(self, name: str) -> tuple[str, ...]:
        """Who requires it directly or through others, in start order."""
        found = self._all_dependants.get(name)
        if found is None:
            found = self._all_dependants[name] = self._closure(name, lambda one: self._dependants[one])
        return found

    def all_requirements(self, name: str) -> tuple[str, ...]:
        """What it requires directly or through others, in start order."""
        return self._closure(name, lambda one: self._specs[one].requires)

    def after(self, name: str) -> tuple[str, ...]:
        """Everything after it in start order: the `rest` of `rest_for_one`."""
        return self._order[self._order.index(name) + 1 :]

    def _closure(self, name: str, edges: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        found: set[str] = set()
        ahead = list(edges(name))
        while ahead:
            one = ahead.pop()
            if one not in found:
                found.add(one)
                ahead.extend(edges(one))
        return tuple(key for key in self._order if key in found)

    def _take(self, specs: dict[str, ServiceSpec], order: tuple[str, ...]) -> None:
        self._specs, self._order = specs, order
        self._all_dependants = {}
        users: dict[str, list[str]] = {name: [] for name in specs}
        for name in order:
            for below in specs[name].requires:
                users[below].append(name)
        self._dependants = {name: tuple(found) for name, found in users.items()}


def has_dependants(name: str, users: Sequence[str]) -> UsageError:
    """The refusal to take a service away from `users`, who require it."""
    return UsageError("kernel.has-dependants", f"{name!r} is required by {', '.join(users)}", dependants=users)


def _start_order(specs: dict[str, ServiceSpec]) -> tuple[str, ...]:
    """Depth first in the order of addition, without recursion: a chain may be longer than Python's stack."""
    order: dict[str, None] = {}
    for root in specs:
        path: dict[str, Iterator[str]] = {}
        if root not in order:
            path[root] = iter(specs[root].requires)
        while path:
            name, rest = next(reversed(path.items()))
            below = next((one for one in rest if one not in order), None)
            if below is None:
                order[name] = None
                del path[name]
            elif below in path:
                cycle = [*_from(path, below), below]
                raise UsageError("kernel.dependency-cycle", f"a cycle: {' → '.join(cycle)}", cycle=tuple(cycle))
            elif below not in specs:
                message = f"{name!r} requires {below!r}, which no service is called"
                raise UsageError("kernel.unknown-dependency", message, service=name, missing=below)
            else:
                path[below] = iter(specs[below].requires)
    return tuple(order)


def _from(path: Iterable[str], name: str) -> list[str]:
    names = list(path)
    return names[names.index(name) :]
