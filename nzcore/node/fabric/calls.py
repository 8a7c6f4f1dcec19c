"""Requests and answers between services (spec/fabric.md §5): bounded, with deadlines, once for each idempotency key.

A handler runs in a task of its own; what it raises fails its request and harms nobody else.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn, Protocol

import trio

from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.base.reasons import catalogue
from nzcore.base.scopes import Scope
from nzcore.codec.frames import unpack
from nzcore.codec.types import builtins
from nzcore.crypto.hashing import sha256
from nzcore.kernel import Bus
from nzcore.kernel.described import describe
from nzcore.node.fabric.line import Line, Lost
from nzcore.node.fabric.lines import Lines
from nzcore.node.fabric.workers import Job, Workers
from nzcore.node.messages import plain_text
from nzcore.proto.fabric.frames import is_operation, packed_body
from nzcore.proto.fabric.limits import DEADLINE_S, KEY_CHARACTERS
from nzcore.proto.fabric.replays import Outcome, Place, Replays
from nzcore.proto.trust.view import TrustView

Handler = Callable[[NodeId, object], Awaitable[object]]
"""Called with who asks and the body; returns the answer's body. NzErrors are told to whoever asked, with code and
message; of other errors they learn only that there was one."""


class Operations(Protocol):
    """Carries out an operation of the node's table for a peer. *Raises* PeerError `fabric.*`, `control.*`."""

    def __call__(self, node: NodeId, operation: str, body: object) -> Awaitable[object]: ...


class HandlerFailed(NamedTuple):
    """Value of `fabric.handler-failed`: a handler raised; its request or delivery failed, nothing else happened."""

    name: str
    peer: NodeId
    error: str


class _Answer(NamedTuple):
    handler: Handler
    scope: Scope


class Calls:
    """Both sides of requests. `operations` answers what no handler does."""

    def __init__(self, lines: Lines, trust: TrustView, bus: Bus, own: NodeId) -> None:
        self.operations: Operations = _no_operations
        self._lines = lines
        self._trust = trust
        self._bus = bus
        self._own = own
        self._answers: dict[str, _Answer] = {}
        self._workers = Workers(lines.spawn)
        self._replays = Replays()
        self._running: dict[Place, trio.Event] = {}
        self._asked = self._served = 0

    async def request(
        self, node: NodeId, operation: str, body: object, *, deadline_s: float, key: str | None = None
    ) -> object:
        """The answer of a service at `node`. With a `key`, it is asked again when the channel is lost meanwhile.

        *Raises* UsageError `fabric.bad-*`, `fabric.too-large`; UnavailableError `fabric.no-line`, `fabric.lost`,
        `fabric.too-slow`, `net.*`; PeerError with the code that the other side gave.
        """
        packed = _checked(operation, body, deadline_s, key)
        self._asked += 1
        deadline = trio.current_time() + deadline_s
        while True:
            line = self._lines.get(node) or await self._line(node, deadline)
            try:
                if line is None:
                    outcome, answer = await self._at_home(operation, packed, key, deadline)
                else:
                    outcome, answer = await line.ask(operation, packed, deadline=deadline, key=key)
            except Lost:
                if key is None:
                    raise
                continue
            return answer if not outcome.code else _refused(outcome, node, operation)

    def answer(self, operation: str, handler: Handler, scope: Scope) -> Callable[[], None]:
        """Answers `operation` for peers with `scope` until the result is called.

        *Raises* UsageError `fabric.bad-operation`, `fabric.taken`.
        """
        if not is_operation(operation):
            raise UsageError("fabric.bad-operation", operation=str(operation)[:128])
        if operation in self._answers:
            raise UsageError("fabric.taken", f"{operation} is answered already", operation=operation)
        answer = self._answers[operation] = _Answer(handler, scope)

        def end() -> None:
            if self._answers.get(operation) is answer:
                del self._answers[operation]

        return end

    def facts(self) -> dict[str, int]:
        return {"answers": len(self._answers), "asked": self._asked, "served": self._served}

    def asked(self, line: Line, number: int, operation: str, deadline_s: float, key: str | None, body: object) -> None:
        """A peer asks."""
        self._served += 1
        job = line.serving[number] = _Request(self, line, number, operation, deadline_s, key, body)
        self._lines.deadlines.add(job, trio.current_time() + deadline_s)
        self._workers.begin(job)

    # Small print.

    async def _line(self, node: NodeId, deadline: float) -> Line | None:
        """The line to a peer, as soon as there is one; None: it is this node itself."""
        if node == self._own:
            return None
        with trio.CancelScope(deadline=deadline):
            return await self._lines.wait(node)
        raise UnavailableError("fabric.no-line", node=node)

    async def _at_home(self, operation: str, packed: bytes, key: str | None, deadline: float) -> tuple[Outcome, object]:
        """A request to this node itself, answered as if a peer with every scope asked."""
        with trio.CancelScope(deadline=deadline):
            outcome = await self.outcome(self._own, operation, unpack(packed), key, DEADLINE_S)
            return outcome, None if outcome.code else unpack(outcome.body)
        return Outcome(code="fabric.too-slow"), None

    async def outcome(self, peer: NodeId, operation: str, body: object, key: str | None, deadline_s: float) -> Outcome:
        """Carries a request out or, where its key was seen, says how that went."""
        if key is None:
            return await self._carry_out(peer, operation, body)
        place = Place(peer, operation, key)
        try:
            fresh = self._replays.begin(place, sha256(packed_body(body)), Instant(trio.current_time()))
        except PeerError as error:
            return Outcome(code=error.code)
        if fresh:
            self._running[place] = trio.Event()
            self._lines.spawn(self._carry_out_once, place, body, deadline_s)
        running = self._running.get(place)
        if running is not None:
            await running.wait()
        return self._replays.outcome(place) or Outcome(code="fabric.cancelled")

    async def _carry_out_once(self, place: Place, body: object, deadline_s: float) -> None:
        """Carries a request with a key out, whoever still waits for it."""
        outcome = None
        try:
            with trio.move_on_after(deadline_s):
                outcome = await self._carry_out(place.node, place.operation, body)
            if outcome is None:
                outcome = Outcome(code="fabric.too-slow")
        finally:
            if outcome is None:
                self._replays.forget(place)
            else:
                self._replays.finish(place, outcome, Instant(trio.current_time()))
            self._running.pop(place).set()

    async def _carry_out(self, peer: NodeId, operation: str, body: object) -> Outcome:
        """The crash boundary of handlers."""
        try:
            answer = self._answers.get(operation)
            if answer is None:
                result = await self.operations(peer, operation, body)
            elif peer != self._own and not self._trust.allows(peer, answer.scope):
                raise PeerError("fabric.out-of-scope", f"{operation} needs the scope {answer.scope.value}")
            else:
                result = await answer.handler(peer, body)
            return Outcome(packed_body(result if type(result) is bytes else builtins(result)))
        except NzError as error:
            return Outcome(code=error.code, detail=error.message)
        except Exception as error:
            self._bus.emit("fabric.handler-failed", HandlerFailed(operation, peer, describe(error)))
            return Outcome(code="fabric.handler-failed")


class _Request(Job):
    """One request of a peer."""

    __slots__ = ("_body", "_calls", "_deadline_s", "_key", "_line", "_number", "_operation")

    def __init__(
        self, calls: Calls, line: Line, number: int, operation: str, deadline_s: float, key: str | None, body: object
    ) -> None:
        super().__init__()
        self._calls = calls
        self._line = line
        self._number = number
        self._operation = operation
        self._deadline_s = deadline_s
        self._key = key
        self._body = body

    async def work(self) -> None:
        line, number = self._line, self._number
        try:
            outcome = await self._calls.outcome(line.peer, self._operation, self._body, self._key, self._deadline_s)
            if line.is_crowded:
                await line.wait_room()
        except Lost:
            return
        finally:
            line.done(number)
        if outcome.code:
            line.session.fail(number, outcome.code, outcome.detail)
        else:
            line.session.answer(number, outcome.body)
        line.flush()

    def expire(self) -> None:
        line = self._line
        if line.done(self._number):
            self.give_up()
            line.session.fail(self._number, "fabric.too-slow")
            line.flush()


def _checked(operation: str, body: object, deadline_s: float, key: str | None) -> bytes:
    """The packed body of a request that may be sent."""
    if not is_operation(operation):
        raise UsageError("fabric.bad-operation", operation=str(operation)[:128])
    if not 0 < deadline_s <= DEADLINE_S:
        raise UsageError("fabric.bad-deadline", deadline_s=deadline_s)
    if key is not None and not 0 < len(key) <= KEY_CHARACTERS:
        raise UsageError("fabric.bad-key")
    return packed_body(body)


def _refused(outcome: Outcome, node: NodeId, operation: str) -> NoReturn:
    """*Raises* what the other side said, or that it said nothing in time."""
    if outcome.code == "fabric.too-slow":
        raise UnavailableError("fabric.too-slow", node=node, operation=operation)
    code = outcome.code if outcome.code in catalogue() else "fabric.failed"
    raise PeerError(code, plain_text(outcome.detail).replace("\n", " "))


async def _no_operations(node: NodeId, operation: str, body: object) -> object:
    raise PeerError("fabric.no-operation", operation=operation)
