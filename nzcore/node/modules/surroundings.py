"""What of a node its modules' contexts are made from: named parts, each replaceable, never the node itself."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.base.scopes import Scope
from nzcore.ipc.connection import Dispatch
from nzcore.kernel import Bus
from nzcore.module import Peer
from nzcore.net.manager import ChannelManager
from nzcore.node.modules.beginnings import Beginnings
from nzcore.node.offload import Offload
from nzcore.store.kv import KV

T = TypeVar("T")


class Arrived(Protocol):
    """A message of the fabric, as the fabric has it."""

    @property
    def topic(self) -> str: ...
    @property
    def body(self) -> object: ...
    @property
    def origin(self) -> NodeId: ...
    @property
    def at(self) -> Instant: ...


Handler = Callable[[NodeId, object], Awaitable[object]]
"""Called with the peer and the body."""


class MessageFabric(Protocol):
    """What modules need of the fabric (spec/fabric.md)."""

    async def publish(self, topic: str, body: object) -> None: ...

    def subscribe(self, pattern: str) -> AbstractAsyncContextManager[AsyncIterator[Arrived]]: ...

    async def request(
        self, node: NodeId, operation: str, body: object, *, deadline_s: float, key: str | None = None
    ) -> object: ...

    def answer(self, operation: str, handler: Handler, scope: Scope) -> Callable[[], None]: ...

    async def deliver(self, node: NodeId, topic: str, body: object) -> str: ...

    def on_delivery(self, topic: str, handler: Handler) -> Callable[[], None]: ...


class Surroundings(NamedTuple):
    """The parts. What can be another object after a restart is a function that finds it."""

    bus: Bus
    kv: Callable[[], KV]
    channels: ChannelManager
    fabric: MessageFabric
    dispatch: Callable[[], Dispatch]
    own: NodeId
    clock: Callable[[], float]
    peers: Callable[[], Sequence[Peer]]
    sign: Callable[[str, bytes], bytes]
    """A signature under the label of modules, for the module of this name."""
    verify: Callable[[str, NodeId, bytes, bytes], bool]
    files: Path
    """Where modules with `files` have their folders."""
    offload: Callable[[], Offload]
    beginnings: Beginnings
