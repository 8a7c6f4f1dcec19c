"""Streams over two links in memory: Trio's stream semantics but for the documented deviation, and cancellation."""

from collections.abc import Awaitable, Callable
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import _check_streams, wait_all_tasks_blocked

from nzcore.net.stream import SMALL, Stream, StreamLost
from nzcore.proto.channel.config import INITIAL_WINDOW
from tests.net.memory_wire import Links, SocketLinks


@pytest.fixture(params=[Links, SocketLinks])
def links(nursery: trio.Nursery, request: pytest.FixtureRequest) -> Links:
    made: Links = request.param(nursery)
    return made


async def read_all(stream: Stream) -> bytes:
    got = b""
    while piece := await stream.receive_some():
        got += piece
    return got


@pytest.mark.parametrize("make_links", [Links, SocketLinks])
async def test_streams_pass_trios_own_checks(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, make_links: type[Links]
) -> None:
    """All of `check_half_closeable_stream` except that every call yields: that is the documented deviation."""
    monkeypatch.setattr(_check_streams, "assert_checkpoints", nullcontext)
    links = make_links(nursery)

    async def make() -> tuple[Stream, Stream]:
        return await links.streams()

    async def make_clogged() -> tuple[Stream, Stream]:
        pair = await links.streams()
        for stream in pair:
            while stream._link.can_write(stream.id):
                await stream.send_all(bytes(1024))
        return pair

    await trio.testing.check_half_closeable_stream(make, make_clogged)
    nursery.cancel_scope.cancel()


async def test_bytes_go_both_ways_whole_and_in_order(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    sent = bytes(range(256)) * 8_000  # two megabytes, many times every window

    async def send(stream: Stream) -> None:
        for at in range(0, len(sent), 70_001):
            await stream.send_all(sent[at : at + 70_001])
        await stream.send_eof()

    nursery.start_soon(send, near)
    nursery.start_soon(send, far)
    assert await read_all(far) == sent
    assert await read_all(near) == sent
    for stream in (near, far):
        await stream.aclose()
    await wait_all_tasks_blocked()
    assert links.alice.statistics().streams == links.bob.statistics().streams == 0
    nursery.cancel_scope.cancel()


async def test_messages_of_all_sizes_and_types_arrive(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    buffer = bytearray(b"mutable")
    await near.send_all(b"")
    await near.send_all(buffer)
    buffer[:] = b"CHANGED"
    await near.send_all(memoryview(b"view"))
    for _ in range(3):
        await near.send_all(b"small")
    await near.send_eof()
    assert await read_all(far) == b"mutableview" + b"small" * 3
    nursery.cancel_scope.cancel()


async def test_a_reader_that_stops_holds_up_its_own_stream_only(links: Links, nursery: trio.Nursery) -> None:
    stalled, _ = await links.streams()
    with trio.move_on_after(0):
        await stalled.send_all(bytes(1 << 20))
    near, far = await links.streams()
    for number in range(50):
        await near.send_all(b"%d" % number)
        assert await far.receive_some() == b"%d" % number
    nursery.cancel_scope.cancel()


async def test_unread_pieces_cost_no_more_than_credit_bounds(links: Links, nursery: trio.Nursery) -> None:
    """Two bytes in an object of their own cost fifty; here they cost two and a bit."""
    _, far = await links.streams()
    for _ in range(INITIAL_WINDOW // 2):
        far.on_data(b"xy")
    held = sum(len(piece) for piece in far._chunks)
    assert held == INITIAL_WINDOW
    assert len(far._chunks) <= 2
    for size in (SMALL, 1, SMALL - 1, 2 * SMALL, 3):
        far.on_data(bytes(size))
    assert await far.receive_some(1) == b"x"
    assert await far.receive_some(3) == b"yxy"
    far.on_data(b"z")
    total = 4
    while far._chunks:
        total += len(await far.receive_some(700))
    assert total == held + SMALL + 1 + SMALL - 1 + 2 * SMALL + 3 + 1
    nursery.cancel_scope.cancel()


async def test_the_end_of_the_wire_is_never_a_clean_end(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    await near.send_all(b"half an ans")
    await wait_all_tasks_blocked()
    links.wires[0].close()
    await wait_all_tasks_blocked()
    assert await far.receive_some() == b"half an ans"  # what came can still be read
    with pytest.raises(StreamLost) as caught:
        await far.receive_some()
    assert caught.value.code == "channel.lost"
    assert links.users[1].told[-1] == ("closed", "channel.lost", True)
    nursery.cancel_scope.cancel()


async def test_an_end_that_came_before_the_wire_broke_is_clean(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    await near.send_all(b"all")
    await near.send_eof()
    await wait_all_tasks_blocked()
    links.wires[0].close()
    await wait_all_tasks_blocked()
    assert await read_all(far) == b"all"
    nursery.cancel_scope.cancel()


async def test_a_reset_tells_its_code_and_what_came_before_it(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    await near.send_all(b"partial")
    near.reset("channel.handler-failed")
    await wait_all_tasks_blocked()
    assert await far.receive_some() == b"partial"
    with pytest.raises(trio.BrokenResourceError) as caught:
        await far.receive_some()
    assert caught.value.code == "channel.handler-failed"  # type: ignore[attr-defined]
    with pytest.raises(StreamLost):
        await far.send_all(b"x")
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError, "channel.handler-failed"), (KeyboardInterrupt, "channel.cancelled")]
)
async def test_an_exception_that_leaves_the_block_resets_the_stream(
    links: Links, nursery: trio.Nursery, error: type[BaseException], code: str
) -> None:
    near, far = await links.streams()
    await far.send_all(b"request")
    await far.send_eof()

    async def fail() -> None:
        async with near:
            await near.send_all(b"half")
            raise error

    with pytest.raises(error):
        await fail()
    assert await far.receive_some() == b"half"
    with pytest.raises(StreamLost) as caught:
        await far.receive_some()
    assert caught.value.code == code
    nursery.cancel_scope.cancel()


async def test_leaving_the_block_in_order_ends_the_stream(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    async with near:
        await near.send_all(b"whole")
    assert await read_all(far) == b"whole"
    await far.aclose()
    await wait_all_tasks_blocked()
    assert links.alice.statistics().streams == links.bob.statistics().streams == 0
    nursery.cancel_scope.cancel()


async def test_a_second_sender_is_refused_even_while_the_first_is_being_woken(
    links: Links, nursery: trio.Nursery
) -> None:
    near, far = await links.streams()
    first = b"a" * 50_000
    nursery.start_soon(near.send_all, first)
    await wait_all_tasks_blocked()
    refused = 0
    got = b""
    while len(got) < len(first):
        got += await far.receive_some()
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            if not near._sending:
                break
            with pytest.raises(trio.BusyResourceError):
                await near.send_all(b"b")
            refused += 1
    assert got == first
    assert refused
    nursery.cancel_scope.cancel()


async def test_a_waiting_sender_and_reader_learn_of_the_close(links: Links, nursery: trio.Nursery) -> None:
    near, _ = await links.streams()
    failed: list[str] = []

    async def expect(call: Callable[..., Awaitable[Any]], *arguments: object) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await call(*arguments)
        failed.append("closed")

    nursery.start_soon(expect, near.send_all, bytes(1 << 20))
    nursery.start_soon(expect, near.receive_some)
    await wait_all_tasks_blocked()
    await near.aclose()
    await wait_all_tasks_blocked()
    assert failed == ["closed"] * 2
    nursery.cancel_scope.cancel()


@contextmanager
def cancelled_at(count: int) -> Any:
    """Cancels at the `count`-th checkpoint of the block: a harness for all of them, one after the other."""
    with trio.CancelScope() as scope:
        task = trio.lowlevel.current_task()
        left = [count]

        class Count(trio.abc.Instrument):
            def before_task_step(self, stepped: trio.lowlevel.Task) -> None:
                if stepped is task:
                    left[0] -= 1
                    if left[0] == 0:
                        scope.cancel()

        instrument = Count()
        if count == 0:
            scope.cancel()
        trio.lowlevel.add_instrument(instrument)
        try:
            yield scope
        finally:
            trio.lowlevel.remove_instrument(instrument)


@pytest.mark.parametrize("make_links", [Links, SocketLinks])
@pytest.mark.parametrize("at", range(14))
async def test_cancellation_at_every_checkpoint_leaks_nothing(
    at: int, make_links: type[Links], nursery: trio.Nursery
) -> None:
    """Open, send more than a window, half-close, receive, close: cancelled at each step in turn."""
    links = make_links(nursery)

    async def serve() -> None:
        while True:
            stream = await links.users[1].next_stream()
            nursery.start_soon(echo, stream)

    async def echo(stream: Stream) -> None:
        try:
            async with stream:
                while piece := await stream.receive_some():
                    await stream.send_all(piece)
        except StreamLost:
            pass

    nursery.start_soon(serve)
    data = bytes(3 * INITIAL_WINDOW)
    with cancelled_at(at) as scope:
        async with await links.alice.open_stream("/nz/test/1") as stream:
            async with trio.open_nursery() as inner:
                inner.start_soon(stream.send_all, data)
                got = b""
                while len(got) < len(data):
                    got += await stream.receive_some()
            await stream.send_eof()
            assert await stream.receive_some() == b""
    assert scope.cancelled_caught == scope.cancel_called or at > 10
    await wait_all_tasks_blocked()
    for link in (links.alice, links.bob):
        assert link.statistics().streams == 0
        assert link.streams() == []
        assert not link._waiting
        assert not link._openers
        assert not link.is_over
    near = await links.alice.open_stream("/nz/test/1")  # and the channel goes on
    await near.send_all(b"still there")
    assert await near.receive_some() == b"still there"
    nursery.cancel_scope.cancel()


async def given_up(call: Callable[..., Awaitable[Any]], *arguments: object) -> None:
    """Calls, and cancels once everything waits."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, *arguments)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_a_cancelled_wait_can_be_repeated(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    for _ in range(3):
        await given_up(near.receive_some)
        await given_up(near.send_all, bytes(100_000))
        await given_up(near.wait_send_all_might_not_block)
    got = b""
    while len(got) < INITIAL_WINDOW:
        got += await far.receive_some()
    await far.send_all(b"reply")
    assert await near.receive_some() == b"reply"
    await wait_all_tasks_blocked()
    await near.send_all(b"again")
    assert await far.receive_some() == b"again"
    nursery.cancel_scope.cancel()
