"""Who reads a socket: the task that waits for its bytes, and the wire's own task when nobody does."""

import socket
from contextlib import suppress
from contextvars import ContextVar
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nzcore.net.reader import SocketReader
from nzcore.net.stream import Stream, StreamLost
from nzcore.proto.channel.config import INITIAL_WINDOW
from tests.net.memory_wire import SocketLinks

TURNS = 32
"""Enough that the answering task leads: at each turn, Trio lets it or the wire's own task go first, by chance."""

MARK: ContextVar[str] = ContextVar("MARK", default="nobody's")


@pytest.fixture
def links(nursery: trio.Nursery) -> SocketLinks:
    return SocketLinks(nursery)


class Turns:
    """Asks and answers in turn on one stream until cancelled, so that both tasks come to read for themselves."""

    def __init__(self, near: Stream, far: Stream) -> None:
        self.near, self.far = near, far
        self.scope = trio.CancelScope()
        self.heard: list[bytes] = []
        self.ended: Exception | None = None

    async def answer(self) -> None:
        try:
            with self.scope:
                while True:
                    await self.far.send_all(await self.far.receive_some())
        except Exception as error:
            self.ended = error

    async def ask(self) -> None:
        for number in range(TURNS):
            await self.near.send_all(b"%d" % number)
            self.heard.append(await self.near.receive_some())


async def leading(links: SocketLinks, nursery: trio.Nursery) -> Turns:
    """Turns whose answering task leads, and waits."""
    turns = Turns(*await links.streams())
    nursery.start_soon(turns.answer)
    await turns.ask()
    await wait_all_tasks_blocked()
    assert links.wires[1].reader._is_led
    return turns


async def test_whoever_asks_and_answers_in_turn_reads_the_socket_itself(
    links: SocketLinks, nursery: trio.Nursery
) -> None:
    turns = await leading(links, nursery)
    readers: list[trio.lowlevel.Task] = []
    links.users[0].serve = links.users[1].serve = lambda stream: readers.append(trio.lowlevel.current_task())
    asking: list[trio.lowlevel.Task] = []

    async def ask() -> None:
        asking.append(trio.lowlevel.current_task())
        await turns.ask()
        await turns.near.receive_some()

    nursery.start_soon(ask)
    await wait_all_tasks_blocked()
    await links.bob.open_stream("/nz/test/1")
    await wait_all_tasks_blocked()
    assert readers == asking
    assert turns.heard[-TURNS:] == [b"%d" % number for number in range(TURNS)]


async def test_the_wires_own_task_reads_on_when_the_leader_leaves(links: SocketLinks, nursery: trio.Nursery) -> None:
    turns = await leading(links, nursery)
    turns.scope.cancel()
    await wait_all_tasks_blocked()
    reader = links.wires[1].reader
    assert not reader._is_led
    assert not reader.is_free
    await links.alice.ping()  # answered by a node none of whose tasks waits for bytes


async def test_a_cancelled_leader_loses_nothing(links: SocketLinks, nursery: trio.Nursery) -> None:
    turns = await leading(links, nursery)
    await turns.near.send_all(b"just now")
    turns.scope.cancel()  # in the tick in which it arrives
    await wait_all_tasks_blocked()
    if not turns.far._chunks:  # the leader had it already, and answered
        assert await turns.near.receive_some() == b"just now"
    else:
        assert await turns.far.receive_some() == b"just now"
    await turns.near.send_all(b"later")
    assert await turns.far.receive_some() == b"later"


async def test_a_leader_reads_for_all_streams(links: SocketLinks, nursery: trio.Nursery) -> None:
    await leading(links, nursery)
    other = Turns(*await links.streams("/nz/test/2"))
    nursery.start_soon(other.answer)
    await other.ask()
    assert other.heard == [b"%d" % number for number in range(TURNS)]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_leader_whose_stream_is_closed_leaves(links: SocketLinks, nursery: trio.Nursery, how: str) -> None:
    turns = await leading(links, nursery)
    getattr(turns.far, how)()
    await wait_all_tasks_blocked()
    assert isinstance(turns.ended, trio.ClosedResourceError)
    await links.alice.ping()


async def test_a_leader_whose_link_is_closed_leaves_and_the_last_words_are_sent(
    links: SocketLinks, nursery: trio.Nursery
) -> None:
    turns = await leading(links, nursery)
    links.bob.close("channel.going-away")
    await wait_all_tasks_blocked()
    assert isinstance(turns.ended, StreamLost)
    assert turns.ended.code == "channel.going-away"
    assert links.users[0].told[-1] == ("closed", "channel.going-away", True)
    assert [wire._sock.fileno() for wire in links.wires] == [-1, -1]


async def test_a_writer_that_waits_outlives_an_interrupted_leader(links: SocketLinks, nursery: trio.Nursery) -> None:
    turns = await leading(links, nursery)
    bulk_near, bulk_far = await links.streams("/nz/test/2")
    links.wires[0].reader.pause()  # nobody reads there, so that the socket fills up
    size = INITIAL_WINDOW * 4
    links.wires[1]._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    nursery.start_soon(bulk_far.send_all, bytes(size))
    await wait_all_tasks_blocked()
    assert links.wires[1]._written is not None
    turns.far.close()
    await wait_all_tasks_blocked()
    links.wires[0].reader.resume()
    while size:
        size -= len(await bulk_near.receive_some())


async def test_what_a_leader_starts_for_others_inherits_none_of_its_variables(
    links: SocketLinks, nursery: trio.Nursery
) -> None:
    marks: list[str] = []

    async def served(stream: Stream) -> None:
        marks.append(MARK.get())

    links.users[1].serve = lambda stream: (
        nursery.start_soon(served, stream) if stream.protocol == "/nz/late/1" else None
    )
    turns = Turns(*await links.streams())

    async def answer() -> None:
        MARK.set("the leader's")
        await turns.answer()

    nursery.start_soon(answer)
    await turns.ask()
    await wait_all_tasks_blocked()
    assert links.wires[1].reader._is_led
    await links.alice.open_stream("/nz/late/1")
    await wait_all_tasks_blocked()
    assert marks == ["nobody's"]


async def lead(reader: SocketReader, nursery: trio.Nursery) -> trio.Event:
    """Runs `reader` with a leader that never has what it waits for; set when it leaves."""
    left = trio.Event()

    async def wait() -> None:
        reader.resume()
        assert reader.is_free
        await reader.lead(lambda: False)
        left.set()

    reader.pause()
    nursery.start_soon(reader.run)
    await wait_all_tasks_blocked()
    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    return left


async def test_a_pause_sends_the_leader_away_once_something_comes(nursery: trio.Nursery) -> None:
    near, far = socket.socketpair()
    read: list[bytes] = []
    reader = SocketReader(far, lambda: read.append(far.recv(10)))
    with near, far:
        left = await lead(reader, nursery)
        near.send(b"one")
        await wait_all_tasks_blocked()
        reader.pause()
        near.send(b"two")
        await wait_all_tasks_blocked()
        assert read == [b"one"]
        assert left.is_set()
        reader.resume()
        await wait_all_tasks_blocked()
        assert read == [b"one", b"two"]
        nursery.cancel_scope.cancel()


async def test_a_leader_leaves_where_what_it_reads_stops_the_reader(nursery: trio.Nursery) -> None:
    near, far = socket.socketpair()
    reader = SocketReader(far, lambda: reader.stop() if far.recv(10) else None)
    with near, far:
        left = await lead(reader, nursery)
        near.send(b"stop")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        assert left.is_set()


async def test_a_stream_closed_before_its_leader_has_left_does_not_disturb_the_lingering_wire(
    nursery: trio.Nursery,
) -> None:
    for _ in range(24):  # a third of all orders in which Trio runs the tick's tasks shows it
        links = SocketLinks(nursery)
        await close_link_and_stream_in_one_tick(links, nursery)
        assert links.users[0].told[-1] == ("closed", "channel.going-away", True)
        assert [wire._sock.fileno() for wire in links.wires] == [-1, -1]


async def close_link_and_stream_in_one_tick(links: SocketLinks, nursery: trio.Nursery) -> None:
    """Closes both between two turns of the leader, while the wire's own task is about to go on."""
    turns = Turns(*await links.streams())
    came, heard = trio.Event(), trio.Event()
    steps = [lambda: links.bob.close("channel.going-away"), turns.far.close]

    async def step(event: trio.Event) -> None:
        await event.wait()
        steps.pop(0)()

    async def follow() -> None:
        with suppress(StreamLost, trio.ClosedResourceError):
            while data := await turns.far.receive_some():
                heard.set() if data == b"last" else await turns.far.send_all(data)

    for task in (partial(step, came), partial(step, heard), follow):
        nursery.start_soon(task)
    await turns.ask()
    await wait_all_tasks_blocked()
    assert links.wires[1].reader._is_led
    links.users[1].serve = lambda stream: came.set()
    links.alice._channel.open("/nz/late/1")  # in one record with the last word
    await turns.near.send_all(b"last")
    await wait_all_tasks_blocked()


async def test_nobody_asks_the_system_about_a_socket_that_is_closed(
    links: SocketLinks, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = await leading(links, nursery)
    notify = trio.lowlevel.notify_closing
    told: list[int] = []

    def notify_closing(sock: socket.socket) -> None:
        told.append(sock.fileno())
        notify(sock)

    monkeypatch.setattr(trio.lowlevel, "notify_closing", notify_closing)
    links.wires[0].close(abort=True)
    links.bob.close()  # its last words fail, so that the socket is shut at once
    await wait_all_tasks_blocked()
    assert isinstance(turns.ended, StreamLost)
    assert told
    assert -1 not in told  # Windows answers with an error, which would leave the link half closed


async def test_a_wire_that_is_shut_before_its_writer_first_runs_ends_in_peace(
    links: SocketLinks, nursery: trio.Nursery
) -> None:
    assert links.wires[1].send([bytes(16 << 20)])
    links.wires[1].close(abort=True)
    await wait_all_tasks_blocked()
    assert links.wires[1]._written is None


async def test_what_fails_while_a_leader_reads_is_not_the_leaders_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*what: object) -> None:
        raise RuntimeError("the owner's")

    with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 -- the nursery is what raises
        async with trio.open_nursery() as nursery:
            links = SocketLinks(nursery)
            turns = await leading(links, nursery)
            links.users[1].serve = fail
            monkeypatch.setattr(links.users[1], "on_fault", fail)
            await links.alice.open_stream("/nz/late/1")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert [str(error) for error in failed.value.exceptions] == ["the owner's"]
    assert isinstance(turns.ended, StreamLost)  # and no more than that
