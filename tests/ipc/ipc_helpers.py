"""Handlers that tests need, and a raw asynchronous client that says any bytes."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.control.verdict import Principal
from nzcore.ipc import wire
from nzcore.ipc.connection import SendItem, Trouble
from nzcore.ipc.server import serve


class Raw:
    """Says whatever a test wants and hears events; keeps no rule of the protocol."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._wire = wire.ClientWire()
        self._events: list[wire.ToClient] = []

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ask(self, call_id: int, operation: str, args: object = None, deadline_s: float | None = None) -> None:
        await self.say(wire.encode_call(wire.Call(call_id, operation, args, deadline_s)))

    async def hear(self) -> wire.ToClient | None:
        """The next event; None at the end of the connection."""
        while not self._events:
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._events = list(self._wire.receive(bytes(data)))
        return self._events.pop(0)

    async def hear_reply(self) -> wire.Reply:
        event = await self.hear()
        assert isinstance(event, wire.Reply), event
        return event

    async def hear_failure(self) -> wire.Failure:
        failure = (await self.hear_reply()).failure
        assert failure is not None
        return failure


class Handlers:
    """A dispatcher: plain functions answer at once, the others are coroutines; counts what tests ask about."""

    def __init__(self) -> None:
        self.added: dict[str, Callable[..., object]] = {}
        self.troubles: list[Trouble] = []
        self.started = 0
        self.ended = 0
        self.items_sent = 0
        self.ended_event = trio.Event()

    def __call__(self, principal: Principal, operation: str, args: object, send_item: SendItem) -> object:
        handler = self.added.get(operation) or getattr(self, f"do_{operation}", None)
        if handler is None:
            raise PeerError("control.unknown-operation")
        answer: object = handler(principal, args, send_item)
        return answer

    def do_echo(self, principal: Principal, args: object, send_item: SendItem) -> object:
        return args

    def do_who(self, principal: Principal, args: object, send_item: SendItem) -> object:
        return str(principal)

    def do_crash(self, principal: Principal, args: object, send_item: SendItem) -> object:
        raise ZeroDivisionError("the secret is 42")

    def do_undeclared(self, principal: Principal, args: object, send_item: SendItem) -> object:
        raise PeerError("nowhere." + "declared")

    def do_unsendable(self, principal: Principal, args: object, send_item: SendItem) -> object:
        return object()

    def do_huge(self, principal: Principal, args: object, send_item: SendItem) -> object:
        return "x" * (1 << 20)

    def do_misused(self, principal: Principal, args: object, send_item: SendItem) -> object:
        raise UsageError("base.bad-text", "no such service", hint="look at service list", name="x")

    async def do_crash_later(self, principal: Principal, args: object, send_item: SendItem) -> object:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError("the secret is 42")

    async def do_unavailable(self, principal: Principal, args: object, send_item: SendItem) -> object:
        await trio.lowlevel.checkpoint()
        raise UnavailableError("ipc.busy", "the disk is full", hint="make room")

    async def do_hang(self, principal: Principal, args: object, send_item: SendItem) -> object:
        self.started += 1
        try:
            await trio.sleep_forever()
        finally:
            self.ended += 1
            self.ended_event.set()

    async def do_count(self, principal: Principal, args: object, send_item: SendItem) -> object:
        assert isinstance(args, int)
        for number in range(args):
            await send_item(number)
        return None

    async def do_flood(self, principal: Principal, args: object, send_item: SendItem) -> object:
        try:
            while True:
                await send_item("x" * 10_000)
                self.items_sent += 1
        finally:
            self.ended += 1
            self.ended_event.set()


Connect = Callable[[], AbstractAsyncContextManager[Raw]]


async def start(nursery: trio.Nursery, path: Path, handlers: Handlers) -> None:
    async def run(task_status: trio.TaskStatus[Path]) -> None:
        await serve(path, handlers, report=handlers.troubles.append, task_status=task_status)

    await nursery.start(run)
