"""Tickets over a store that takes its time: killed anywhere, raced by anybody, they admit as many as they say."""

import pytest
import trio

from nzcore.crypto.secrets import StoreKey
from nzcore.node.peers import PeerBook
from nzcore.node.tickets import Tickets
from nzcore.proto.trust.view import PAIRING, TrustView
from nzcore.store.inline import InlineKV
from tools.vectors.identity_cast import make_certificate, make_root

NOW = 1_800_000_000.0
BOB, CAROL = (make_certificate(make_root(byte), who, name=who) for byte, who in ((1, "bob"), (2, "carol")))


class SlowKV:
    """A store whose writes take a second before and a second after they have happened."""

    def __init__(self, kv):
        self.kv = kv
        self.get, self.list = kv.get, kv.list

    async def write(self, writes):
        await trio.sleep(1)
        versions = await self.kv.write(writes)
        await trio.sleep(1)
        return versions


async def a_process(kv, place=b"here"):
    """Tickets and peers as a process finds them that has just started."""
    book = await PeerBook(lambda: kv, TrustView(), lambda: NOW).load()
    tickets = Tickets(lambda: kv, book, lambda: NOW, lambda: place)
    await tickets.load()
    return tickets, book


@pytest.mark.parametrize("killed_after", [0.5, 1.5, 2.5, 3.5])
async def test_a_kill_leaves_binding_and_peer_or_neither(autojump_clock, killed_after):
    async with InlineKV(StoreKey.generate()) as kv:
        first, _ = await a_process(SlowKV(kv))
        given = await first.give(ttl_s=600, uses=1, scopes=PAIRING)
        with trio.move_on_after(killed_after):
            await first.redeem(given.tid, BOB)
        tickets, book = await a_process(kv)
        bound = tickets.get(given.tid).ticket.bound
        assert (bytes(BOB.node) in bound) == (book.get(BOB.node) is not None)
        if bound:
            assert await tickets.redeem(given.tid, CAROL) == "ticket.used"
            assert await tickets.redeem(given.tid, BOB) == ""
        else:
            assert await tickets.redeem(given.tid, CAROL) == ""
            assert await tickets.redeem(given.tid, BOB) == "ticket.used"


async def test_two_at_once_are_judged_one_after_the_other(autojump_clock):
    async with InlineKV(StoreKey.generate()) as kv:
        tickets, book = await a_process(SlowKV(kv))
        given = await tickets.give(ttl_s=600, uses=1, scopes=PAIRING)
        said = {}

        async def redeem(certificate):
            said[certificate.name] = await tickets.redeem(given.tid, certificate)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(redeem, BOB)
            nursery.start_soon(redeem, CAROL)
        assert sorted(said.values()) == ["", "ticket.used"]
        assert len(book) == 1


async def test_memory_that_is_behind_the_store_is_found_out_by_its_version(autojump_clock):
    async with InlineKV(StoreKey.generate()) as kv:
        tickets, _ = await a_process(kv)
        given = await tickets.give(ttl_s=600, uses=1, scopes=PAIRING)
        behind, book = await a_process(kv)
        assert await tickets.redeem(given.tid, BOB) == ""
        assert behind.verdict(given.tid, CAROL.node) == ""  # as far as it knows
        assert await behind.redeem(given.tid, CAROL) == "ticket.used"
        assert book.get(CAROL.node) is None
        assert await behind.redeem(given.tid, BOB) == ""


async def test_a_redemption_whose_answer_was_lost_is_answered_the_second_time(autojump_clock):
    """Cancelled after the commit: memory has not heard of it, the store has."""
    async with InlineKV(StoreKey.generate()) as kv:
        tickets, book = await a_process(SlowKV(kv))
        given = await tickets.give(ttl_s=600, uses=1, scopes=PAIRING)
        with trio.move_on_after(1.5):
            await tickets.redeem(given.tid, BOB)
        assert book.get(BOB.node) is None
        assert await tickets.redeem(given.tid, BOB) == ""
        assert book.get(BOB.node) is not None
        assert await tickets.redeem(given.tid, CAROL) == "ticket.used"


async def test_taking_a_ticket_back_wins_against_a_redemption_that_waits(autojump_clock):
    async with InlineKV(StoreKey.generate()) as kv:
        tickets, book = await a_process(SlowKV(kv))
        given = await tickets.give(ttl_s=600, uses=1, scopes=PAIRING)
        said = []

        async def late():
            await trio.sleep(0.5)
            said.append(await tickets.redeem(given.tid, BOB))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tickets.cancel, given.tid)
            nursery.start_soon(late)
        assert said == ["ticket.cancelled"]
        assert len(book) == 0


async def test_another_place_voids_what_was_open_and_what_was_used(autojump_clock):
    async with InlineKV(StoreKey.generate()) as kv:
        tickets, _ = await a_process(kv)
        used, fresh = [await tickets.give(ttl_s=600, uses=1, scopes=PAIRING) for _ in range(2)]
        await tickets.redeem(used.tid, BOB)
        elsewhere, _ = await a_process(kv, place=b"elsewhere")
        assert [elsewhere.get(one.tid).state for one in (used, fresh)] == ["void", "void"]
        assert await elsewhere.redeem(fresh.tid, CAROL) == "ticket.void"
        again, _ = await a_process(kv, place=b"elsewhere")
        assert (await again.give(ttl_s=600, uses=1, scopes=PAIRING)).state == "open"


async def test_secrets_of_forgotten_tickets_are_gone_from_the_store(autojump_clock):
    async with InlineKV(StoreKey.generate()) as kv:
        tickets, _ = await a_process(kv)
        given = await tickets.give(ttl_s=60, uses=1, scopes=PAIRING)
        await trio.sleep(86_400 + 100)
        assert tickets.secret(given.tid) is not None
        await tickets.sweep()
        assert tickets.secret(given.tid) is None
        assert await kv.list("tickets") == ["place"]
