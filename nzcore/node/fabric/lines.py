"""All lines, at most one a peer: opened by whoever opened the channel, again after a while where that fails."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.kernel import Backoff, Bus, Deadlines
from nzcore.kernel.described import describe
from nzcore.net.link import Link
from nzcore.net.manager import ChannelManager
from nzcore.net.stream import Stream, StreamLost
from nzcore.node.fabric.line import Line
from nzcore.proto.fabric.limits import FABRIC
from nzcore.proto.fabric.session import Event

AGAIN = Backoff(initial_s=0.2, factor=2.0, max_s=10.0, jitter=0.0)
"""Pauses before a line is opened again on a channel that lives on."""

WATCHED = 256


class FabricTrouble(NamedTuple):
    """Value of `fabric.trouble`: what went wrong with which peer."""

    peer: NodeId
    what: str
    error: str


class Lines:
    """The table of lines. Whoever has to act puts what it does into `on_up`, `on_down`, `on_event`."""

    def __init__(self, channels: ChannelManager, bus: Bus, patterns: Callable[[], Mapping[str, bool]]) -> None:
        """`patterns`: what each new line subscribes to."""
        self._channels = channels
        self._bus = bus
        self._patterns = patterns
        self._lines: dict[NodeId, Line] = {}
        self._opening: set[Link] = set()
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self.deadlines = Deadlines()
        self.on_up: list[Callable[[Line], None]] = []
        self.on_down: list[Callable[[Line], None]] = []
        self.on_event: Callable[[Line, Event], None] = lambda line, event: None

    def __len__(self) -> int:
        return len(self._lines)

    def all(self) -> list[Line]:
        return list(self._lines.values())

    def get(self, node: NodeId) -> Line | None:
        return self._lines.get(node)

    @property
    def is_running(self) -> bool:
        return self._nursery is not None

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        """Starts a task that ends with the fabric. *Raises* UnavailableError `fabric.not-running`."""
        if self._nursery is None:
            raise UnavailableError("fabric.not-running")
        self._nursery.start_soon(function, *args)  # type: ignore[arg-type]  # coroutine functions, by contract

    async def run(self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        """Keeps a line on each channel until cancelled; `nursery` has all tasks."""
        self._nursery = nursery
        nursery.start_soon(self.deadlines.run)
        shut = self._channels.serve(FABRIC, self._live, Scope.CONNECT)
        try:
            async with self._bus.subscribe("channel.opened", capacity=WATCHED, overflow="drop_oldest") as opened:
                self._tend()
                task_status.started()
                async for _ in opened:
                    self._tend()
        finally:
            shut()
            self._nursery = None
            for line in self.all():
                line.close()
                self._down(line)

    async def wait(self, node: NodeId) -> Line:
        """The line to a peer, whose channel is dialled where there is none. *Raises* as `ChannelManager.connect`."""
        while True:
            line = self._lines.get(node)
            if line is not None:
                return line
            if self._nursery is None:
                raise UnavailableError("fabric.not-running")
            changed = self._changed
            await self._channels.connect(node)
            if node not in self._lines:
                await changed.wait()

    def _tend(self) -> None:
        for one in self._channels.links:
            if one.initiator and one.link.was_greeted and one.link not in self._opening:
                self._opening.add(one.link)
                self.spawn(self._keep, one.link)

    async def _keep(self, link: Link) -> None:
        """A line on a channel that we opened, as long as that lives."""
        streak = 0
        try:
            while not link.is_over:
                began = trio.current_time()
                with suppress(NzError):  # told by whoever closed it; the next attempt says more
                    await self._live(await link.open_stream(FABRIC))
                streak = 0 if trio.current_time() - began > AGAIN.max_s else streak + 1
                await trio.sleep(AGAIN.delay(streak, lambda: 0.5))
        finally:
            self._opening.discard(link)

    async def _live(self, stream: Stream) -> None:
        """One line from its first byte to its last; a crash boundary of what is done on it."""
        line = Line(stream, self._patterns(), self.spawn, self.deadlines)
        code = "channel.cancelled"
        try:
            await line.run(self._on_event)
        except (StreamLost, trio.ClosedResourceError):
            pass
        except PeerError as error:
            code = "channel.protocol-error"
            self._bus.emit("fabric.trouble", FabricTrouble(line.peer, "the peer broke the protocol", error.code))
        except Exception as error:
            code = "channel.handler-failed"
            self._bus.emit("fabric.trouble", FabricTrouble(line.peer, "a line failed", describe(error)))
        finally:
            line.close(code)
            self._down(line)

    def _on_event(self, line: Line, event: Event) -> None:
        if self._lines.get(line.peer) is not line and line.session.has_heard and not line.is_over:
            self._up(line)
        self.on_event(line, event)

    def _up(self, line: Line) -> None:
        """The peer has greeted: the line can be used, and replaces another one."""
        before = self._lines.get(line.peer)
        if before is not None:
            before.close()
            self._down(before)
        self._lines[line.peer] = line
        self._tell()
        for act in self.on_up:
            act(line)

    def _down(self, line: Line) -> None:
        if self._lines.get(line.peer) is line:
            del self._lines[line.peer]
            self._tell()
            for act in self.on_down:
                act(line)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
