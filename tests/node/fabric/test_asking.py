"""A task that waits for an answer reads the wire itself: whatever else ends its wait still does. Over real sockets."""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.kernel import Deadlines
from nzcore.node.fabric.line import Line, Lost
from nzcore.proto.fabric.frames import packed_body
from nzcore.proto.fabric.replays import Outcome
from nzcore.proto.fabric.session import Event, Happened
from tests.net.memory_wire import SocketLinks


class Asking:
    """Both ends of a line. The far one echoes until it is to be `silent`; `task` asks, and `got` is what came of it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.links = SocketLinks(nursery)
        self.silent = False
        self.given_up: list[int] = []
        self.got: list[object] = []
        self.scope = trio.CancelScope()
        self._nursery = nursery
        self._deadlines = Deadlines()
        nursery.start_soon(self._deadlines.run)

    async def begin(self) -> None:
        """Asks often enough for the asking task to read for itself, and then what is not answered."""
        streams = await self.links.streams()
        self.near, far = (Line(stream, {}, self._nursery.start_soon, self._deadlines) for stream in streams)
        for line in (self.near, far):
            self._nursery.start_soon(self._run, line)
        await wait_all_tasks_blocked()
        self._nursery.start_soon(self._ask)
        await wait_all_tasks_blocked()
        assert self.got == list(range(60))
        assert self.links.wires[0].reader._is_led

    async def ask(self, body: object) -> object:
        outcome, answer = await self.near.ask("test.echo", packed_body(body), deadline=trio.current_time() + 30)
        return outcome if outcome.code else answer

    async def _ask(self) -> None:
        with self.scope:
            for number in range(60):
                self.got.append(await self.ask(number))
            self.silent = True
            try:
                self.got.append(await self.ask("silence"))
            except Lost as lost:
                self.got.append(lost.code)

    async def _run(self, line: Line) -> None:
        with suppress(trio.ClosedResourceError):
            await line.run(self._hear)

    def _hear(self, line: Line, event: Event) -> None:
        if event[0] is Happened.ASKED and not self.silent:
            line.session.answer(event[1], packed_body(event[5]))
        elif event[0] is Happened.ASKED:
            line.serving[event[1]] = _Never(self, event[1])  # type: ignore[assignment]  # all of a Job that is used


class _Never:
    """A job that is never done."""

    def __init__(self, asking: Asking, number: int) -> None:
        self._asking, self._number = asking, number

    def give_up(self) -> None:
        self._asking.given_up.append(self._number)


@pytest.fixture
async def asking(nursery: trio.Nursery) -> Asking:
    made = Asking(nursery)
    await made.begin()
    return made


async def test_a_deadline_ends_the_wait_and_the_line_goes_on(asking: Asking, autojump_clock: MockClock) -> None:
    await trio.sleep(31)
    assert asking.got[60:] == [Outcome(code="fabric.too-slow")]
    await wait_all_tasks_blocked()
    assert asking.given_up == [61]
    asking.silent = False
    assert await asking.ask("again") == "again"


async def test_the_end_of_the_line_ends_the_wait(asking: Asking) -> None:
    asking.near.close()
    await wait_all_tasks_blocked()
    assert asking.got[60:] == ["fabric.lost"]
    await asking.links.alice.ping()  # and the wire is read on


async def test_a_cancelled_wait_gives_the_request_up(asking: Asking) -> None:
    asking.scope.cancel()
    await wait_all_tasks_blocked()
    assert asking.got[60:] == []
    assert asking.given_up == [61]
    asking.silent = False
    assert await asking.ask("again") == "again"
