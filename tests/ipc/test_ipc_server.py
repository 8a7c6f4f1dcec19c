"""The server on a real unix socket, in virtual time: each call by itself, each client by itself, all bounded."""

import os
import socket
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.codec.frames import pack
from nzcore.ipc import connection, wire
from nzcore.ipc import server as server_module
from tests.ipc.ipc_helpers import Connect, Handlers


async def test_a_plain_handler_and_a_coroutine_both_answer(connect: Connect) -> None:
    async with connect() as client:
        await client.ask(1, "echo", {"a": [1, "b", None]})
        assert await client.hear() == wire.Reply(1, None, {"a": [1, "b", None]})
        await client.ask(2, "count", 0)
        assert await client.hear() == wire.Reply(2, None, None)


async def test_the_owner_is_known_by_the_uid_of_the_connection(connect: Connect) -> None:
    async with connect() as client:
        await client.ask(1, "who")
        assert (await client.hear_reply()).result == f"owner {os.getuid()}"


async def test_pipelined_calls_are_all_answered_in_order(connect: Connect) -> None:
    async with connect() as client:
        await client.say(b"".join(wire.encode_call(wire.Call(n, "echo", n, None)) for n in range(2000)))
        assert [(await client.hear_reply()).result for _ in range(2000)] == list(range(2000))


@pytest.mark.parametrize("operation", ["crash", "crash_later", "undeclared", "unsendable"])
async def test_a_faulty_handler_harms_its_call_only_and_is_reported_without_a_trace_to_the_caller(
    connect: Connect, handlers: Handlers, operation: str
) -> None:
    async with connect() as client:
        await client.ask(1, operation)
        failure = await client.hear_failure()
        assert failure.hint
        if operation != "unsendable":
            assert failure.code == "ipc.internal"
            assert handlers.troubles[-1].operation == operation
        assert "42" not in failure.message + failure.hint
        await client.ask(2, "echo", "still here")
        assert (await client.hear_reply()).result == "still here"


async def test_refusals_and_failures_keep_their_code_words_and_facts(connect: Connect, handlers: Handlers) -> None:
    async with connect() as client:
        await client.ask(1, "misused")
        expected = wire.Failure("base.bad-text", "no such service", "look at service list", "usage", {"name": "x"})
        assert await client.hear_failure() == expected
        await client.ask(2, "unavailable")
        assert await client.hear_failure() == wire.Failure("ipc.busy", "the disk is full", "make room", "failed", {})
        assert not handlers.troubles


async def test_an_answer_beyond_a_message_is_refused_to_its_call(connect: Connect) -> None:
    async with connect() as client:
        await client.ask(1, "huge")
        assert (await client.hear_failure()).code == "ipc.too-large"
        await client.ask(2, "echo", 5)
        assert (await client.hear_reply()).result == 5


async def test_a_deadline_ends_the_handler_and_says_so(
    connect: Connect, handlers: Handlers, autojump_clock: MockClock
) -> None:
    async with connect() as client:
        begun = trio.current_time()
        await client.ask(1, "hang", deadline_s=30.0)
        failure = await client.hear_failure()
        assert (failure.code, failure.kind) == ("ipc.deadline", "timeout")
        assert trio.current_time() - begun == pytest.approx(30.0)
        assert handlers.ended == 1


async def test_a_cancelled_call_ends_its_handler_only(connect: Connect, handlers: Handlers) -> None:
    async with connect() as client:
        await client.ask(1, "hang")
        await client.ask(2, "hang")
        await client.say(wire.encode_cancel(1) + wire.encode_cancel(99))
        failure = await client.hear_failure()
        assert failure.code == "ipc.cancelled"
        assert (handlers.started, handlers.ended) == (2, 1)


async def test_a_stream_sends_its_items_in_order_and_then_ends(connect: Connect) -> None:
    async with connect() as client:
        await client.ask(4, "count", 300)
        assert [await client.hear() for _ in range(300)] == [wire.Item(4, number) for number in range(300)]
        assert await client.hear() == wire.Reply(4, None, None)


async def test_a_client_that_does_not_read_makes_its_stream_wait_and_disturbs_no_one(
    connect: Connect, handlers: Handlers
) -> None:
    async with connect() as lazy, connect() as eager:
        await lazy.ask(1, "flood")
        await wait_all_tasks_blocked()
        sent = handlers.items_sent
        assert 0 < sent * 10_000 < connection.HIGH_WATER + 2_000_000  # what the system's socket buffers hold besides
        await eager.ask(1, "echo", "me")
        assert (await eager.hear_reply()).result == "me"
        assert handlers.items_sent == sent
        for _ in range(200):
            assert isinstance(await lazy.hear(), wire.Item)
        assert handlers.items_sent > sent
        await lazy.say(wire.encode_cancel(1))
        while isinstance(event := await lazy.hear(), wire.Item):
            pass  # a cancel in the middle of a blocked item leaves the messages whole
        assert isinstance(event, wire.Reply)
        assert handlers.ended == 1


async def test_a_client_that_only_asks_is_not_read_from_beyond_what_it_may_leave_unsent(
    server: Path, handlers: Handlers, autojump_clock: MockClock
) -> None:
    answered = 0

    def echo(principal: object, args: object, send_item: object) -> object:
        nonlocal answered
        answered += 1
        return "x" * 10_000

    handlers.added["often"] = echo
    async with await trio.open_unix_socket(str(server)) as stream:
        with trio.move_on_after(1):
            await stream.send_all(b"".join(wire.encode_call(wire.Call(n, "often", n, None)) for n in range(20_000)))
        await wait_all_tasks_blocked()
        assert 0 < answered * 10_000 < connection.HIGH_WATER + 2_000_000


async def test_a_client_that_leaves_takes_its_handlers_with_it(connect: Connect, handlers: Handlers) -> None:
    async with connect() as client:
        await client.ask(1, "hang")
        await client.ask(2, "flood")
        await wait_all_tasks_blocked()
    await handlers.ended_event.wait()
    await wait_all_tasks_blocked()
    assert handlers.ended == 2
    assert not handlers.troubles


async def test_one_call_too_many_is_refused_and_the_others_go_on(connect: Connect, handlers: Handlers) -> None:
    async with connect() as client:
        for number in range(connection.CALLS_IN_FLIGHT + 1):
            await client.ask(number, "hang")
        reply = await client.hear_reply()
        assert (reply.id, reply.failure and reply.failure.code) == (connection.CALLS_IN_FLIGHT, "ipc.too-many-calls")
        assert (handlers.started, handlers.ended) == (connection.CALLS_IN_FLIGHT, 0)


async def test_an_id_in_use_closes_the_connection(connect: Connect, handlers: Handlers) -> None:
    async with connect() as client:
        await client.ask(1, "hang")
        await client.ask(1, "hang")
        event = await client.hear()
        assert isinstance(event, wire.Close)
        assert event.failure.code == "ipc.duplicate-id"
        assert await client.hear() is None
        assert handlers.ended == 1


async def test_a_connection_that_asks_nothing_is_told_so_and_closed(
    connect: Connect, autojump_clock: MockClock
) -> None:
    async with connect() as client:
        await client.say(wire.encode_call(wire.Call(1, "echo", 1, None))[:-1])
        begun = trio.current_time()
        event = await client.hear()
        assert isinstance(event, wire.Close)
        assert event.failure.code == "ipc.idle"
        assert trio.current_time() - begun == pytest.approx(connection.FIRST_MESSAGE_S, abs=0.1)


async def test_a_connection_that_has_asked_once_may_be_quiet(connect: Connect, autojump_clock: MockClock) -> None:
    async with connect() as client:
        await client.ask(1, "echo", 1)
        await client.hear()
        await trio.sleep(10 * connection.FIRST_MESSAGE_S)
        await client.ask(2, "echo", 2)
        assert (await client.hear_reply()).result == 2


GARBAGE = [b"\xc1", b"GET / HTTP/1.1\r\n\r\n", pack([0, 1]), b"\xdd\xff\xff\xff\xff" + b"\x00" * 4096, b"\xff" * 70_000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_closes_its_own_connection_and_disturbs_no_other(connect: Connect, garbage: bytes) -> None:
    async with connect() as good, connect() as bad:
        await good.ask(1, "count", 50)
        with trio.move_on_after(5) as patience:
            await bad.say(garbage)
            if garbage[:1] == b"\xdd":
                await bad.say(b"\xc1")
            while (event := await bad.hear()) is not None:
                assert isinstance(event, wire.Close)
        assert not patience.cancelled_caught
        for number in range(50):
            assert await good.hear() == wire.Item(1, number)
        assert await good.hear() == wire.Reply(1, None, None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=64) | st.sampled_from([pack([2, "cancel", [1]]), pack([0, 1, "echo", [1, {}]])])))
def test_any_bytes_leave_the_server_serving(pieces: list[bytes]) -> None:
    handlers = Handlers()

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        principal = server_module.owner_of(ours)
        served = connection.Connection(ours, principal, handlers, handlers.troubles.append)
        async with trio.open_nursery() as nursery:

            async def serve_one() -> None:
                await served.run()
                ours.close()

            nursery.start_soon(serve_one)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
            async with stream:
                try:
                    for piece in pieces:
                        await stream.send_all(piece)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass  # the server was the first to close
            await wait_all_tasks_blocked()
            assert not nursery.child_tasks

    trio.run(scenario)
    assert not handlers.troubles
