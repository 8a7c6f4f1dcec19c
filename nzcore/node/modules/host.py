"""One module as a supervised service: its lives, its calls, and the boundary that its failures don't cross.

Everything that a life has registered ends with it: operations, handlers, streams, calls under way (spec/module.md §7).
"""

import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from functools import partial
from typing import Any, NamedTuple

import trio

from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.codec.types import builtins, convert
from nzcore.control.gate import bad_arguments
from nzcore.control.verdict import Principal
from nzcore.ipc.connection import SendItem
from nzcore.kernel import Event as BusEvent
from nzcore.kernel import Service
from nzcore.kernel.described import describe
from nzcore.module import Caller, Event, EventMark, Message, Module, Stream
from nzcore.node.modules.beginnings import SETTLED_S
from nzcore.node.modules.context import CALLS_AT_ONCE, Context
from nzcore.node.modules.declared import DeclaredOperation
from nzcore.node.modules.loading import Loaded
from nzcore.node.modules.surroundings import Surroundings
from nzcore.node.plain import plain

SERVICE_PREFIX = "module-"
TRACE_CHARACTERS = 8192

ITEMS = 1024
"""Items of a stream that a peer is answered with, at once and whole."""

DELIVERY_S = 60.0
"""Seconds that a handler may take for one delivery, which is then tried again."""


class Failure(NamedTuple):
    """Value of `module.NAME.trouble`: something of a module raised; `trace` is the end of its traceback."""

    module: str
    what: str
    error: str
    trace: str


class Table:
    """Operations of the modules that run now. The dispatcher looks here for what the node's own table lacks."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[DeclaredOperation, ModuleService]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, operations: tuple[DeclaredOperation, ...], service: "ModuleService") -> None:
        self._entries.update((one.operation.name, (one, service)) for one in operations)

    def drop(self, service: "ModuleService") -> None:
        for name in [name for name, (_, owner) in self._entries.items() if owner is service]:
            del self._entries[name]

    def all(self) -> list[DeclaredOperation]:
        """In order of names."""
        return [one for _, (one, _) in sorted(self._entries.items())]

    def get(self, name: str) -> tuple[DeclaredOperation, "ModuleService"] | None:
        return self._entries.get(name)


class ModuleService(Service):
    """Runs one loaded module; `replace` gives it other code, which the next life runs."""

    def __init__(self, loaded: Loaded, parts: Surroundings, table: Table, requires: tuple[str, ...]) -> None:
        self.name = SERVICE_PREFIX + loaded.manifest.name
        self.requires = requires
        self.summary = loaded.manifest.summary or f"the module {loaded.manifest.name}"
        self.loaded = loaded
        self._parts = parts
        self._table = table
        self._context = Context(loaded.manifest.name, loaded.manifest.grants, parts)
        self._instance: Module | None = None
        self._visits: set[trio.CancelScope] = set()
        self._calls = self._failures = 0

    def replace(self, loaded: Loaded) -> None:
        """The code of the next life; restart the service to begin it."""
        self.loaded = loaded
        self._context = Context(loaded.manifest.name, loaded.manifest.grants, self._parts)

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._parts.beginnings.noted(self.loaded.manifest.name):
            await self._live(task_status)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        loaded = self.loaded
        with self._judged("start"):
            instance = loaded.kind()
            instance.context = self._context
            await instance.start()
        async with AsyncExitStack() as stack:
            self._instance = instance
            stack.callback(self._end)
            nursery = await stack.enter_async_context(trio.open_nursery())
            stack.callback(nursery.cancel_scope.cancel)
            for name, mark in loaded.declared.events:
                await nursery.start(self._listen, name, mark)
            for name, received in loaded.declared.received:
                await nursery.start(self._receive, name, received.pattern)
            self._open_doors(loaded, stack)
            for name in loaded.declared.services:
                nursery.start_soon(self._serve, name)
            self._table.add(loaded.declared.operations, self)
            task_status.started()
            await trio.sleep(SETTLED_S)
            self._parts.beginnings.settled(loaded.manifest.name)
            await trio.sleep_forever()

    async def stop(self) -> None:
        """The module's own; operations and handlers still work while it runs."""
        if self._instance is not None:
            with self._judged("stop"):
                await self._instance.stop()

    async def check(self) -> None:
        if self._instance is not None:
            with self._judged("check"):
                await self._instance.check()

    def status(self) -> Mapping[str, object]:
        return {"version": self.loaded.manifest.version, "calls": self._calls, "failures": self._failures}

    # Calls from outside: they run in the caller's task, and end with this life.

    async def call(self, one: DeclaredOperation, principal: Principal, args: Any, send: SendItem) -> object:
        """Carries out an operation of this module.

        *Raises* what the module refuses with; UnavailableError `module.raised`, `module.hung`, `module.stopped`;
        PeerError `module.busy`.
        """
        instance = self._instance
        if instance is None:
            raise UnavailableError("module.stopped", f"{one.operation.name}: the module was stopped")
        arguments = {field: getattr(args, field) for field in args.__struct_fields__}
        if one.caller:
            arguments[one.caller] = _caller(principal)
        method = getattr(instance, one.method)
        if one.operation.stream:
            return await self._visit(one.operation.name, None, partial(_drain, method, arguments, send))
        return await self._visit(one.operation.name, one.deadline_s, partial(method, **arguments))

    async def _visit(self, what: str, deadline_s: float | None, work: Callable[[], Awaitable[Any]]) -> Any:
        """Runs a piece of the module for somebody outside, counted and bounded."""
        if len(self._visits) >= CALLS_AT_ONCE:
            raise PeerError("module.busy", f"{what}: {CALLS_AT_ONCE} calls are under way")
        self._calls += 1
        scope = trio.CancelScope()
        if deadline_s is not None:
            scope.deadline = trio.current_time() + deadline_s
        self._visits.add(scope)
        try:
            with self._judged(what), scope:
                return await work()
        finally:
            self._visits.discard(scope)
        if deadline_s is not None and trio.current_time() >= scope.deadline:
            self._failures += 1
            raise UnavailableError("module.hung", f"{what} did not answer within {deadline_s:g} s")
        raise UnavailableError("module.stopped", f"{what}: the module was stopped meanwhile")

    @contextmanager
    def _judged(self, what: str) -> Iterator[None]:
        """The crash boundary: refusals pass, everything else is told as trouble and becomes `module.raised`."""
        try:
            yield
        except NzError as error:
            if not _is_known(error):
                raise self._raised(what, error) from None
            raise
        except (Exception, SystemExit) as error:
            raise self._raised(what, error) from None
        except BaseExceptionGroup as group:  # what a nursery of the module's collected, SystemExit among it
            if group.subgroup((trio.Cancelled, KeyboardInterrupt)) is not None:
                raise
            raise self._raised(what, group) from None

    def _raised(self, what: str, error: BaseException) -> UnavailableError:
        self._failures += 1
        name = self.loaded.manifest.name
        text = describe(error)
        trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:].replace(f"{self.loaded.root}.", "")
        self._parts.bus.emit(f"module.{name}.trouble", Failure(name, what, text, trace))
        return UnavailableError("module.raised", f"{what} raised {text}", module=name)

    # What comes by itself.

    async def _listen(self, name: str, mark: EventMark, task_status: trio.TaskStatus[None]) -> None:
        async def handle(event: BusEvent) -> None:
            with self._swallowed(f"{name} on {event.topic}"):
                await getattr(self._instance, name)(Event(event.topic, plain(event.value), event.at))

        await self._parts.bus.handle(
            mark.pattern,
            handle,
            capacity=mark.capacity,
            overflow=mark.overflow,
            name=self.name,
            task_status=task_status,
        )

    async def _receive(self, name: str, pattern: str, task_status: trio.TaskStatus[None]) -> None:
        async with self._parts.fabric.subscribe(pattern) as arriving:
            task_status.started()
            async for one in arriving:
                with self._swallowed(f"{name} on {one.topic}"):
                    await getattr(self._instance, name)(Message(one.topic, one.body, one.origin, one.at))

    async def _serve(self, name: str) -> None:
        """A task of the module; its failure is this life's."""
        self._parts.beginnings.entered(self.loaded.manifest.name)  # a life's tasks begin within what it is noted for
        with self._judged(name):
            await getattr(self._instance, name)()

    @contextmanager
    def _swallowed(self, what: str) -> Iterator[None]:
        """A handler's failure harms its event only; it was told as trouble. Echoes of trouble are not told again."""
        try:
            yield
        except (Exception, SystemExit) as error:
            if what.endswith(".trouble"):
                self._failures += 1
            else:
                self._raised(what, error)

    # Doors for peers.

    def _open_doors(self, loaded: Loaded, stack: AsyncExitStack) -> None:
        for name, mark in loaded.declared.protocols:
            handler = partial(self._stream, name, mark.name)
            stack.callback(self._parts.channels.serve(mark.name, handler, mark.scope))
        for one in loaded.declared.operations:
            if one.scope is not None:
                answer = partial(self._answer, one)
                stack.callback(self._parts.fabric.answer(one.operation.name, answer, one.scope))
        for name, delivered in loaded.declared.delivered:
            deliver = partial(self._delivered, name, delivered.topic)
            stack.callback(self._parts.fabric.on_delivery(delivered.topic, deliver))

    async def _stream(self, name: str, protocol: str, stream: Stream) -> None:
        await self._visit(protocol, None, lambda: getattr(self._instance, name)(stream))

    async def _answer(self, one: DeclaredOperation, origin: NodeId, body: object) -> object:
        """A call by a peer; the fabric has checked its scope."""
        try:
            args = convert({} if body is None else body, one.operation.args)
        except PeerError as error:
            raise bad_arguments(one.operation.name, error) from None
        items: list[object] = []

        async def keep(item: object) -> None:
            if len(items) >= ITEMS:
                raise UsageError("module.bad-handler", f"{one.operation.name}: more than {ITEMS} items for a peer")
            items.append(builtins(item))

        result = await self.call(one, Principal("peer", origin.text), args, keep)
        return items if one.operation.stream else builtins(result)

    async def _delivered(self, name: str, topic: str, origin: NodeId, body: object) -> None:
        message = Message(topic, body, origin, Instant(trio.current_time()))
        await self._visit(topic, DELIVERY_S, lambda: getattr(self._instance, name)(message))

    def _end(self) -> None:
        self._instance = None
        self._table.drop(self)
        for scope in tuple(self._visits):
            scope.cancel()


async def _drain(method: Callable[..., Any], arguments: dict[str, Any], send: SendItem) -> None:
    async with aclosing(method(**arguments)) as items:
        async for item in items:
            await send(item)


def _caller(principal: Principal) -> Caller:
    node = NodeId.parse(principal.name) if principal.kind == "peer" else None
    return Caller(principal.kind, principal.name, node)


def _is_known(error: NzError) -> bool:
    """Whether its code can be explained: a module may raise any code that it likes."""
    try:
        return bool(str(error) and str(error.hint))
    except Exception:  # a crash boundary: a subclass of the module's may do anything here
        return False
