"""Discovery keys: this node's own, and those that its peers gave it (spec/discovery.md §7).

The own one is for those who may connect. As soon as somebody may no longer, there is a new one: at once in memory, soon
on disk; and where a crash comes between, at the next start, because it is written beside each peer which key it got.
"""

from collections.abc import Callable, Iterator

import trio

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import convert
from nzcore.crypto.hashing import sha256
from nzcore.crypto.secrets import KEY_BYTES
from nzcore.proto.discovery.pseudonym import DiscoveryKey
from nzcore.proto.trust.view import TrustView
from nzcore.store.kv import KV, Delete, Put
from nzcore.store.transaction import MAX_OPERATIONS

OWN_NAMESPACE, OWN_NAME = "node", "discovery-key"
NAMESPACE = "discovery"
MARK_BYTES = 8
"""Of the digest by which a record names the own key that a peer was given."""


class DiscoveryKeys:
    """`load` before use; `save` writes what changes. Fed by the greetings of peers and by the trust view."""

    def __init__(self, kv: Callable[[], KV], trust: TrustView) -> None:
        self._kv = kv
        self._trust = trust
        self._own: DiscoveryKey | None = None
        self._theirs: dict[NodeId, DiscoveryKey] = {}
        self._told: dict[NodeId, bytes] = {}
        """Mark of the own key that each peer was given last."""
        self._unsaved: set[NodeId] = set()
        self._amended = trio.Event()
        self.on_own: Callable[[], None] = lambda: None
        """Called when the own key is another one, and a peer's is gone."""
        self.on_learned: Callable[[], None] = lambda: None
        """Called when a peer's key is another one."""
        trust.subscribe(self._on_trust)

    @property
    def own(self) -> DiscoveryKey:
        """This node's key now; another one after somebody lost trust."""
        assert self._own is not None, "load comes first"
        return self._own

    @property
    def greeting(self) -> bytes:
        """What HELLO says: the own key; empty before `load`, and so where there is no discovery."""
        return b"" if self._own is None else self._own.reveal()

    def __iter__(self) -> Iterator[tuple[NodeId, DiscoveryKey]]:
        return iter(self._theirs.items())

    def __len__(self) -> int:
        return len(self._theirs)

    async def load(self) -> None:
        """Reads all keys, after the trust view was fed; makes the own one where there is none, or a new one where
        somebody has it who may no longer connect. *Raises* UnavailableError `store.*`."""
        if self._own is not None:
            return
        kv = self._kv()
        entry = await kv.get(OWN_NAMESPACE, OWN_NAME)
        own = DiscoveryKey(entry.value) if entry is not None else DiscoveryKey.generate()
        stale = entry is None
        for name in await kv.list(NAMESPACE):
            record = await kv.get(NAMESPACE, name)
            if record is None:
                continue
            node, (key, told) = NodeId.parse(name), convert(unpack(record.value), tuple[bytes, bytes])
            if self._may_know(node):
                self._told[node] = told
                if key:
                    self._theirs[node] = DiscoveryKey(key)
            else:
                stale = stale or told == _mark(own)
                self._unsaved.add(node)
        if stale:
            own = DiscoveryKey.generate()
            await kv.put(OWN_NAMESPACE, OWN_NAME, own.reveal())
        self._own = own
        if self._unsaved:
            self._amended.set()

    def learn(self, node: NodeId, key: bytes) -> None:
        """A peer's key as it said it. *Raises* PeerError `discovery.bad-key`."""
        if len(key) != KEY_BYTES:
            raise PeerError("discovery.bad-key", size=len(key))
        fresh = DiscoveryKey(key)
        if fresh != self._theirs.get(node) and self._may_know(node):
            self._theirs[node] = fresh
            self._amend(node)
            self.on_learned()

    def greeted(self, node: NodeId, key: bytes) -> None:
        """Greetings were exchanged: the peer was given `greeting`, and gave `key`; empty where it has none now."""
        if key:
            self.learn(node, key)
        if self._own is not None:
            self.note_told(node, self._own.reveal())

    def note_told(self, node: NodeId, key: bytes) -> None:
        """A peer was given `key` as this node's."""
        mark = sha256(key)[:MARK_BYTES]
        if self._may_know(node) and self._told.get(node) != mark:
            self._told[node] = mark
            self._amend(node)

    def owes(self, node: NodeId) -> bool:
        """Whether a peer should have the present key, and was not given it."""
        return self._may_know(node) and self._told.get(node) != _mark(self.own)

    async def save(self) -> None:
        """Writes what changes until cancelled, each time with the own key. *Raises* UnavailableError `store.*`."""
        while True:
            await self._amended.wait()
            self._amended = trio.Event()
            while changed := sorted(self._unsaved)[: MAX_OPERATIONS - 1]:
                self._unsaved.difference_update(changed)
                try:
                    own = Put(OWN_NAMESPACE, OWN_NAME, self.own.reveal())
                    await self._kv().write([own, *(self._write_of(node) for node in changed)])
                except BaseException:
                    self._unsaved.update(changed)
                    self._amended.set()
                    raise

    def _write_of(self, node: NodeId) -> Put | Delete:
        if not self._may_know(node):
            return Delete(NAMESPACE, node.text)
        key = self._theirs.get(node)
        return Put(NAMESPACE, node.text, pack([key.reveal() if key else b"", self._told.get(node, b"")]))

    def _on_trust(self, node: NodeId, before: frozenset[Scope], after: frozenset[Scope]) -> None:
        """Only the loss of `connect` counts: whoever keeps that would be given the new key as well."""
        if self._own is None or Scope.CONNECT not in before - after:
            return
        self._theirs.pop(node, None)
        self._told.pop(node, None)
        self._own = DiscoveryKey.generate()
        self._amend(node)
        self.on_own()

    def _amend(self, node: NodeId) -> None:
        self._unsaved.add(node)
        self._amended.set()

    def _may_know(self, node: NodeId) -> bool:
        return self._trust.allows(node, Scope.CONNECT)


def _mark(key: DiscoveryKey) -> bytes:
    return sha256(key.reveal())[:MARK_BYTES]
