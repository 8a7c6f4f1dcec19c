"""A wire without a task of its own: read by whoever waits for what comes first, or closed before anybody read it."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nzcore.net import tcp
from nzcore.net.reader import SocketReader
from nzcore.net.tcp import TcpWire
from nzcore.testing.conformance import Ear


@asynccontextmanager
async def reading() -> AsyncIterator[tuple[SocketReader, socket.socket, list[bytes]]]:
    """A reader of one byte at a time that fails at `?`, the far end, and what it read."""
    near, far = socket.socketpair()
    read: list[bytes] = []

    def receive() -> None:
        read.append(near.recv(1))
        if read[-1] == b"?":
            raise RuntimeError("the user's")

    near.setblocking(False)
    with near, far:
        yield SocketReader(near, receive), far, read


async def test_a_flood_lets_other_tasks_have_a_turn_between_any_two_reads(nursery: trio.Nursery) -> None:
    async with reading() as (reader, far, read):
        turns: list[int] = []

        async def other() -> None:
            while True:
                turns.append(len(read))
                await trio.lowlevel.checkpoint()

        nursery.start_soon(other)
        far.send(bytes(100))
        await reader.read_until(lambda: len(read) == 100)
        assert all(after - before <= 2 for before, after in pairwise(turns))
        nursery.cancel_scope.cancel()


async def test_what_fails_while_a_task_reads_fails_in_that_task_which_may_read_on() -> None:
    async with reading() as (reader, far, read):
        far.send(b"a?b")
        with pytest.raises(RuntimeError, match="the user's"):
            await reader.read_until(lambda: False)
        await reader.read_until(lambda: len(read) == 3)
        assert read == [b"a", b"?", b"b"]


async def test_a_cancelled_read_loses_nothing() -> None:
    async with reading() as (reader, far, read):
        far.send(b"ab")
        with trio.CancelScope() as scope:
            await reader.read_until(lambda: bool(read) and scope.cancel() is not None)
        assert scope.cancelled_caught
        assert read == [b"a"]
        await reader.read_until(lambda: len(read) == 2)


# Wires that never had a task of their own.


def pair_of(spawn: Callable[..., None]) -> tuple[TcpWire, socket.socket]:
    near, far = socket.socketpair()
    far.setblocking(False)
    return TcpWire(near, "far", spawn), far


async def test_last_words_arrive_without_a_readers_task_although_bytes_are_unread(nursery: trio.Nursery) -> None:
    wire, far = pair_of(nursery.start_soon)
    with far:
        far.send(b"unread")
        wire.close(rest=[b"last words"])
        await wait_all_tasks_blocked()
        assert TcpWire.lingering == 1
        assert far.recv(100) == b"last words"
        far.shutdown(socket.SHUT_WR)
        await wait_all_tasks_blocked()
        assert wire._sock.fileno() < 0
        assert TcpWire.lingering == 0


async def test_where_nobody_owns_tasks_any_more_a_close_is_a_close() -> None:
    async with trio.open_nursery() as over:
        pass
    wire, far = pair_of(over.start_soon)
    with far:
        wire.close(rest=[b"last words"])
        assert wire._sock.fileno() < 0
        assert far.recv(100) == b"last words"
        assert TcpWire.lingering == 0


async def test_where_too_many_linger_already_a_wire_is_shut_at_once(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_LINGERING", 1)
    pairs = [pair_of(nursery.start_soon) for _ in range(3)]
    for wire, _ in pairs:
        wire.close(rest=[b"last words"])
    await wait_all_tasks_blocked()
    assert sorted(wire._sock.fileno() >= 0 for wire, _ in pairs) == [False, False, True]
    for _, far in pairs:
        assert far.recv(100) == b"last words"
        far.close()
    await wait_all_tasks_blocked()
    assert TcpWire.lingering == 0


async def test_resuming_a_closed_wire_starts_nothing() -> None:
    started: list[object] = []
    wire, far = pair_of(lambda *what: started.append(what))
    with far:
        wire.close(abort=True)
        wire.resume()
        await wire.read_until(lambda: False)
        assert started == []


async def test_a_pause_before_the_first_resume_is_undone_by_it(nursery: trio.Nursery) -> None:
    wire, far = pair_of(nursery.start_soon)
    with far:
        ear = Ear(wire, resume=False)
        wire.pause()
        far.send(b"early")
        await wait_all_tasks_blocked()
        assert ear.heard == b""
        wire.resume()
        await ear.until(lambda: ear.heard == b"early")
        wire.close(abort=True)
