"""Messages and pipes between two nodes of a world."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.base.errors import NzError, PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.codec.frames import pack, unpack
from nzcore.node.messages import BURST, KEPT, TEXT_BYTES, Received, Said, plain_text
from nzcore.node.plain import plain
from nzcore.node.tubes import MAX_TUBES

from .transfers import pair, stream


async def test_a_message_is_kept_by_its_receiver_before_the_sender_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (world, alice, bob):
        sent = await alice.call("message.send", peer="bob", text="hello\nthere")
        assert sent["name"] == "bob"
        (kept,) = await stream(bob, "message.list")
        assert (kept["from"], kept["text"]) == ("alice", "hello\nthere")
        assert kept["at"] == pytest.approx(world.wall_time(), abs=1)
        assert await stream(alice, "message.list") == []
        await bob.restart()
        assert await stream(bob, "message.list") == [kept]


async def test_whoever_follows_sees_what_was_kept_and_what_comes(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, bob), trio.open_nursery() as nursery:
        await alice.call("message.send", peer="bob", text="1")
        seen: list[dict[str, Any]] = []
        nursery.start_soon(lambda: stream(bob, "message.list", seen, follow=True))
        await wait_all_tasks_blocked()
        await alice.call("message.send", peer="bob", text="2")
        await wait_all_tasks_blocked()
        assert [one["text"] for one in seen] == ["1", "2"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a\x1b[31mb", "a\ufffd[31mb"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\u202egpj.exe", "\ufffdgpj.exe"),
        ("bell\x07 \x9bm\x7f", "bell\ufffd \ufffdm\ufffd"),
        ("tab\tand 👩\u200d🚀", "tab\tand 👩\u200d🚀"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@pytest.mark.parametrize("text", ["", "x" * (TEXT_BYTES + 1), "ü" * (TEXT_BYTES // 2 + 1), "\ud800"])
async def test_a_text_of_another_size_is_refused_before_it_is_sent(
    text: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        with pytest.raises(UsageError) as caught:
            await alice.node.messages.send(bob.id, text)
        assert caught.value.code == "message.bad-text"


async def test_the_same_message_again_is_kept_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        request = pack({"id": bytes(16), "text": "once"})
        for _ in range(2):
            reply = await alice.node.channels.call(bob.id, "/nz/message/1", request)
            assert unpack(reply) == {"refused": ""}
        assert len(await stream(bob, "message.list")) == 1


@pytest.mark.parametrize(
    "request_",
    [b"", b"\xc1", pack({"id": bytes(15), "text": "x"}), pack({"id": bytes(16)}), pack({"id": bytes(16), "text": 7})],
)
async def test_what_is_no_message_is_refused_with_a_code(
    request_: bytes, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        reply = await alice.node.channels.call(bob.id, "/nz/message/1", request_)
        assert unpack(reply) == {"refused": "message.bad-request"}
        assert await stream(bob, "message.list") == []


async def test_a_flood_is_refused_and_pushes_out_only_the_floods_own(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (world, alice, bob):
        other = NodeId(bytes(32))
        await bob.node.messages.take(other, Said(bytes(16), "mine"))
        refused: list[str] = []

        async def one() -> None:
            try:
                await alice.node.messages.send(bob.id, "flood")
            except PeerError as error:
                refused.append(error.code)

        async with trio.open_nursery() as nursery:
            for _ in range(2 * BURST):
                nursery.start_soon(one)
        assert set(refused) == {"message.too-fast"}
        for number in range(KEPT):
            await world.run_for(1)
            await bob.node.messages.take(alice.id, Said(number.to_bytes(16, "big"), f"{number}"))
        kept = await bob.node.messages.all()
        assert sum(one.peer == alice.id for one in kept) == KEPT
        assert [one.text for one in kept if one.peer == other] == ["mine"]


async def test_what_is_written_stands_in_no_event_and_so_in_no_log(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (world, alice, _):
        await alice.call("message.send", peer="bob", text="for your eyes only")
        await world.run_for(1)
        (told,) = world.trace.of("bob", "message.received")
        assert isinstance(told.value, Received)
        assert (told.value.peer, told.value.size) == (alice.id, 18)
        assert not [one for one in world.trace if "your eyes" in str(plain(one.value))]


async def test_a_peer_without_the_scope_sends_no_message(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        await bob.call("peer.add", card=await alice.card(), scopes=["connect", "files"])
        with pytest.raises(NzError) as caught:
            await alice.call("message.send", peer="bob", text="x")
        assert caught.value.code == "channel.out-of-scope"


async def test_a_pipe_carries_both_ways_until_both_have_ended(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        at_alice: list[dict[str, Any]] = []
        at_bob: list[dict[str, Any]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: stream(bob, "pipe.open", at_bob, peer="alice", name="chat", wait=True))
            await wait_all_tasks_blocked()
            nursery.start_soon(lambda: stream(alice, "pipe.open", at_alice, peer="bob", name="chat"))
            await trio.sleep(1)
            assert [item["phase"] for item in at_bob] == ["waiting", "joined"]
            for node, items, text in ((alice, at_alice, b"from alice"), (bob, at_bob, b"from bob")):
                await node.call("tube.write", tube=items[-1]["tube"], data=text)
                await node.call("tube.end", tube=items[-1]["tube"])
        assert b"".join(item["data"] for item in at_bob) == b"from alice"
        assert b"".join(item["data"] for item in at_alice) == b"from bob"


async def test_a_pipe_that_nobody_waits_for_is_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        with pytest.raises(PeerError) as caught:
            await stream(alice, "pipe.open", peer="bob", name="chat")
        assert caught.value.code == "files.nobody-waits"
        for node in (alice, bob):
            assert not node.node.tubes._open


async def test_two_may_not_wait_for_one_pipe(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, _alice, bob), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: stream(bob, "pipe.open", peer="alice", name="chat", wait=True))
        await wait_all_tasks_blocked()
        with pytest.raises(UsageError) as caught:
            await stream(bob, "pipe.open", peer="alice", name="chat", wait=True)
        assert caught.value.code == "files.pipe-taken"
        nursery.cancel_scope.cancel()


async def test_a_waiting_side_that_left_is_not_dialled(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        with trio.move_on_after(1):
            await stream(bob, "pipe.open", peer="alice", name="chat", wait=True)
        with pytest.raises(PeerError) as caught:
            await stream(alice, "pipe.open", peer="bob", name="chat")
        assert caught.value.code == "files.nobody-waits"


@pytest.mark.parametrize("said", [b"", b"\0", b"\xff" + b"x" * 255, b"\1\x1b", b"\2\xff\xff"])
async def test_a_hostile_greeting_of_a_pipe_ends_its_stream_only(
    said: bytes, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (world, alice, bob):
        async with await alice.node.channels.open_stream(bob.id, "/nz/pipe/1") as opened:
            await opened.send_all(said)
            await opened.send_eof()
            assert await opened.receive_some() == b""  # no answer, not even that nobody waits
        assert world.nodes["bob"].is_connected(alice)


async def test_input_for_nobody_is_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, _bob):
        for operation, rest in (("tube.write", {"data": b"x"}), ("tube.end", {})):
            with pytest.raises(UsageError) as caught:
                await alice.call(operation, tube="none", **rest)
            assert caught.value.code == "files.no-tube"


async def test_only_so_many_inputs_are_open(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, _bob), trio.open_nursery() as nursery:
        for number in range(MAX_TUBES):
            args = {"peer": "bob", "name": f"{number}", "wait": True}
            nursery.start_soon(lambda args=args: stream(alice, "pipe.open", **args))
        await wait_all_tasks_blocked()
        with pytest.raises(NzError) as caught:
            await stream(alice, "pipe.open", peer="bob", name="one more", wait=True)
        assert caught.value.code == "files.too-many-tubes"
        nursery.cancel_scope.cancel()
