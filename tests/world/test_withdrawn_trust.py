"""Whoever takes trust back hears that it was this node, and the other side hears what it always heard."""

import pytest
import trio

from nzcore.base.errors import NzError
from nzcore.base.scopes import Scope
from nzcore.net.stream import StreamLost
from nzcore.node.config import Config, Files
from nzcore.testing.network import Conditions
from nzcore.testing.world import World

HUNG = 3600.0
"""Seconds that a request may take which nobody answers."""


async def couple(world, folder):
    alice, bob = [await world.add(n, config=Config(files=Files(inbox_dir=str(folder / n)))) for n in ("alice", "bob")]
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    return alice, bob


def closed(world, name):
    return [event.value.code for event in world.trace.of(name, "channel.closed")]


async def never(origin, body):
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("file.send", {"stream": "log.txt"}),
        ("pipe.open", {"name": "clip", "wait": True}),
        ("fabric.call", {"operation": "maths.hang", "body": None, "deadline_s": HUNG}),
        ("message.send", {"text": "hello"}),
        ("peer.ping", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_waits_for_a_peer_that_is_removed_is_told_who_did_it(operation, args, tmp_path, autojump_clock):
    async with World(1, Conditions(latency_s=0.5)) as world, trio.open_nursery() as nursery:
        alice, bob = await couple(world, tmp_path)
        bob.node.fabric.answer("maths.hang", never, Scope.MESSAGE)
        await world.run_for(5)  # their lines are open
        told, ended = [], trio.Event()

        async def wait():
            try:
                await alice.follow(operation, [], {"peer": "bob", **args})
            except NzError as error:
                told.append((error.code, error.message))
            ended.set()

        nursery.start_soon(wait)
        await world.run_for(0.1)
        assert not ended.is_set()
        began = world.now
        await alice.call("peer.remove", peer="bob")
        await ended.wait()
        assert told == [("net.no-trust", "this node has taken its trust in the peer back")]
        assert world.now == began
        await world.run_for(2)
        assert closed(world, "bob") == ["net.revoked"]


async def test_a_transfer_that_waits_for_a_lost_peer_ends_with_the_trust_in_it(tmp_path, autojump_clock):
    (tmp_path / "large").write_bytes(bytes(8 << 20))
    async with World(1, Conditions(latency_s=0.5)) as world, trio.open_nursery() as nursery:
        alice, bob = await couple(world, tmp_path)
        told, items = [], []

        async def send():
            with pytest.raises(NzError) as caught:
                await alice.follow(
                    "file.send", items, {"peer": "bob", "paths": [str(tmp_path / "large")], "wait_s": HUNG}
                )
            told.append(caught.value.code)

        nursery.start_soon(send)
        await world.run_for(3)
        world.partition([alice], [bob])
        await world.run_for(300)
        assert (told, items[-1]["phase"]) == ([], "interrupted")
        await alice.call("peer.remove", peer="bob")
        await world.settle()
        assert told == ["net.no-trust"]


async def test_an_open_stream_says_on_each_side_who_trusts_no_more(tmp_path, autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world, tmp_path)
        heard = []

        async def listen(stream):
            with pytest.raises(StreamLost) as lost:
                await stream.receive_some()
            heard.append(lost.value.code)

        bob.node.channels.serve("/test/wait/1", listen, Scope.MESSAGE)
        async with await alice.node.channels.open_stream(bob.id, "/test/wait/1") as stream:
            await world.run_for(1)
            await alice.call("peer.remove", peer="bob")
            with pytest.raises(StreamLost) as lost:
                await stream.receive_some()
            assert lost.value.code == "net.no-trust"
            with pytest.raises(StreamLost) as lost:
                await stream.send_all(b"more")
            assert lost.value.code == "net.no-trust"
        await world.run_for(1)
        assert heard == ["net.revoked"]


async def test_what_was_done_before_trust_ended_stays_done(tmp_path, autojump_clock):
    async with World(1) as world:
        alice, _ = await couple(world, tmp_path)
        assert (await alice.call("peer.ping", peer="bob"))["rtt_ms"] >= 0
        await alice.call("peer.remove", peer="bob")
        await world.settle()
        with pytest.raises(NzError) as caught:
            await alice.call("peer.ping", peer="bob")
        assert caught.value.code != "net.no-trust"  # it is nobody's peer any more
