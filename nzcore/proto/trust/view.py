"""The effective view: what each node may do here, now; the single source of truth for every decision.

Whoever learns of a grant feeds it; whoever must act on a loss of trust subscribes. Knows no statements and no logs.
"""

from collections.abc import Callable, Iterable

from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope

NOTHING: frozenset[Scope] = frozenset()

PAIRING = frozenset({Scope.CONNECT, Scope.MESSAGE, Scope.FILES, Scope.SYNC, Scope.ROUTE, Scope.INTRODUCE})
"""What pairing grants unless told otherwise; never `admin`, never to be passed on."""

Listener = Callable[[NodeId, frozenset[Scope], frozenset[Scope]], None]
"""Called with a node, its scopes before, and its scopes now."""


class TrustView:
    """Scopes by node. A node without scopes is not kept."""

    def __init__(self) -> None:
        self._scopes: dict[NodeId, frozenset[Scope]] = {}
        self._listeners: list[Listener] = []

    def scopes(self, node: NodeId) -> frozenset[Scope]:
        """What `node` may do now; empty for strangers."""
        return self._scopes.get(node, NOTHING)

    def allows(self, node: NodeId, scope: Scope) -> bool:
        return scope in self.scopes(node)

    def set(self, node: NodeId, scopes: Iterable[Scope]) -> None:
        """Makes `scopes` all that `node` may do; tells listeners where that changes anything."""
        before, after = self.scopes(node), frozenset(scopes)
        if after:
            self._scopes[node] = after
        else:
            self._scopes.pop(node, None)
        if before != after:
            for listener in tuple(self._listeners):
                listener(node, before, after)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` at every change, before the change returns; call the result to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
