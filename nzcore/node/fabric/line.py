"""One line to a peer: pumps a `Session` over a stream, and holds who waits for an answer on it.

Sending never waits: what the stream does not take at once is drained by a task that lives only as long as that.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import trio

from nzcore.base.errors import UnavailableError
from nzcore.kernel import Deadlines
from nzcore.net.stream import Stream, StreamLost
from nzcore.net.wire import Spawn
from nzcore.proto.fabric.replays import Outcome
from nzcore.proto.fabric.session import Event, Happened, Session

if TYPE_CHECKING:
    from nzcore.base.ids import NodeId
    from nzcore.node.fabric.workers import Job

ROOM_BYTES = 1 << 20
"""Unsent bytes beyond which answers and deliveries wait."""

UNREAD_BYTES = 8 << 20
"""Unsent bytes beyond which the peer is given up: it asks without reading what it is told."""

_DONE = Outcome()
_TOO_SLOW = Outcome(code="fabric.too-slow")


class Lost(UnavailableError):
    """The line ended before the answer came; whether the request was carried out is not known."""


class _Asked:
    """One task's wait for an answer."""

    __slots__ = ("body", "line", "number", "outcome", "task")

    def __init__(self, line: "Line", number: int) -> None:
        self.line = line
        self.number = number
        self.task: trio.lowlevel.Task | None = None
        self.body: object = None
        self.outcome: Outcome | None = None

    async def wait(self) -> None:
        """Until it is settled. As long as nobody else does, the task reads the wire itself: a tick less."""
        stream = self.line.stream
        try:
            await stream.read_until(self.is_settled)
            if self.outcome is None:
                self.task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
        except trio.Cancelled:
            self.line.drop(self.number)
            raise

    def is_settled(self) -> bool:
        return self.outcome is not None

    def settle(self, outcome: Outcome, body: object = None) -> None:
        if self.outcome is None:
            self.outcome, self.body = outcome, body
            if self.task is not None:
                trio.lowlevel.reschedule(self.task)
                self.line.stream.note_woken()
            else:
                self.line.stream.interrupt()

    def expire(self) -> None:
        self.line.drop(self.number)
        self.settle(_TOO_SLOW)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Line:
    """Made for an open stream; `run` reads it to its end."""

    def __init__(self, stream: Stream, patterns: Mapping[str, bool], spawn: Spawn, deadlines: Deadlines) -> None:
        self.peer: NodeId = stream.peer
        self.session = Session(patterns)
        self.is_over = False
        self.serving: dict[int, Job] = {}
        """Requests of theirs that are carried out."""
        self.over = trio.Event()
        self.stream = stream
        self._spawn = spawn
        self._deadlines = deadlines
        self._asked: dict[int, _Asked] = {}
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._draining = False
        self._room = trio.lowlevel.ParkingLot()
        self._askers = trio.lowlevel.ParkingLot()

    async def run(self, handle: Callable[["Line", Event], None]) -> None:
        """Until the peer ends the line. *Raises* StreamLost, PeerError for what is not the protocol."""
        self.flush()
        await self.stream.feed(partial(self._receive, handle))

    async def ask(
        self, operation: str, body: bytes, *, deadline: float, key: str | None = None
    ) -> tuple[Outcome, object]:
        """Asks and waits until `deadline`: how it ended, and the answer's body. Cancelled, it gives the request up.

        *Raises* Lost when the line ends first.
        """
        if not self.session.can_ask:
            with trio.CancelScope(deadline=deadline):
                while not self.session.can_ask and not self.is_over:
                    await self._askers.park()
        self._check()
        deadline_s = deadline - trio.current_time()
        if deadline_s <= 0 or not self.session.can_ask:
            return _TOO_SLOW, None
        number = self.session.ask(operation, body, deadline_s=deadline_s, key=key)
        asked = self._asked[number] = _Asked(self, number)
        self.flush()
        if asked.outcome is None:  # else the line has just ended
            self._deadlines.add(asked, deadline)
            try:
                await asked.wait()
            finally:
                self._deadlines.remove(asked)
        assert asked.outcome is not None
        if asked.outcome.code == "fabric.lost":
            raise Lost("fabric.lost", node=self.peer)
        return asked.outcome, asked.body

    def flush(self) -> None:
        """Sends what the session has to say; never waits."""
        data = self.session.take()
        if not data or self.is_over:
            return
        if not self._draining:
            try:
                sent = self.stream.send_nowait(data)
            except (StreamLost, trio.ClosedResourceError):
                self.close()
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._draining = True
            self._spawn(self._drain)
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > UNREAD_BYTES:
            self.close("channel.control-flood")

    def drop(self, number: int) -> None:
        """Wants no answer to a request of ours any more."""
        if self._asked.pop(number, None) is not None:
            self.session.give_up(number)
            self._askers.unpark()
            self.flush()

    @property
    def is_crowded(self) -> bool:
        """Whether answers have to wait."""
        return self._unsent_bytes > ROOM_BYTES or self.is_over

    async def wait_room(self) -> None:
        """Waits while much is unsent. *Raises* Lost when the line ends."""
        while self._unsent_bytes > ROOM_BYTES and not self.is_over:
            await self._room.park()
        self._check()

    def close(self, code: str = "channel.cancelled") -> None:
        """Ends the line: whoever waits for an answer is told, and what was asked here is given up."""
        if self.is_over:
            return
        self.is_over = True
        self.over.set()
        self.stream.close(code)
        self._unsent.clear()
        asked, self._asked = self._asked, {}
        for one in asked.values():
            one.settle(Outcome(code="fabric.lost"))
        for number in list(self.serving):
            self._give_up(number)
        self._room.unpark_all()
        self._askers.unpark_all()

    def _receive(self, handle: Callable[["Line", Event], None], data: bytes) -> None:
        """Runs inside the wire's callback: a task's turn less in each direction."""
        if self.is_over:
            return
        for event in self.session.receive(data):
            kind = event[0]
            if kind is Happened.ANSWERED:
                self._settle(event[1], _DONE, event[2])
            elif kind is Happened.FAILED:
                self._settle(event[1], Outcome(b"", event[2], event[3]))
            elif kind is Happened.GIVEN_UP:
                self._give_up(event[1])
            else:
                handle(self, event)
        self.flush()

    def done(self, number: int) -> bool:
        """A request of theirs is no longer carried out; whether it was."""
        job = self.serving.pop(number, None)
        if job is None:
            return False
        self._deadlines.remove(job)
        return True

    def _give_up(self, number: int) -> None:
        """Nobody wants the answer to a request of theirs any more."""
        job = self.serving.pop(number, None)
        if job is not None:
            self._deadlines.remove(job)
            job.give_up()

    def _settle(self, number: int, outcome: Outcome, body: object = None) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            asked.settle(outcome, body)
        self._askers.unpark()

    def _check(self) -> None:
        if self.is_over:
            raise Lost("fabric.lost", node=self.peer)

    async def _drain(self) -> None:
        try:
            while self._unsent:
                data = b"".join(self._unsent)
                self._unsent.clear()
                await self.stream.send_all(data)
                self._unsent_bytes -= len(data)
                self._room.unpark_all()
        except (StreamLost, trio.ClosedResourceError):
            self.close()
        finally:
            self._draining = False
