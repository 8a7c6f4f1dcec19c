"""The peer book alone, over an inline store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.base.ids import NodeId
from nzcore.base.instant import WallTime
from nzcore.base.scopes import Scope
from nzcore.codec.frames import pack, unpack
from nzcore.crypto.secrets import StoreKey
from nzcore.node.addresses import MAX_ADDRESSES
from nzcore.node.peers import NAMESPACE, PeerBook
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.root import Root
from nzcore.proto.identity.rotation import PendingKeys
from nzcore.proto.trust.view import PAIRING, TrustView
from nzcore.store.inline import InlineKV
from nzcore.store.kv import KV

HERE = Address("192.168.1.5", 4000)
THERE = Address("192.168.1.6", 4000)


def certificate(name: str, *, root: Root | None = None, epoch: int = 1) -> Certificate:
    root = root or Root.from_mnemonic(Mnemonic.generate())
    keys = PendingKeys.generate()
    return root.certify(0, keys.sign_key, keys.dh_key, epoch=epoch, issued=WallTime(0), name=name)


class Setting:
    def __init__(self, kv: KV) -> None:
        self.kv = kv
        self.is_down = False
        self.trust = TrustView()
        self.book = self.fresh()

    def fresh(self) -> PeerBook:
        return PeerBook(self.store, self.trust, lambda: 1000.0)

    def store(self) -> KV:
        if self.is_down:
            raise UnavailableError("node.service-down")
        return self.kv


@asynccontextmanager
async def setting() -> AsyncIterator[Setting]:
    async with InlineKV(StoreKey.generate()) as kv:
        yield Setting(kv)


async def test_what_was_added_is_there_after_a_restart_and_trusted() -> None:
    async with setting() as place:
        alice = certificate("alice")
        await place.book.add(alice, [HERE])
        again = PeerBook(place.store, TrustView(), lambda: 0.0)
        await again.load()
        assert again.addresses(alice.node) == (HERE,)
        assert place.trust.scopes(alice.node) == PAIRING
        assert Scope.ADMIN not in place.trust.scopes(alice.node)


async def test_petnames_are_unique_and_found_by_their_beginning() -> None:
    async with setting() as place:
        first, second = certificate("bob"), certificate("Bob")
        await place.book.add(first)
        assert (await place.book.add(second)).petname == "Bob-2"
        assert place.book.find("BOB") == first.node
        assert place.book.find("bob-") == second.node
        assert place.book.find(second.node.text[:20]) == second.node
        with pytest.raises(UsageError) as ambiguous:
            place.book.find("bo")
        assert (ambiguous.value.code, sorted(ambiguous.value.facts["candidates"])) == (  # type: ignore[call-overload]
            "node.ambiguous-peer",
            ["Bob-2", "bob"],
        )
        with pytest.raises(UsageError) as unknown:
            place.book.find("carol")
        assert unknown.value.code == "node.unknown-peer"


async def test_a_removed_peer_has_no_trust_and_comes_back_only_by_hand() -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob)
        await place.book.remove(bob.node)
        assert not place.trust.scopes(bob.node)
        place.book.learn(certificate("bob"))
        assert place.book.get(bob.node) is None
        assert place.book.certificate(bob.node) == bob  # its next certificate is still measured against this one
        await place.book.add(bob)
        assert place.trust.allows(bob.node, Scope.CONNECT)


async def test_a_newer_certificate_is_learned_and_an_older_one_is_not() -> None:
    async with setting() as place:
        root = Root.from_mnemonic(Mnemonic.generate())
        old, new = certificate("bob", root=root, epoch=1), certificate("bob", root=root, epoch=2)
        await place.book.add(old)
        place.book.learn(new)
        assert place.book.certificate(old.node) == new
        place.book.learn(old)
        assert place.book.certificate(old.node) == new


async def test_addresses_that_worked_come_first_and_the_worst_are_forgotten() -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob, [HERE, THERE])
        place.book.note_dial(bob.node, HERE, worked=False)
        place.book.note_dial(bob.node, THERE, worked=True)
        assert place.book.addresses(bob.node) == (THERE, HERE)
        await place.book.add(bob, [Address("10.0.0.1", port) for port in range(1, 2 * MAX_ADDRESSES)])
        assert len(place.book.addresses(bob.node)) == MAX_ADDRESSES
        assert place.book.addresses(bob.node)[0] == THERE


async def test_what_a_peer_announces_pushes_out_nothing_that_a_person_gave() -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob, [HERE])
        place.book.note_dial(bob.node, HERE, worked=False)
        place.book.learn_addresses(bob.node, [Address("10.0.0.1", port) for port in range(1, 2 * MAX_ADDRESSES)])
        kept = place.book.addresses(bob.node)
        assert len(kept) == MAX_ADDRESSES
        assert kept[-1] == HERE, "tried last, for it has failed"


async def test_what_could_not_be_saved_is_saved_later_and_not_overwritten_meanwhile(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob, [HERE, THERE])
        place.is_down = True
        place.book.note_dial(bob.node, THERE, worked=True)
        with pytest.raises(UnavailableError):
            await place.book.save()
        place.is_down = False
        await place.book.load()
        assert place.book.addresses(bob.node)[0] == THERE
        with trio.move_on_after(1):
            await place.book.save()
        again = await place.fresh().load()
        assert again.addresses(bob.node)[0] == THERE


async def test_a_taken_petname_is_refused() -> None:
    async with setting() as place:
        await place.book.add(certificate("bob"))
        carol = certificate("carol")
        await place.book.add(carol)
        with pytest.raises(UsageError) as taken:
            await place.book.rename(carol.node, "BOB")
        assert taken.value.code == "node.petname-taken"
        assert (await place.book.rename(carol.node, "caro")).petname == "caro"


class SlowKV:
    """A store whose writes wait, in their order, until they are let through."""

    def __init__(self, kv: KV) -> None:
        self._kv = kv
        self.waiting: list[trio.Event] = []

    async def put(self, ns: str, name: str, value: bytes, *, expect: int | None = None) -> int:
        turn = trio.Event()
        self.waiting.append(turn)
        await turn.wait()
        return await self._kv.put(ns, name, value, expect=expect)

    async def let_through(self) -> None:
        while self.waiting:
            self.waiting.pop(0).set()
            await trio.testing.wait_all_tasks_blocked()


async def test_nothing_noted_while_a_removal_is_written_brings_the_peer_back() -> None:
    async with setting() as place:
        root = Root.from_mnemonic(Mnemonic.generate())
        bob, renewed = certificate("bob", root=root), certificate("bob", root=root, epoch=2)
        await place.book.add(bob, [HERE])
        place.kv, disk = SlowKV(place.kv), place.kv  # type: ignore[assignment]  # what a book needs of a store
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.book.save)
            nursery.start_soon(place.book.remove, bob.node)
            await trio.testing.wait_all_tasks_blocked()
            place.book.note_dial(bob.node, HERE, worked=False)
            place.book.learn_addresses(bob.node, [THERE])
            place.book.learn(renewed)
            assert not place.trust.scopes(bob.node)
            await trio.testing.wait_all_tasks_blocked()
            await place.kv.let_through()  # type: ignore[attr-defined]
            nursery.cancel_scope.cancel()
        again = await PeerBook(lambda: disk, TrustView(), lambda: 0.0).load()
        assert again.was_removed(bob.node)
        assert again.certificate(bob.node) == renewed


async def test_a_removal_that_could_not_be_written_counts_and_is_written_later() -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob, [HERE])
        place.is_down = True
        with pytest.raises(UnavailableError):
            await place.book.remove(bob.node)
        place.book.learn_addresses(bob.node, [THERE])
        assert not place.trust.scopes(bob.node)
        place.is_down = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.book.save)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        again = await PeerBook(place.store, TrustView(), lambda: 0.0).load()
        assert again.was_removed(bob.node)


async def test_a_removal_prevails_over_what_was_planned_before_it() -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob)
        plan = place.book.plan(bob, [HERE], how="ticket")
        await place.book.remove(bob.node)
        place.book.settle(plan)
        assert place.book.was_removed(bob.node)
        assert not place.trust.scopes(bob.node)
        place.book.settle(place.book.plan(bob, [HERE]))
        assert place.trust.allows(bob.node, Scope.CONNECT)


async def test_what_is_learned_while_a_new_name_is_written_is_kept() -> None:
    async with setting() as place:
        root = Root.from_mnemonic(Mnemonic.generate())
        bob, renewed = certificate("bob", root=root), certificate("bob", root=root, epoch=2)
        await place.book.add(bob, [HERE])
        place.kv, disk = SlowKV(place.kv), place.kv  # type: ignore[assignment]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.book.save)
            nursery.start_soon(place.book.rename, bob.node, "robert")
            await trio.testing.wait_all_tasks_blocked()
            place.book.learn(renewed)
            await trio.testing.wait_all_tasks_blocked()
            await place.kv.let_through()  # type: ignore[attr-defined]
            nursery.cancel_scope.cancel()
        again = await PeerBook(lambda: disk, TrustView(), lambda: 0.0).load()
        assert again.find("robert") == bob.node
        assert again.certificate(bob.node) == renewed


async def test_two_nodes_that_are_added_at_once_get_two_names() -> None:
    async with setting() as place:
        first, second = certificate("bob"), certificate("Bob")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.book.add, first)
            nursery.start_soon(place.book.add, second)
        assert len({peer.petname.lower() for _, peer in place.book.all()}) == 2


NAME, OTHER_NAME = Address("bob.example", 4000), Address("other.example", 4000)


async def as_kept_before(place: Setting, node: NodeId, how: str, *addresses: tuple[Address, float]) -> PeerBook:
    """The book as it is loaded where a build that took names and did not note who had said them kept `addresses`."""
    entry = await place.kv.get(NAMESPACE, node.text)
    assert entry is not None
    held = unpack(entry.value)
    assert isinstance(held, dict)
    held |= {
        "how": how,
        "addresses": [{"address": one.text, "worked_at": worked, "failures": 0} for one, worked in addresses],
    }
    await place.kv.put(NAMESPACE, node.text, pack(held))
    return await place.fresh().load()


@pytest.mark.parametrize(
    ("how", "kept_before", "left"),
    [
        ("card", [(HERE, 5.0), (NAME, 0.0)], [HERE]),
        ("card", [(HERE, 0.0), (NAME, 0.0)], [HERE, NAME]),  # never reached: the card may have said it
        ("card", [(NAME, 5.0), (OTHER_NAME, 0.0)], [NAME]),
        ("ticket", [(HERE, 0.0), (NAME, 0.0)], [HERE]),
        ("ticket", [(NAME, 5.0), (OTHER_NAME, 0.0), (HERE, 0.0)], [NAME, HERE]),
        ("phrase", [(NAME, 0.0)], []),
    ],
)
async def test_a_name_that_a_peer_may_have_announced_is_dropped_when_the_book_is_loaded(
    how: str, kept_before: list[tuple[Address, float]], left: list[Address]
) -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob)
        book = await as_kept_before(place, bob.node, how, *kept_before)
        assert sorted(book.addresses(bob.node)) == sorted(left)
        await book.reload(bob.node)
        assert sorted(book.addresses(bob.node)) == sorted(left)


@pytest.mark.parametrize("how", ["card", "ticket", "phrase"])
async def test_a_name_that_a_person_gave_stays_whatever_works(how: str) -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob, [HERE, NAME], how=how)
        place.book.note_dial(bob.node, HERE, worked=True)
        place.book.note_dial(bob.node, NAME, worked=False)
        place.book.learn_addresses(bob.node, [THERE])
        await saved(place.book)
        again = await place.fresh().load()
        assert again.addresses(bob.node) == (HERE, THERE, NAME)


async def test_a_name_that_was_dropped_comes_back_with_a_card() -> None:
    async with setting() as place:
        bob = certificate("bob")
        await place.book.add(bob)
        book = await as_kept_before(place, bob.node, "ticket", (HERE, 5.0), (NAME, 0.0))
        assert book.addresses(bob.node) == (HERE,)
        await book.add(bob, [HERE, NAME])
        book.note_dial(bob.node, HERE, worked=True)
        await saved(book)
        assert (await place.fresh().load()).addresses(bob.node) == (HERE, NAME)


async def saved(book: PeerBook) -> None:
    """Lets the book write what it noted."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.save)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
