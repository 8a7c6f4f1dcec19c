"""What a module's author imports; nothing else of nzcore is promised to them (spec/module.md §6, modules/README.md).

    from nzcore.module import Module, command, operation

    class Hello(Module):
        @command
        @operation
        async def greet(self, name: str = "world") -> str:
            "Say hello."
            return f"hello, {name}"

Decorators only mark methods; the node reads the marks when it loads the module, refuses what was not granted, and
keeps everything for the length of one life of the module. `self.context` is all that a module gets of the node.

In one process this is a contract and not a wall: Python code can reach whatever the process can. Enable only what you
would run yourself.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, overload

from msgspec import Meta, Struct

from nzcore.base.errors import NzError, PeerError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.base.scopes import Scope

__all__ = [
    "KV", "Caller", "Change", "Entry", "Event", "Fabric", "Files", "Message", "Meta", "Module", "ModuleContext",
    "NodeId", "NzError", "Peer", "Refusal", "Scope", "Stream", "Struct", "command", "delivered", "on", "operation",
    "protocol", "received", "service",
]  # fmt: skip

API = "0"
"""What `api` in module.toml must say."""

F = TypeVar("F", bound=Callable[..., Any])
Overflow = Literal["drop_oldest", "block"]


class Refusal(PeerError):
    """Raise it to say no, in words for the caller: `raise Refusal("there is no room of that name")`."""

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        """`message` is lower case, without a full stop and without secrets; `hint` is the next thing to try."""
        super().__init__("module.refused", message, hint=hint, **facts)


# What a module is handed.


class Event(NamedTuple):
    """Something that happened in this node. `value` is plain: maps, lists, text, numbers, bytes."""

    topic: str
    value: Any
    at: Instant


class Message(NamedTuple):
    """Something that came over the fabric, from a node whose channel proved who it is."""

    topic: str
    body: Any
    origin: NodeId
    at: Instant


class Caller(NamedTuple):
    """Who called an operation; declare a parameter of this type to be told."""

    kind: Literal["owner", "peer", "module"]
    name: str
    """The owner's uid, the peer's NodeId as text, or the module's name."""
    node: NodeId | None = None
    """The peer, where it is one."""


class Peer(NamedTuple):
    """A node that this one knows."""

    node: NodeId
    name: str
    connected: bool


class Entry(NamedTuple):
    """A value and its version, which grows with every put."""

    value: bytes
    version: int


class Change(NamedTuple):
    """A name that was put or deleted."""

    name: str
    version: int
    deleted: bool


class KV(Protocol):
    """Sealed, durable values under a namespace that only this module sees. Names to 1,024 bytes, values to 1 MiB."""

    async def get(self, name: str) -> Entry | None:
        """The value, or None."""
        ...

    async def put(self, name: str, value: bytes, *, expect: int | None = None) -> int:
        """Durable once it returns the version. *Raises* NzError `store.conflict` where `expect` (0: nothing) is not
        the version that is there."""
        ...

    async def delete(self, name: str, *, expect: int | None = None) -> None:
        """Nothing there is fine, unless `expect` says otherwise."""
        ...

    async def list(self, prefix: str = "") -> Sequence[str]:
        """Names that begin with `prefix`, sorted."""
        ...

    def watch(self, prefix: str = "") -> AbstractAsyncContextManager[AsyncIterator[Change]]:
        """Changes from entering on, in order; a reader that falls behind by 256 loses the oldest."""
        ...


class Files(Protocol):
    """A folder of the module's own. Paths are relative; what would lead out of the folder is refused."""

    async def read(self, path: str, *, max_bytes: int = 1 << 24) -> bytes:
        """*Raises* NzError `module.unreadable`."""
        ...

    async def write(self, path: str, data: bytes) -> None:
        """Replaces the file, whole or not at all."""
        ...

    async def delete(self, path: str) -> None: ...

    async def list(self) -> Sequence[str]:
        """All paths, sorted."""
        ...


class Stream(Protocol):
    """One ordered, flow-controlled byte stream with a peer; Trio's half-closeable stream."""

    @property
    def peer(self) -> NodeId: ...

    async def send_all(self, data: bytes) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; b"" after the other side's end."""
        ...

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


class Fabric(Protocol):
    """Messages between services of nodes. Bodies are plain values of at most 1 MiB; topics must be granted."""

    async def publish(self, topic: str, body: object) -> None:
        """To all direct peers that subscribed, at most once each."""
        ...

    def subscribe(self, pattern: str) -> AbstractAsyncContextManager[AsyncIterator[Message]]: ...

    async def request(
        self, node: NodeId, operation: str, body: object, *, deadline_s: float = 20.0, key: str | None = None
    ) -> Any:
        """Calls an operation that a peer's module opened. The same `key` is carried out once."""
        ...

    async def deliver(self, node: NodeId, topic: str, body: object) -> str:
        """Kept on disk until the peer has handled it; exactly once. Returns an id once it is durable here."""
        ...


class ModuleContext(Protocol):
    """All that a module gets of its node. What was not granted *raises* NzError `module.not-granted`."""

    @property
    def name(self) -> str:
        """The module's own name."""
        ...

    @property
    def node(self) -> NodeId:
        """The node that it runs on."""
        ...

    def now(self) -> float:
        """Seconds since 1970 by the node's clock."""
        ...

    def kv(self, namespace: str) -> KV:
        """Needs `kv:NAMESPACE`."""
        ...

    async def publish(self, topic: str, value: object = None) -> None:
        """Tells this node; needs `bus:publish:TOPIC`. Values are frozen: text, numbers, bytes, tuples, frozen Structs.

        Waits where the module says more than 200 a second.
        """
        ...

    def subscribe(
        self, pattern: str, *, capacity: int = 1024, overflow: Overflow = "drop_oldest"
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Hears this node; needs `bus:subscribe:TOPIC`."""
        ...

    async def open_stream(self, node: NodeId, protocol: str) -> Stream:
        """Needs `stream:PROTOCOL`. The caller closes it."""
        ...

    @property
    def fabric(self) -> Fabric:
        """Its topics and operations need `fabric:TOPIC` each."""
        ...

    async def call(self, operation: str, **arguments: object) -> Any:
        """Another operation of this node, as plain values; needs `call:OPERATION`."""
        ...

    @property
    def files(self) -> Files:
        """Needs `files`."""
        ...

    def peers(self) -> Sequence[Peer]:
        """Needs `peers`."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Needs `timer`."""
        ...

    def every(self, seconds: float) -> AsyncIterator[None]:
        """Yields now and then every `seconds`; needs `timer`."""
        ...

    def sign(self, data: bytes) -> bytes:
        """64 bytes that prove that this module on this node said `data`; needs `sign`."""
        ...

    def verify(self, node: NodeId, data: bytes, signature: bytes) -> bool:
        """Whether the module of this name on `node`, a known peer or this node, signed `data`; needs `sign`."""
        ...


class Module:
    """Base class of all modules; one object a life. Whatever its methods raise harms this module only.

    After a crash the node makes a new object and begins again, at growing intervals, a few times a minute at most.
    """

    context: ModuleContext
    """Set before `start`; not there yet in `__init__`."""

    async def start(self) -> None:
        """Prepares; returns within 10 s. Only then do operations, handlers and services begin."""

    async def stop(self) -> None:
        """Finishes what must be, within 5 s; operations and handlers still work."""

    async def check(self) -> None:
        """Raise, or take longer than 5 s, to be started anew; asked every 10 s."""


# Decorators: they mark, the node reads.

MARKS = "__nzcore_marks__"


class OperationMark(NamedTuple):
    """`@operation`."""

    summary: str
    risk: Literal["read", "change", "danger"]
    scope: Scope | None
    deadline_s: float


class CommandMark(NamedTuple):
    """`@command`."""


class EventMark(NamedTuple):
    """`@on`."""

    pattern: str
    capacity: int
    overflow: Overflow


class ReceivedMark(NamedTuple):
    """`@received`."""

    pattern: str


class DeliveredMark(NamedTuple):
    """`@delivered`."""

    topic: str


class ProtocolMark(NamedTuple):
    """`@protocol`."""

    name: str
    scope: Scope


class ServiceMark(NamedTuple):
    """`@service`."""


Mark = OperationMark | CommandMark | EventMark | ReceivedMark | DeliveredMark | ProtocolMark | ServiceMark


def marks_of(function: object) -> tuple[Mark, ...]:
    """The marks of a method, none for anything else."""
    marks = getattr(function, MARKS, ())
    return marks if isinstance(marks, tuple) else ()


def _marked(function: F, mark: Mark) -> F:
    setattr(function, MARKS, (*marks_of(function), mark))
    return function


@overload
def operation(function: F, /) -> F: ...
@overload
def operation(
    *,
    summary: str = "",
    risk: Literal["read", "change", "danger"] = "read",
    scope: Scope | None = None,
    deadline_s: float = 30.0,
) -> Callable[[F], F]: ...
def operation(
    function: Any = None,
    /,
    *,
    summary: str = "",
    risk: Literal["read", "change", "danger"] = "read",
    scope: Scope | None = None,
    deadline_s: float = 30.0,
) -> Any:
    """Opens a method as the operation `MODULE.METHOD`: for the owner, for modules granted `call:`, and, with a `scope`,
    for peers that have it (needs `fabric:MODULE.METHOD`).

    Parameters need types, and are checked; an async generator is a stream. Without a `summary`, the docstring's first
    line is it.
    """
    mark = OperationMark(summary, risk, scope, deadline_s)
    return (lambda f: _marked(f, mark)) if function is None else _marked(function, mark)


def command(function: F) -> F:
    """Makes an operation a command too: `nzcore MODULE METHOD …`, parameters without default by position."""
    return _marked(function, CommandMark())


def on(pattern: str, *, capacity: int = 1024, overflow: Overflow = "drop_oldest") -> Callable[[F], F]:
    """Calls `async method(event)` for events of this node; needs `bus:subscribe:PATTERN`."""
    return lambda function: _marked(function, EventMark(pattern, capacity, overflow))


def received(pattern: str) -> Callable[[F], F]:
    """Calls `async method(message)` for what peers publish; needs `fabric:PATTERN`."""
    return lambda function: _marked(function, ReceivedMark(pattern))


def delivered(topic: str) -> Callable[[F], F]:
    """Calls `async method(message)` for what peers deliver, once each, again where it raised; needs `fabric:TOPIC`."""
    return lambda function: _marked(function, DeliveredMark(topic))


def protocol(name: str, *, scope: Scope = Scope.MESSAGE) -> Callable[[F], F]:
    """Calls `async method(stream)` for streams that peers with `scope` open; needs `stream:NAME`."""
    return lambda function: _marked(function, ProtocolMark(name, scope))


def service(function: F) -> F:
    """Runs `async method()` for the module's life. Returning is fine; raising restarts the module."""
    return _marked(function, ServiceMark())
