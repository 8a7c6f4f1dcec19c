"""Links over a wire in memory: flushing, back-pressure, pings, ends; nothing that arrives raises."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nzcore.base.errors import PeerError
from nzcore.net.link import FLUSH_BYTES, Link
from nzcore.net.stream import Stream, StreamLost
from nzcore.proto.channel import frames
from nzcore.proto.channel.config import INITIAL_WINDOW, ChannelConfig
from nzcore.proto.channel.frames import frame
from nzcore.proto.channel.hello import Hello
from tests.net.memory_wire import Links


@pytest.fixture
def links(nursery: trio.Nursery) -> Links:
    return Links(nursery)


async def test_both_greet_as_soon_as_the_link_starts(links: Links, nursery: trio.Nursery) -> None:
    await wait_all_tasks_blocked()
    assert [user.told for user in links.users] == [[("hello", Hello(time=7))]] * 2
    nursery.cancel_scope.cancel()


async def test_the_first_write_goes_out_at_once_and_the_rest_of_the_tick_together(
    links: Links, nursery: trio.Nursery
) -> None:
    near, far = await links.streams()
    await far.send_all(b"the last word was theirs")
    await wait_all_tasks_blocked()
    before = len(links.wires[0].sent)
    await near.send_all(b"x")
    first = len(links.wires[0].sent)
    assert first > before
    for _ in range(1000):
        await near.send_all(b"y")
    assert len(links.wires[0].sent) == first
    await wait_all_tasks_blocked()
    assert len(links.wires[0].sent) == first + 2 + 7 + 1000 + 16  # one record
    nursery.cancel_scope.cancel()


async def test_who_asks_and_answers_in_turn_never_wakes_the_flusher(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    await far.send_all(b"answer")  # to the OPEN
    await near.receive_some()
    await wait_all_tasks_blocked()
    heated: list[object] = []
    heat = links.flusher.heat

    def count(link: Link) -> None:
        heated.append(link)
        heat(link)

    links.flusher.heat = count  # type: ignore[method-assign]
    for _ in range(10):
        await near.send_all(b"ask")
        assert await far.receive_some() == b"ask"
        await far.send_all(b"answer")
        assert await near.receive_some() == b"answer"
    assert heated == []
    nursery.cancel_scope.cancel()


async def test_a_full_wire_holds_writers_and_openers_until_it_is_read(nursery: trio.Nursery) -> None:
    links = Links(nursery, room=4096, config=ChannelConfig(queue_bytes=8192))
    near, far = await links.streams()
    await wait_all_tasks_blocked()
    links.wires[1].is_stuck = True
    links.alice._channel._records[near.id].credit = 1 << 20
    links.bob._channel._records[far.id].receivable = 1 << 20
    done: list[str] = []

    async def send() -> None:
        await near.send_all(bytes(100_000))
        done.append("sent")

    async def open_one() -> None:
        await links.alice.open_stream("/nz/late/1")
        done.append("opened")

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    nursery.start_soon(open_one)
    await wait_all_tasks_blocked()
    assert done == []
    assert links.alice._channel.queued() <= 8192 + 100
    links.wires[1].resume()
    got = 0
    while got < 100_000:
        got += len(await far.receive_some())
    await wait_all_tasks_blocked()
    assert sorted(done) == ["opened", "sent"]
    nursery.cancel_scope.cancel()


async def test_a_big_write_is_sent_while_it_is_packed(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    await wait_all_tasks_blocked()
    links.alice._channel._records[near.id].credit = 1 << 20
    links.bob._channel._records[far.id].receivable = 1 << 20
    await near.send_all(b"heats the link")
    before = len(links.wires[0].sent)
    await near.send_all(b"and warms it")
    await near.send_all(bytes(FLUSH_BYTES // 2))
    assert len(links.wires[0].sent) == before
    links.wires[0].room = 1 << 20
    await near.send_all(bytes(FLUSH_BYTES))
    assert len(links.wires[0].sent) > before + FLUSH_BYTES
    nursery.cancel_scope.cancel()


async def test_openers_wait_for_a_place_in_turn(nursery: trio.Nursery) -> None:
    links = Links(nursery, config=ChannelConfig(max_streams=2))
    held = [await links.alice.open_stream("/nz/test/1") for _ in range(2)]
    order: list[int] = []

    async def open_one(number: int) -> None:
        try:
            held.append(await links.alice.open_stream("/nz/test/1"))
            order.append(number)
        except StreamLost:
            order.append(-number)

    for number in range(3):
        nursery.start_soon(open_one, number)
        await wait_all_tasks_blocked()
    assert order == []
    with trio.move_on_after(0):
        await links.alice.open_stream("/nz/test/1")  # gives up, and takes nobody's place
    for _ in range(2):
        held.pop(0).close()
        for stream in links.users[1].streams:
            stream.close()
        await wait_all_tasks_blocked()
    assert order == [0, 1]
    links.alice.close()
    await wait_all_tasks_blocked()
    assert order == [0, 1, -2]
    with pytest.raises(StreamLost):
        await links.alice.open_stream("/nz/test/1")
    nursery.cancel_scope.cancel()


async def test_waiting_openers_learn_that_the_link_is_over(nursery: trio.Nursery) -> None:
    links = Links(nursery, config=ChannelConfig(max_streams=1))
    await links.alice.open_stream("/nz/test/1")
    codes: list[str] = []

    async def open_one() -> None:
        try:
            await links.alice.open_stream("/nz/test/1")
        except StreamLost as lost:
            codes.append(lost.code)

    nursery.start_soon(open_one)
    await wait_all_tasks_blocked()
    links.bob.close("channel.going-away", b"detail")
    await wait_all_tasks_blocked()
    assert codes == ["channel.going-away"]
    assert links.alice.detail == b"detail"
    nursery.cancel_scope.cancel()


async def test_a_channel_without_numbers_left_is_closed_to_be_dialled_anew(links: Links, nursery: trio.Nursery) -> None:
    links.alice._channel._streams._next_local = 1 << 32
    with pytest.raises(StreamLost) as caught:
        await links.alice.open_stream("/nz/test/1")
    assert caught.value.code == "channel.used-up"
    await wait_all_tasks_blocked()
    assert links.users[1].told[-1] == ("closed", "channel.used-up", True)
    nursery.cancel_scope.cancel()


async def test_a_bad_protocol_is_the_callers_fault_and_harms_nothing(links: Links, nursery: trio.Nursery) -> None:
    with pytest.raises(PeerError, match="bad-protocol"):
        await links.alice.open_stream("nonsense")
    assert not links.alice.is_over
    nursery.cancel_scope.cancel()


async def test_pings_are_answered_also_many_at_once(links: Links, nursery: trio.Nursery) -> None:
    times: list[float] = []

    async def ping() -> None:
        times.append(await links.alice.ping())

    async with trio.open_nursery() as inner:
        for _ in range(50):
            inner.start_soon(ping)
    assert len(times) == 50
    assert links.alice._pings._waiting == []
    assert links.alice.statistics().rtt_s is not None
    nursery.cancel_scope.cancel()


async def test_a_ping_ends_with_the_link_and_a_cancelled_one_leaves_nothing(
    links: Links, nursery: trio.Nursery
) -> None:
    await wait_all_tasks_blocked()
    links.wires[1].is_stuck = True
    with trio.move_on_after(0):
        await links.alice.ping()
    assert links.alice._pings._waiting == []
    failed: list[str] = []

    async def ping() -> None:
        try:
            await links.alice.ping()
        except StreamLost as lost:
            failed.append(lost.code)

    nursery.start_soon(ping)
    await wait_all_tasks_blocked()
    links.alice.close()
    await wait_all_tasks_blocked()
    assert failed == ["channel.closed"]
    for call in (links.alice.rekey, links.alice._check_alive):
        with pytest.raises(StreamLost):
            call()
    with pytest.raises(StreamLost):
        await links.alice.ping()
    nursery.cancel_scope.cancel()


async def test_what_was_written_goes_out_before_the_close(nursery: trio.Nursery) -> None:
    links = Links(nursery, room=4096)
    near, far = await links.streams()
    await wait_all_tasks_blocked()
    await near.send_all(bytes(INITIAL_WINDOW))  # more than the medium takes
    links.alice.close("channel.disconnected")
    got = 0
    while got < INITIAL_WINDOW:
        got += len(await far.receive_some())
    with pytest.raises(StreamLost) as caught:
        await far.receive_some()
    assert caught.value.code == "channel.disconnected"
    assert links.wires[0].closed == "closed"
    nursery.cancel_scope.cancel()


async def test_after_a_record_that_does_not_open_not_even_leftovers_are_sent(nursery: trio.Nursery) -> None:
    links = Links(nursery, room=4096)
    near, _ = await links.streams()
    await wait_all_tasks_blocked()
    links.wires[1].is_stuck = True
    await near.send_all(bytes(INITIAL_WINDOW))
    assert links.alice._leftover
    sent = len(links.wires[0].sent)
    links.alice.on_bytes(memoryview(b"\x00\x20" + bytes(32)))
    assert links.wires[0].closed == "aborted"
    assert len(links.wires[0].sent) == sent
    assert links.users[0].told[-1] == ("closed", "crypto.not-authentic", False)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("act", ["close", "reset", "send", "eof", "ping", "open"])
async def test_their_close_in_the_same_record_never_becomes_our_error(
    act: str, links: Links, nursery: trio.Nursery
) -> None:
    """OPEN and CLOSE in one record: whoever handles the stream at once finds the channel gone, and no bug is told."""
    await wait_all_tasks_blocked()

    def serve(stream: Stream) -> None:
        if act in ("close", "reset"):
            getattr(stream, act)()
        elif act == "send":
            with pytest.raises(StreamLost):
                links.bob.write(stream.id, b"x")
        elif act == "eof":
            links.bob.end(stream.id)
        else:
            with pytest.raises(StreamLost):
                links.bob._check_alive()

    links.users[1].serve = serve
    channel = links.alice._channel
    channel.open("/nz/test/1")
    channel.close("channel.closed")
    links.bob.on_bytes(memoryview(b"".join(channel.take())))
    assert links.users[1].told[1:] == [("closed", "channel.closed", True)]
    nursery.cancel_scope.cancel()


async def test_a_fault_of_ours_ends_its_link_only(links: Links, nursery: trio.Nursery) -> None:
    def serve(stream: Stream) -> None:
        raise ZeroDivisionError

    links.users[1].serve = serve
    await links.alice.open_stream("/nz/test/1")
    await wait_all_tasks_blocked()
    assert [told[0] for told in links.users[1].told] == ["hello", "fault", "closed"]
    assert links.bob.is_over
    nursery.cancel_scope.cancel()


async def test_a_refused_frame_is_told_before_the_wire_closes(links: Links, nursery: trio.Nursery) -> None:
    await wait_all_tasks_blocked()
    links.alice._channel._writer._parts.append(frame(frames.DATA, 9, b"x"))
    links.alice._channel._writer._size = 8
    links.alice._flush()
    await wait_all_tasks_blocked()
    assert links.users[1].told[-1] == ("closed", "channel.bad-stream", False)
    assert links.users[0].told[-1] == ("closed", "channel.protocol-error", True)
    nursery.cancel_scope.cancel()


async def test_the_tick_keeps_a_quiet_link_alive_and_ends_a_dead_one(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    links = Links(nursery)
    await wait_all_tasks_blocked()
    for _ in range(100):
        await trio.sleep(1)
        for link in (links.alice, links.bob):
            assert link.tick() > trio.current_time() - 1
    assert not links.alice.is_over
    links.wires[0].is_stuck = links.wires[1].is_stuck = True
    for _ in range(61):
        await trio.sleep(1)
        links.alice.tick()
    assert links.users[0].told[-1] == ("closed", "channel.dead", False)
    nursery.cancel_scope.cancel()


async def test_a_rekey_under_load_loses_nothing_on_streams(links: Links, nursery: trio.Nursery) -> None:
    near, far = await links.streams()
    sent = bytes(range(251)) * 4000

    async def send() -> None:
        for at in range(0, len(sent), 9_973):
            await near.send_all(sent[at : at + 9_973])
            if at % 5 == 0:
                links.alice.rekey()
        await near.send_eof()

    nursery.start_soon(send)
    got = b""
    while piece := await far.receive_some():
        got += piece
    assert got == sent
    assert links.alice.statistics().rekeys > 3
    assert ("rekeyed", 1) in links.users[1].told
    nursery.cancel_scope.cancel()


async def test_a_ping_whose_sending_ends_the_link_is_lost(links: Links, nursery: trio.Nursery) -> None:
    await wait_all_tasks_blocked()

    def broken(buffers: object) -> list[bytes]:
        links.alice.on_end(BrokenPipeError())
        return []

    links.wires[0].send = broken
    with pytest.raises(StreamLost), trio.fail_after(1):
        await links.alice.ping()
    nursery.cancel_scope.cancel()


async def test_what_follows_the_end_of_a_link_in_a_record_is_nobodys(links: Links, nursery: trio.Nursery) -> None:
    served: list[Stream] = []

    def serve(stream: Stream) -> None:
        served.append(stream)
        links.bob.close("channel.going-away")

    links.users[1].serve = serve
    await wait_all_tasks_blocked()
    for _ in range(2):
        links.alice._channel.open("/nz/test/1")
    links.alice._kick()
    await wait_all_tasks_blocked()
    assert len(served) == 1
    nursery.cancel_scope.cancel()
