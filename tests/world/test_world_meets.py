"""How nodes of a world find each other, lose each other, and end with one channel a pair."""

import pytest
import trio

from nzcore.base.errors import NzError, UnavailableError
from nzcore.base.scopes import Scope
from nzcore.node.config import Channels, Config
from nzcore.node.identity import LocalIdentity
from nzcore.node.secrets import Secrets
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.testing.network import Conditions
from nzcore.testing.seeded import run_seeded
from nzcore.testing.world import MemorySafe, World
from tests.echo import echo


async def couple(world, **config):
    alice, bob = await world.add("alice", **config), await world.add("bob", **config)
    await world.introduce(alice, bob)
    await world.until_connected((alice, bob))
    await world.run_for(5)  # until dials that crossed are over
    return alice, bob


def codes(world, node, topic):
    return [one.value.code for one in world.trace.of(node.name, topic)]


@pytest.mark.parametrize("seed", range(40))
def test_dials_that_cross_end_in_one_channel_that_both_use(seed):
    async def main():
        conditions = Conditions(latency_s=0.05, jitter_s=0.1, loss=0.1)
        async with World(seed, conditions) as world:
            alice, bob = await world.add("alice"), await world.add("bob")
            for one, other in ((alice, bob), (bob, alice)):
                card = Card.parse_text(await other.card())
                await one.node.peers.add(card.certificate, card.addresses, petname=other.name)
            async with trio.open_nursery() as nursery:
                for one, other in ((alice, bob), (bob, alice)):
                    nursery.start_soon(one.node.channels.connect, other.id)
            await world.run_for(15)
            links = [one.node.channels.links.get(other.id) for one, other in ((alice, bob), (bob, alice))]
            assert sorted(link.direction for link in links) == ["in", "out"]
            assert world.network.connections == 1
            for one, other in ((alice, bob), (bob, alice)):
                assert (await one.call("peer.ping", peer=other.name))["rtt_ms"] > 0
            assert {one.topic for one in world.trace} & {"net.trouble", "peer.alarm"} == set()

    run_seeded(seed, main)


async def test_a_node_that_lost_power_and_came_back_replaces_its_stale_channel(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        stale = bob.node.channels.links.get(alice.id)
        await alice.restart()
        assert bob.is_connected(alice)
        took = await world.until(lambda: alice.is_connected(bob) and bob.node.channels.links.get(alice.id) is not stale)
        assert took < 5
        assert world.network.connections == 1
        assert codes(world, bob, "peer.alarm") == []


async def test_a_process_that_was_killed_is_dialled_again_at_once(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        await alice.crash(silent=False)
        await world.until(lambda: not bob.is_connected(alice))
        assert codes(world, bob, "channel.closed") == ["channel.lost"]
        await alice.start()
        assert await world.until_connected((alice, bob)) < 2


async def test_a_copy_of_a_running_node_is_refused_and_raises_an_alarm(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        copy = await world.clone(alice, "copy")
        await copy.call("peer.add", card=await bob.card(), name="bob")
        with pytest.raises(NzError) as refused:
            await copy.call("peer.connect", peer="bob")
        assert refused.value.code == "net.clone"
        assert set(codes(world, bob, "peer.alarm")) == {"net.clone"}
        assert world.trace.of("bob", "peer.alarm")[0].value.peer == alice.id
        assert (await alice.call("peer.ping", peer="bob"))["rtt_ms"] > 0
        assert not copy.is_connected(bob)


async def test_dead_addresses_cost_their_head_start_only_and_the_good_one_is_remembered(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        world.network.vanish("10.9.9.9")
        dead = (Address("10.9.9.9", 4500), Address("10.9.9.9", 4501), Address(bob.host, 4999))
        certificate = Card.parse_text(await bob.card()).certificate
        await alice.node.peers.add(certificate, (*dead, Address(bob.host, 4500)), petname="bob")
        await bob.call("peer.add", card=await alice.card())
        bob.node.channels.release(alice.id)  # alice is to dial
        began = world.now
        await alice.call("peer.connect", peer="bob")
        assert world.now - began < 1.0
        assert (await alice.call("peer.show", peer="bob"))["addresses"][0] == f"tcp://{bob.host}:4500"
        await world.run_for(1)
        await alice.restart()
        assert (await alice.call("peer.show", peer="bob"))["addresses"][0] == f"tcp://{bob.host}:4500"


@pytest.mark.parametrize("silence", ["both ways", "one way"])
async def test_a_partition_is_noticed_named_and_healed(silence, autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        if silence == "both ways":
            world.partition([alice], [bob])
        else:
            world.network.silence(alice.host, bob.host)
        await world.until(lambda: not (alice.is_connected(bob) or bob.is_connected(alice)), within_s=130)
        assert "channel.dead" in codes(world, alice, "channel.closed") + codes(world, bob, "channel.closed")
        world.heal()
        assert await world.until_connected((alice, bob), within_s=100) < 95
        assert world.network.connections == 1


async def test_a_short_partition_costs_no_channel(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        before = alice.node.channels.links.get(bob.id)
        world.partition([alice], [bob])
        await world.run_for(30)
        world.heal()
        await world.run_for(60)
        assert alice.node.channels.links.get(bob.id) is before
        assert codes(world, alice, "channel.closed") == []


async def test_removing_a_peer_cuts_its_channel_in_the_same_instant(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        began = world.now
        answer = await bob.call("peer.remove", peer="alice")
        assert answer["was_connected"]
        assert world.now == began
        await world.settle()
        assert not bob.is_connected(alice)
        assert codes(world, bob, "channel.closed") == ["net.revoked"]
        await world.run_for(0.011)
        assert codes(world, alice, "channel.closed") == ["net.revoked"]
        with pytest.raises(NzError) as refused:
            await alice.call("peer.connect", peer="bob")
        assert refused.value.code == "handshake.not-admitted"
        assert "handshake.not-admitted" in codes(world, bob, "channel.refused")
        await world.run_for(200)
        assert not alice.is_connected(bob)


async def test_a_channel_that_the_owner_closed_stays_closed_until_the_owner_opens_it(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        await bob.call("peer.disconnect", peer="alice")
        await world.run_for(200)
        assert not bob.is_connected(alice)
        with pytest.raises(NzError) as refused:
            await alice.call("peer.connect", peer="bob")
        assert refused.value.code == "channel.disconnected"
        await bob.call("peer.connect", peer="alice")
        await world.until_connected((alice, bob))


async def test_whoever_has_something_to_send_does_not_open_what_the_owner_closed(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        await bob.call("peer.disconnect", peer="alice")
        for attempt in (
            bob.call("message.send", peer="alice", text="are you there?"),
            bob.node.channels.open_stream(alice.id, "/test/any/1"),
        ):
            with pytest.raises(NzError) as refused:
                await attempt
            assert refused.value.code == "net.kept-closed"
        checks = await bob.call("peer.doctor", peer="alice")
        assert (checks[-1]["check"], checks[-1]["ok"]) == ("handshake", False)
        await world.run_for(60)
        assert not bob.is_connected(alice)


async def test_a_peer_that_is_disconnected_removed_and_added_again_connects(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        await bob.call("peer.disconnect", peer="alice")
        await bob.call("peer.remove", peer="alice")
        await bob.call("peer.add", card=await alice.card())
        await world.until_connected((alice, bob))


async def test_a_peer_that_is_added_and_removed_at_once_harms_nobody(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        for _ in range(20):
            await alice.call("peer.add", card=await bob.card(), name="bob")
            await world.run_for(world.rng.choice([0, 0.1]))
            await alice.call("peer.remove", peer="bob")
        await world.run_for(10)
        assert alice.node.state().services[1].restarts == 0


async def test_a_disconnect_ends_a_dial_that_is_under_way(autojump_clock):
    async with World(1, Conditions(latency_s=0.5)) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await world.introduce(alice, bob)
        bob.node.channels.release(alice.id)
        await world.run_for(1)
        told = []

        async def connect():
            try:
                await alice.call("peer.connect", peer="bob")
            except NzError as error:
                told.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await world.run_for(0.2)
            await alice.call("peer.disconnect", peer="bob")
        assert told == ["channel.disconnected"]
        await world.run_for(60)
        assert not alice.is_connected(bob)
        assert world.network.connections == 0


async def test_a_peer_that_is_removed_while_it_is_dialled_gets_no_channel(autojump_clock):
    async with World(1, Conditions(latency_s=0.5)) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await world.introduce(alice, bob)
        bob.node.channels.release(alice.id)
        await world.run_for(1.6)  # alice's handshake is under way
        await alice.call("peer.remove", peer="bob")
        await world.run_for(60)
        assert alice.node.channels.links.get(bob.id) is None
        assert world.trace.of("alice", "channel.opened") == []
        assert world.trace.of("bob", "channel.opened") == []
        assert world.network.connections == 0


@pytest.mark.parametrize(
    ("act", "code"), [("peer.remove", "net.no-trust"), ("peer.disconnect", "channel.disconnected")]
)
async def test_who_is_turned_away_while_its_old_channel_is_asked_gets_no_new_one(act, code, autojump_clock):
    async with World(1, Conditions(latency_s=0.5)) as world:
        alice, bob = await couple(world)
        opened = len(world.trace.of("alice", "channel.opened"))
        await bob.restart()  # silently: alice's old channel is dead and does not answer
        await world.until(lambda: alice.node.channels._door.half_open == 1)
        await world.run_for(2)
        await alice.call(act, peer="bob")
        await world.run_for(60)
        assert alice.node.channels.links.get(bob.id) is None
        assert len(world.trace.of("alice", "channel.opened")) == opened
        assert code in codes(world, alice, "channel.refused")


async def test_a_scope_that_is_lost_cuts_its_streams_and_no_other(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        ended = {}

        async def hold(stream):
            try:
                while await stream.receive_some():
                    pass
            except NzError as error:
                ended[stream.protocol] = error.code
                raise

        bob.node.channels.serve("/test/files/1", hold, Scope.FILES)
        bob.node.channels.serve("/test/message/1", hold, Scope.MESSAGE)
        files = await alice.node.channels.open_stream(bob.id, "/test/files/1")
        message = await alice.node.channels.open_stream(bob.id, "/test/message/1")
        for stream in (files, message):
            await stream.send_all(b"x")
        await world.run_for(0.1)
        bob.node.trust.set(alice.id, bob.node.trust.scopes(alice.id) - {Scope.FILES})
        await world.run_for(0.1)
        with pytest.raises(NzError) as lost:
            await files.receive_some()
        assert lost.value.code == "channel.out-of-scope"
        await message.send_all(b"still here")
        again = await alice.node.channels.open_stream(bob.id, "/test/files/1")
        with pytest.raises(NzError) as refused:
            await again.receive_some()
        assert refused.value.code == "channel.out-of-scope"
        assert "stream.handler-failed" not in {one.topic for one in world.trace}
        for stream in (files, message, again):
            await stream.aclose()


async def test_a_rotated_node_reconnects_under_its_new_epoch_and_the_old_keys_are_refused(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        thief = await world.clone(alice, "thief")
        await thief.call("peer.add", card=await bob.card(), name="bob")
        thief.node.channels.disconnect(bob.id)
        before = bob.node.peers.certificate(alice.id).epoch
        await world.run_for(120)
        answer = await alice.call("identity.rotate", mnemonic=alice.words)
        assert answer["epoch"] > before
        await world.settle()
        assert codes(world, alice, "channel.closed")[-1] == "net.rotated"
        await world.until(lambda: not bob.is_connected(alice))
        await world.until_connected((alice, bob))
        assert bob.node.peers.certificate(alice.id).epoch == answer["epoch"]
        with pytest.raises(NzError) as refused:
            await thief.call("peer.connect", peer="bob")
        assert refused.value.code == "handshake.older-epoch"
        assert "handshake.older-epoch" in codes(world, bob, "channel.refused")
        await bob.restart()
        assert bob.node.peers.certificate(alice.id).epoch == answer["epoch"], "what was learned is kept"


async def test_a_node_that_was_replaced_elsewhere_tells_its_owner(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        backup = alice.safe.contents
        await alice.call("identity.rotate", mnemonic=alice.words)
        await world.run_for(5)
        assert alice.node.problems() == []
        await alice.crash()
        alice.identity = LocalIdentity(MemorySafe(backup), Secrets.decode(backup), clock=alice.wall_time)
        await alice.start()
        await world.run_for(10)
        assert not alice.is_connected(bob)
        assert ["other keys" in one for one in alice.node.problems()] == [True]
        assert "handshake.older-epoch" in codes(world, alice, "peer.alarm")
        await world.run_for(120)  # an epoch later than that of the keys it does not have
        await alice.call("identity.rotate", mnemonic=alice.words)
        await world.until_connected((alice, bob))
        assert alice.node.problems() == []


async def test_evidence_of_another_node_is_not_believed(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        evidence = bob.identity.certificate.encoded
        bob.node.channels.links.get(alice.id).link.close("handshake.older-epoch", evidence)
        await world.run_for(1)
        assert codes(world, alice, "peer.alarm") == ["handshake.bad-evidence"]
        assert alice.node.problems() == []


async def test_channels_end_with_the_old_keys_also_where_telling_of_the_new_ones_fails(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)

        def disk_full(certificate):
            raise UnavailableError("store.cannot-write")

        alice.identity._publish = disk_full
        with pytest.raises(UnavailableError):
            await alice.call("identity.rotate", mnemonic=alice.words)
        await world.until_connected((alice, bob))
        assert bob.node.peers.certificate(alice.id) == alice.identity.certificate
        assert codes(world, alice, "channel.closed")[-1] == "net.rotated"


async def test_a_channel_that_fails_as_it_is_looked_after_takes_no_other_with_it(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        carol = await world.add("carol")
        await world.introduce(alice, carol)
        await world.until_connected((alice, carol))
        other = alice.node.channels.links.get(carol.id)
        one = alice.node.channels.links.get(bob.id).link

        def fail():
            raise ValueError("a fault of ours")

        one.tick = fail
        await world.run_for(60)
        assert one.is_over
        assert alice.node.channels.links.get(carol.id) is other
        assert alice.is_connected(bob)  # anew
        assert [one.value.what for one in world.trace.of("alice", "net.trouble")] == ["a channel failed"]


async def test_a_stranger_is_told_why_and_nothing_is_stored_about_it(autojump_clock):
    async with World(1) as world:
        _, bob = await couple(world)
        stranger = await world.add("stranger")
        await stranger.call("peer.add", card=await bob.card(), name="bob")
        before = {ns: await bob.kv.list(ns) for ns in await bob.kv.namespaces()}
        for _ in range(5):
            with pytest.raises(NzError) as refused:
                await stranger.call("peer.connect", peer="bob")
        assert refused.value.code == "handshake.not-admitted"
        await world.run_for(300)
        assert {ns: await bob.kv.list(ns) for ns in await bob.kv.namespaces()} == before
        assert [peer["name"] for peer in await bob.call("peer.list")] == ["alice"]
        assert bob.node.peers.certificate(stranger.id) is None
        assert len(bob.node.channels.links) == 1


async def test_wrong_clocks_neither_hinder_nor_end_channels(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        alice.skew_s, bob.skew_s = 400 * 86_400.0, -3 * 3600.0
        await world.introduce(alice, bob)
        await world.until_connected((alice, bob))
        alice.skew_s = -400 * 86_400.0
        await world.run_for(3600)
        assert codes(world, alice, "channel.closed") == []


@pytest.mark.parametrize("conditions", [Conditions(), Conditions(bandwidth=3e6, buffer_bytes=20_000, loss=0.01)])
async def test_rekeys_under_load_lose_nothing(conditions, autojump_clock):
    data = bytes(range(256)) * 16_384  # 4 MiB
    async with World(1, conditions) as world:
        config = Config(channels=Channels(rekey_bytes=1 << 18))
        alice, bob = await couple(world, config=config)

        bob.node.channels.serve("/test/echo/1", echo, Scope.MESSAGE)
        heard = bytearray()
        stream = await alice.node.channels.open_stream(bob.id, "/test/echo/1")
        async with stream, trio.open_nursery() as nursery:

            async def listen():
                while chunk := await stream.receive_some():
                    heard.extend(chunk)

            nursery.start_soon(listen)
            await stream.send_all(data)
            await stream.send_eof()
        assert heard == data
        (shown,) = await alice.call("channel.list")
        assert shown["rekeys"] >= 8
        assert codes(world, alice, "channel.closed") == []
        await world.run_for(1)  # the last rekey may be on its way
        assert [one.value.rekeys for one in world.trace.of("alice", "channel.rekeyed")] == [
            one.value.rekeys for one in world.trace.of("bob", "channel.rekeyed")
        ]


async def test_a_crash_in_the_middle_of_a_transfer_is_no_clean_end(autojump_clock):
    async with World(1, Conditions(bandwidth=1e5)) as world:
        alice, bob = await couple(world)

        async def pour(stream):
            await stream.send_all(bytes(1_000_000))
            await stream.send_eof()

        alice.node.channels.serve("/test/pour/1", pour, Scope.FILES)
        heard = bytearray()

        async def listen(stream):
            while chunk := await stream.receive_some():
                heard.extend(chunk)

        async with await bob.node.channels.open_stream(alice.id, "/test/pour/1") as stream:
            await world.run_for(1)
            await alice.crash(silent=False)
            with pytest.raises(NzError) as lost:
                await listen(stream)
        assert lost.value.code == "channel.lost"
        assert 0 < len(heard) < 1_000_000


async def test_a_connection_that_breaks_while_its_link_is_contested_is_noticed_at_once(autojump_clock):
    async with World(1) as world:
        alice, bob = await couple(world)
        await alice.restart()
        await world.until(lambda: alice.is_connected(bob) or world.network.connections > 1)
        await world.run_for(0.2)  # bob pings the old link, for three seconds
        bob.node.channels.release(alice.id)
        alice.node.channels.release(bob.id)
        assert world.network.cut(alice.host, bob.host) > 0
        await world.run_for(5)
        assert not bob.is_connected(alice)
        assert len(bob.node.channels.links) == 0
        assert world.network.connections == 0


async def test_a_handler_whose_error_has_no_text_costs_its_own_stream_only(autojump_clock):
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    async def fail(stream):
        raise Mute

    async with World(1) as world:
        alice, bob = await couple(world)
        bob.node.channels.serve("/test/mute/1", fail, Scope.MESSAGE)
        stream = await alice.node.channels.open_stream(bob.id, "/test/mute/1")
        with pytest.raises(NzError) as lost:
            await stream.receive_some()
        assert lost.value.code == "channel.handler-failed"
        assert alice.is_connected(bob)
        assert "stream.handler-failed" in {one.topic for one in world.trace}
