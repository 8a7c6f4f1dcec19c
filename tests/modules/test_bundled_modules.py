"""The bundled modules between two nodes that know each other."""

from pathlib import Path

import pytest
import trio

from nzcore.control.verdict import Principal
from nzcore.node.dispatch import Dispatcher
from nzcore.testing import ask, pair_with
from tests.refusals import refused

MODULES = Path(__file__).parents[2] / "modules"


async def test_hello_answers_its_owner_and_its_peers(autojump_clock):
    async with pair_with(MODULES / "hello") as (world, alice, bob):
        assert await alice.call("hello.greet") == "hello, world"
        assert await ask(bob, alice, "hello.greet", name="bob") == "hello, bob"
        assert [one.value for one in world.trace.of("alice", "hello.greeted")] == ["owner", "peer"]
        assert (await refused(ask(bob, alice, "hello.greet", nmae="bob"))).code == "control.bad-arguments"


async def test_an_operation_that_was_not_opened_is_nothing_to_a_peer(autojump_clock):
    async with pair_with(MODULES / "chat") as (_, alice, bob):
        assert (await refused(ask(bob, alice, "chat.read", room="den"))).code in (
            "fabric.no-operation",
            "control.unknown-operation",
        )


async def test_a_line_said_in_a_room_is_heard_and_kept_by_both(autojump_clock):
    async with pair_with(MODULES / "chat") as (world, alice, bob):
        await world.run_for(2)
        said = await alice.call("chat.say", room="den", text="good\x1b[2Jevening")
        assert (said["who"], said["text"]) == ("you", "good [2Jevening")
        await world.run_for(2)
        (line,) = await bob.call("chat.read", room="den")
        assert (line["who"], line["text"]) == ("alice", "good [2Jevening")
        await bob.restart()
        await world.until_connected((alice, bob))
        assert len(await bob.call("chat.read", room="den")) == 1
        assert await bob.call("chat.rooms") == {"den": 1}
        assert [one["who"] for one in await alice.call("chat.read", room="den")] == ["you"]


async def test_following_a_room_shows_lines_as_they_come(autojump_clock):
    async with pair_with(MODULES / "chat") as (world, alice, bob):
        await world.run_for(2)
        lines = []

        async def keep(line):
            lines.append((line.who, line.text))

        async def follow():
            await Dispatcher(bob.node)(Principal("owner", "x"), "chat.follow", {"room": "den"}, keep)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await world.settle()
            await alice.call("chat.say", room="den", text="one")
            await alice.call("chat.say", room="attic", text="elsewhere")
            await bob.call("chat.say", room="den", text="two")
            await world.run_for(2)
            nursery.cancel_scope.cancel()
        assert sorted(lines) == [("alice", "one"), ("you", "two")]


async def test_a_room_keeps_its_last_lines_in_order_and_a_flood_is_cut(autojump_clock):
    async with pair_with(MODULES / "chat") as (world, alice, bob):
        await world.run_for(2)
        for number in range(80):
            await alice.node.fabric.publish("chat.room.den", {"text": f"n{number}"})
        await world.run_for(2)
        heard = [line["text"] for line in await bob.call("chat.read", room="den", last=1000)]
        assert heard == [f"n{number}" for number in range(50)]
        for body in (None, 7, {"text": 7}, {"text": ""}, {"text": "x" * 2001}, {}):
            await alice.node.fabric.publish("chat.room.attic", body)
        await alice.node.fabric.publish("chat.room.BAD!", {"text": "x"})
        await world.run_for(20)
        assert set(await bob.call("chat.rooms")) == {"den"}
        assert world.trace.of("bob", "module.chat.trouble") == []


@pytest.mark.parametrize("room", ["", "UPPER", "a b", "x" * 33, "../up"])
async def test_a_bad_name_for_a_room_is_refused(room, autojump_clock):
    async with pair_with(MODULES / "chat") as (_, alice, _bob):
        assert (await refused(alice.call("chat.say", room=room, text="x"))).code == "module.refused"


async def test_a_profile_reaches_peers_that_were_away(autojump_clock):
    async with pair_with(MODULES / "profile") as (world, alice, bob):
        assert (await refused(alice.call("profile.show"))).code == "module.refused"
        await bob.crash()
        await alice.call("profile.change", name="Alice", note="at sea", picture="ab" * 32)
        await bob.start()
        await world.until_connected((alice, bob))
        await world.run_for(120)
        shown = await bob.call("profile.show", peer="alice")
        assert shown == {"peer": "alice", "name": "Alice", "note": "at sea", "picture": "ab" * 32, "verified": True}
        await alice.call("profile.change", name="Alice", note="ashore")
        await world.run_for(120)
        assert [one["note"] for one in await bob.call("profile.all")] == ["ashore"]


async def test_a_profile_that_its_node_did_not_sign_is_not_kept(autojump_clock):
    async with pair_with(MODULES / "profile") as (world, alice, bob):
        forged = {"name": "Mallory", "note": "", "picture": "", "version": 9, "signature": "00" * 64}
        for body in (forged, {**forged, "version": "9"}, {**forged, "signature": "zz"}, [], None):
            await alice.node.fabric.deliver(bob.id, "profile.changed", body)
        await world.run_for(60)
        assert await bob.call("profile.all") == []
        assert world.trace.of("bob", "module.profile.trouble") == []


async def test_a_node_with_new_keys_signs_its_profile_anew(autojump_clock):
    async with pair_with(MODULES / "profile") as (world, alice, bob):
        await alice.call("profile.change", name="Alice")
        await world.run_for(60)
        await alice.call("identity.rotate", mnemonic=alice.words)
        assert (await alice.call("profile.show"))["verified"] is False
        await alice.restart()
        await world.until_connected((alice, bob), within_s=300)
        await world.run_for(120)
        assert (await alice.call("profile.show"))["verified"] is True
        assert (await bob.call("profile.show", peer="alice"))["verified"] is True
