"""Whole nodes that become peers by ticket or card: once, in time, whatever happens in between."""

import pytest
import trio

from nzcore.base.errors import NzError, PeerError, UsageError
from nzcore.base.scopes import Scope
from nzcore.net.dialler import DialFailed
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.ticket import Ticket, TicketSecret
from nzcore.proto.trust.view import PAIRING
from nzcore.testing.seeded import run_seeded
from nzcore.testing.world import World
from tests import refusals


async def trio_of(world):
    return [await world.add(name) for name in ("alice", "bob", "carol")]


async def refused(node, ticket, **args):
    """The code with which `node` is refused; it has no new peer and trusts nobody more than before."""
    before = len(node.node.peers)
    with pytest.raises(NzError) as caught:
        await node.call("pair.join", text=ticket, **args)
    assert len(node.node.peers) == before
    return caught.value.code


async def state_of(node, tid):
    (info,) = [one for one in await node.call("pair.list") if one["tid"] == tid]
    return info["state"]


async def test_two_nodes_that_never_met_are_peers_after_one_ticket(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        invitation = await alice.call("pair.invite")
        assert invitation["expires_s"] == 600
        joined = await bob.call("pair.join", text=invitation["ticket"])
        assert joined == {"node": alice.id.text, "name": "alice", "how": "ticket", "connected": True}
        await world.until_connected((alice, bob))
        for one, other in ((alice, bob), (bob, alice)):
            assert one.node.trust.scopes(other.id) == PAIRING
            assert (await one.call("peer.ping", peer=other.name))["rtt_ms"] > 0
        assert await state_of(alice, invitation["tid"]) == "used"
        (event,) = world.trace.of("alice", "pair.joined")
        assert event.value.name == "bob"


async def test_both_sides_survive_a_restart_as_peers(autojump_clock):
    async with World(2) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await bob.call("pair.join", text=(await alice.call("pair.invite"))["ticket"])
        await world.run_for(1)
        await alice.restart()
        await bob.restart()
        await world.until_connected((alice, bob))


async def test_a_ticket_works_once(autojump_clock):
    async with World(3) as world:
        alice, bob, carol = await trio_of(world)
        ticket = (await alice.call("pair.invite"))["ticket"]
        await bob.call("pair.join", text=ticket)
        assert await refused(carol, ticket) == "ticket.used"
        assert alice.node.peers.get(carol.id) is None
        assert carol.node.trust.scopes(alice.id) == frozenset()


async def test_a_ticket_with_two_uses_works_twice(autojump_clock):
    async with World(4) as world:
        alice, bob, carol = await trio_of(world)
        dave = await world.add("dave")
        ticket = (await alice.call("pair.invite", uses=2))["ticket"]
        for guest in (bob, carol):
            await guest.call("pair.join", text=ticket)
        assert await refused(dave, ticket) == "ticket.used"


async def test_a_refused_node_learns_the_code_and_nothing_else_of_the_giver(autojump_clock):
    async with World(5) as world:
        alice, bob, carol = await trio_of(world)
        ticket = (await alice.call("pair.invite"))["ticket"]
        await bob.call("pair.join", text=ticket)
        await refused(carol, ticket)
        assert world.trace.of("carol", "channel.opened") == []
        assert world.trace.of("carol", "channel.closed") == []
        (event,) = world.trace.of("alice", "channel.refused")
        assert event.value.code == "ticket.used"


async def test_a_ticket_expires(autojump_clock):
    async with World(6) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        invitation = await alice.call("pair.invite", ttl_s=60)
        await world.run_for(61)
        assert await refused(bob, invitation["ticket"]) == "ticket.expired"
        assert await state_of(alice, invitation["tid"]) == "expired"


@pytest.mark.parametrize("skew", [-10 * 365 * 86_400, 10 * 365 * 86_400])
async def test_the_clock_of_whoever_joins_decides_nothing(autojump_clock, skew):
    async with World(7) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        bob.skew_s = skew
        await bob.call("pair.join", text=(await alice.call("pair.invite"))["ticket"])
        await world.until_connected((alice, bob))


async def test_setting_the_givers_clock_back_prolongs_nothing(autojump_clock):
    async with World(8) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite", ttl_s=60))["ticket"]
        alice.skew_s = -3600.0
        await world.run_for(61)
        assert await refused(bob, ticket) == "ticket.expired"


async def test_after_a_restart_with_a_clock_set_back_a_ticket_lives_no_longer_than_its_whole_life(autojump_clock):
    async with World(9) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite", ttl_s=60))["ticket"]
        alice.skew_s = -86_400.0
        await alice.restart()
        await world.run_for(61)
        assert await refused(bob, ticket) == "ticket.expired"


async def test_a_ticket_survives_a_restart_of_its_giver(autojump_clock):
    async with World(10) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite"))["ticket"]
        await alice.restart()
        await bob.call("pair.join", text=ticket)


async def test_a_giver_that_was_restored_from_a_copy_honours_no_earlier_ticket(autojump_clock):
    async with World(11) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        invitation = await alice.call("pair.invite")
        await alice.crash()
        alice.disk = b"another disk"
        await alice.start()
        assert await refused(bob, invitation["ticket"]) == "ticket.void"
        (event,) = world.trace.of("alice", "pair.voided")
        assert event.value.tickets == 1
        await bob.call("pair.join", text=(await alice.call("pair.invite"))["ticket"])
        await alice.restart()
        assert len(world.trace.of("alice", "pair.voided")) == 1


async def test_a_cancelled_ticket_is_refused_and_whom_it_let_in_stays(autojump_clock):
    async with World(12) as world:
        alice, bob, carol = await trio_of(world)
        invitation = await alice.call("pair.invite", uses=2)
        await bob.call("pair.join", text=invitation["ticket"])
        assert (await alice.call("pair.cancel", tid=invitation["tid"]))["state"] == "cancelled"
        assert await refused(carol, invitation["ticket"]) == "ticket.cancelled"
        await world.until_connected((alice, bob))
        with pytest.raises(UsageError, match="no ticket is called"):
            await alice.call("pair.cancel", tid="00" * 8)


async def test_a_ticket_of_another_node_at_the_right_address_is_met_with_silence(autojump_clock):
    async with World(13) as world:
        alice, bob, carol = await trio_of(world)
        real = Ticket.parse_text((await alice.call("pair.invite"))["ticket"])
        at_carol = Ticket.parse_text((await carol.call("pair.invite"))["ticket"]).addresses
        wrong = Ticket(real.node, real.secret, real.expires, at_carol)
        assert await refused(bob, wrong.text) == "ticket.unanswered"


async def test_a_guessed_secret_is_met_with_silence(autojump_clock):
    async with World(14) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        real = Ticket.parse_text((await alice.call("pair.invite"))["ticket"])
        forged = Ticket(real.node, TicketSecret(bytes(16)), real.expires, real.addresses)
        assert await refused(bob, forged.text) == "ticket.unanswered"
        assert world.trace.of("alice", "pair.joined") == []


async def test_damaged_and_foreign_texts_are_refused_before_anybody_is_dialled(autojump_clock):
    async with World(15) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite"))["ticket"]
        assert await refused(bob, ticket[:-1]) == "identity.bad-text"
        assert await refused(bob, "hello") == "pair.unreadable"
        assert await refused(alice, ticket) == "ticket.own-ticket"
        assert await refused(bob, ticket, name="-bob") == "identity.bad-petname"
        assert world.trace.of("alice", "channel.refused") == []


async def test_a_ticket_without_a_reachable_address_says_so(autojump_clock):
    async with World(16) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        real = Ticket.parse_text((await alice.call("pair.invite"))["ticket"])
        gone = Ticket(real.node, real.secret, real.expires, (Address("10.9.9.9", 1),))
        with pytest.raises(DialFailed):
            await bob.call("pair.join", text=gone.text)
        nowhere = Ticket(real.node, real.secret, real.expires)
        assert await refused(bob, nowhere.text) == "net.no-address"


async def test_the_same_node_may_come_again_when_it_did_not_hear_the_answer(autojump_clock):
    async with World(17) as world:
        alice, bob, carol = await trio_of(world)
        ticket = (await alice.call("pair.invite"))["ticket"]
        world.network.silence(alice.host, bob.host)  # nothing of the answer comes through
        with trio.move_on_after(1):
            await bob.call("pair.join", text=ticket)
        world.heal()
        await bob.crash()
        await bob.start()  # and bob has forgotten everything
        await bob.call("pair.join", text=ticket)
        await world.until_connected((alice, bob))
        assert await refused(carol, ticket) == "ticket.used"


@pytest.mark.parametrize("seed", range(12))
def test_of_many_who_come_at_once_exactly_one_gets_in(seed):
    async def main():
        async with World(seed) as world:
            alice = await world.add("alice")
            others = [await world.add(f"guest{n}") for n in range(4)]
            ticket = (await alice.call("pair.invite"))["ticket"]
            outcomes = []

            async def attempt(one):
                try:
                    outcomes.append((one, (await one.call("pair.join", text=ticket))["name"]))
                except PeerError as error:
                    outcomes.append((one, error.code))

            async with trio.open_nursery() as nursery:
                for one in others:
                    nursery.start_soon(attempt, one)
            assert sorted(what for _, what in outcomes) == ["alice"] + ["ticket.used"] * 3
            (winner,) = [one for one, what in outcomes if what == "alice"]
            assert [node for node, _ in alice.node.peers.all()] == [winner.id]

    run_seeded(seed, main)


@pytest.mark.parametrize("after_s", [0.005, 0.015, 0.021, 0.025, 0.031, 0.035, 0.041, 0.045, 0.055, 0.07])
async def test_wherever_either_side_is_killed_the_ticket_admits_this_node_and_no_other(autojump_clock, after_s):
    for victim in ("alice", "bob"):
        async with World(18) as world:
            alice, bob, carol = await trio_of(world)
            ticket = (await alice.call("pair.invite"))["ticket"]
            with trio.move_on_after(after_s):
                await bob.call("pair.join", text=ticket)
            await world.nodes[victim].restart()
            bound = next(iter(await alice.call("pair.list")))["nodes"]
            peer = alice.node.peers.get(bob.id)
            assert (bound == [bob.id.text]) == (peer is not None)  # both were written, or neither
            if alice.node.channels.links.get(bob.id) is None or bob.node.peers.get(alice.id) is None:
                await bob.call("pair.join", text=ticket)
            assert await refused(carol, ticket) == "ticket.used"
            await world.until_connected((alice, bob))


async def test_a_node_that_was_removed_since_does_not_come_back_by_its_old_ticket(autojump_clock):
    async with World(19) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite"))["ticket"]
        await bob.call("pair.join", text=ticket)
        await world.until_connected((alice, bob))
        await alice.call("peer.remove", peer="bob")
        await world.run_for(5)
        assert await refused(bob, ticket) == "handshake.not-admitted"
        await bob.call("pair.join", text=(await alice.call("pair.invite"))["ticket"])
        await world.until_connected((alice, bob))


async def test_a_ticket_gives_the_scopes_that_its_giver_chose(autojump_clock):
    async with World(20) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite", scopes=["connect", "message"]))["ticket"]
        await bob.call("pair.join", text=ticket, scopes=["connect", "files"], name="al")
        assert alice.node.trust.scopes(bob.id) == {Scope.CONNECT, Scope.MESSAGE}
        assert bob.node.trust.scopes(alice.id) == {Scope.CONNECT, Scope.FILES}
        assert bob.node.peers.find("al") == alice.id


async def test_the_giver_learns_where_the_new_peer_can_be_dialled(autojump_clock):
    async with World(21) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await bob.call("pair.join", text=(await alice.call("pair.invite"))["ticket"])
        await world.until(lambda: bool(alice.node.peers.addresses(bob.id)))
        assert [one.text for one in alice.node.peers.addresses(bob.id)] == bob.node.listening()
        await bob.call("peer.disconnect", peer="alice")
        await world.run_for(5)
        assert not alice.is_connected(bob)
        await bob.call("peer.connect", peer="alice")
        await world.until_connected((alice, bob))


async def test_advertised_addresses_come_first_and_only_useful_ones_are_taken(autojump_clock):
    async with World(22) as world:
        alice = await world.add("alice")
        invitation = await alice.call("pair.invite", addresses=["tcp://node.example.org:443"])
        assert invitation["addresses"] == ["tcp://node.example.org:443", *alice.node.listening()]
        assert invitation["reach"] == "internet"
        with pytest.raises(UsageError, match="can't be dialled from another machine"):
            await alice.call("pair.invite", addresses=["tcp://0.0.0.0:443"])


async def test_whoever_waits_is_told_of_everybody_and_let_go_when_the_ticket_is_used_up(autojump_clock):
    async with World(23) as world:
        alice, bob, carol = await trio_of(world)
        invitation = await alice.call("pair.invite", uses=2)
        told = []
        await bob.call("pair.join", text=invitation["ticket"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.follow, "pair.wait", told, {"tid": invitation["tid"]})
            await world.run_for(1)
            assert [one["name"] for one in told] == ["bob"]
            await carol.call("pair.join", text=invitation["ticket"])
        assert [one["name"] for one in told] == ["bob", "carol"]


async def test_waiting_ends_with_the_ticket(autojump_clock):
    async with World(24) as world:
        alice = await world.add("alice")
        invitation = await alice.call("pair.invite", ttl_s=30)
        began = trio.current_time()
        await alice.follow("pair.wait", [], {"tid": invitation["tid"]})
        assert 29 < trio.current_time() - began < 31


async def test_two_cards_make_a_pair_without_a_secret(autojump_clock):
    async with World(25) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        for one, other in ((alice, bob), (bob, alice)):
            assert (await one.call("pair.join", text=await other.card()))["how"] == "card"
        await world.until_connected((alice, bob))
        assert await refused(alice, await alice.card()) == "node.own-card"


async def test_tickets_are_forgotten_some_time_after_they_expired(autojump_clock, monkeypatch):
    monkeypatch.setattr("nzcore.node.tickets.REMEMBERED_S", 100.0)
    monkeypatch.setattr("nzcore.node.pairing.SWEEP_S", 10.0)
    async with World(26) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        invitation = await alice.call("pair.invite", ttl_s=60)
        await world.run_for(175)
        assert await alice.call("pair.list") == []
        assert await refused(bob, invitation["ticket"]) == "ticket.unanswered"
        assert await alice.kv.list("tickets") == ["place"]


async def test_there_are_at_most_256_open_tickets_and_old_ones_make_room(autojump_clock):
    async with World(27) as world:
        alice = await world.add("alice")
        first = await alice.call("pair.invite")
        for _ in range(255):
            await alice.call("pair.invite")
        with pytest.raises(UsageError, match="as many tickets are open as may be"):
            await alice.call("pair.invite")
        await alice.call("pair.cancel", tid=first["tid"])
        await alice.call("pair.invite")
        assert len(await alice.call("pair.list")) == 256


async def test_a_giver_whose_book_is_full_says_so(autojump_clock, monkeypatch):
    monkeypatch.setattr("nzcore.node.peers.MAX_PEERS", 1)
    async with World(28) as world:
        alice, bob, carol = await trio_of(world)
        ticket = (await alice.call("pair.invite", uses=2))["ticket"]
        await bob.call("pair.join", text=ticket)
        assert await refused(carol, ticket) == "ticket.no-room"


async def test_joining_again_while_connected_costs_nothing(autojump_clock):
    async with World(29) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite", uses=2))["ticket"]
        await bob.call("pair.join", text=ticket)
        await world.until_connected((alice, bob))
        assert (await bob.call("pair.join", text=ticket))["node"] == alice.id.text
        assert await state_of(alice, (await alice.call("pair.list"))[0]["tid"]) == "open"


async def test_the_same_ticket_typed_twice_at_once_is_one_join(autojump_clock):
    async with World(30) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        ticket = (await alice.call("pair.invite"))["ticket"]
        names = []

        async def join():
            names.append((await bob.call("pair.join", text=ticket))["name"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            nursery.start_soon(join)
        assert names == ["alice", "alice"]
        await world.run_for(5)
        assert alice.is_connected(bob)
        assert len(world.trace.of("alice", "channel.opened")) == 1


async def test_an_owner_who_removes_the_giver_while_a_join_fails_does_not_get_it_back(autojump_clock):
    async with World(31) as world:
        alice, bob, carol = await trio_of(world)
        used = (await alice.call("pair.invite"))["ticket"]
        await carol.call("pair.join", text=used)
        await bob.call("peer.add", card=await alice.card())  # known, but alice does not know bob
        failed = []

        async def join():
            failed.append((await refusals.refused(bob.call("pair.join", text=used))).code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            await world.run_for(0.03)
            await bob.call("peer.remove", peer="alice")
        assert failed == ["net.no-trust"]
        assert bob.node.trust.scopes(alice.id) == frozenset()


async def test_a_ticket_of_loopback_addresses_says_why_it_leads_nowhere(autojump_clock):
    async with World(32) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        real = Ticket.parse_text((await alice.call("pair.invite"))["ticket"])
        here = Ticket(real.node, real.secret, real.expires, (Address("127.0.0.1", 7001),))
        with pytest.raises(DialFailed) as caught:
            await bob.call("pair.join", text=here.text)
        assert "--advertise" in caught.value.hint
