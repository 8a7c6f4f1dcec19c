"""`Stream.feed` and `Stream.send_nowait`: bytes without a task's turn in between, over two links in memory."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nzcore.net.stream import Stream, StreamLost
from tests.net.memory_wire import Links, SocketLinks


@pytest.fixture(params=[Links, SocketLinks])
def links(nursery: trio.Nursery, request: pytest.FixtureRequest) -> Links:
    made: Links = request.param(nursery)
    return made


async def test_a_sink_gets_what_was_waiting_and_what_comes_in_order(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    got = bytearray()
    await near.send_all(b"early ")
    await wait_all_tasks_blocked()

    async def feed() -> None:
        await far.feed(got.extend)
        got.extend(b".")

    nursery.start_soon(feed)
    await wait_all_tasks_blocked()
    for _ in range(40):  # many windows: what the sink took gives credit back
        await near.send_all(bytes(32_768))
    await near.send_all(b"late")
    await near.send_eof()
    await wait_all_tasks_blocked()
    assert bytes(got) == b"early " + bytes(40 * 32_768) + b"late."


async def test_what_a_sink_raises_is_raised_by_feed_and_harms_no_other_stream(links: Links) -> None:
    near, far = await links.streams()
    other_near, other_far = await links.streams()

    def fail(data: bytes) -> None:
        raise ValueError(data)

    async def send() -> None:
        await wait_all_tasks_blocked()
        await near.send_all(b"boom")

    async with trio.open_nursery() as tasks:
        tasks.start_soon(send)
        with pytest.raises(ValueError, match="boom"):
            await far.feed(fail)
    await other_near.send_all(b"well")
    assert await other_far.receive_some() == b"well"


@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_a_feed_ends_with_its_stream(links: Links, how: str) -> None:
    near, far = await links.streams()
    stream: Stream = near if how == "reset" else far

    async def end() -> None:
        await wait_all_tasks_blocked()
        stream.reset()

    async with trio.open_nursery() as tasks:
        tasks.start_soon(end)
        with pytest.raises(StreamLost if how == "reset" else trio.ClosedResourceError):
            await far.feed(lambda data: None)


async def test_a_cancelled_feed_leaves_the_stream_to_be_read(links: Links) -> None:
    near, far = await links.streams()
    with trio.CancelScope() as scope:
        scope.cancel()
        await far.feed(lambda data: None)
    await near.send_all(b"after")
    assert await far.receive_some() == b"after"


async def test_one_receives_while_another_feeds_is_refused(links: Links, nursery: trio.Nursery) -> None:
    _, far = await links.streams()
    nursery.start_soon(far.feed, lambda data: None)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError):
        await far.receive_some()
    with pytest.raises(trio.BusyResourceError):
        await far.feed(lambda data: None)
    nursery.cancel_scope.cancel()


async def test_send_nowait_takes_what_credit_allows_and_says_how_much(links: Links) -> None:
    near, far = await links.streams()
    assert near.send_nowait(b"small") == 5
    taken = 5
    while fresh := near.send_nowait(bytes(100_000)):
        taken += fresh
    got = 0
    while got < taken:
        got += len(await far.receive_some())
    assert got == taken
    near.reset()
    with pytest.raises(trio.ClosedResourceError):
        near.send_nowait(b"x")
