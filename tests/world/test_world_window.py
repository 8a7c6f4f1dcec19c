"""Whole nodes that pair by three words: both confirm, one attempt a window, and a man in the middle is seen."""

import pytest
import trio

from nzcore.base.errors import NzError, UsageError
from nzcore.node.window import Found, make_instance
from nzcore.proto.identity.address import Address
from nzcore.proto.pairing.phrase import PROTOCOL
from nzcore.proto.trust.view import PAIRING
from nzcore.testing.world import World


class Sky:
    """What is seen on a local network: open windows by their instance."""

    def __init__(self):
        self.seen = {}
        self.changed = trio.Event()

    def finder(self, node):
        return SkyFinder(self, node)


class SkyFinder:
    def __init__(self, sky, node):
        self.sky = sky
        self.node = node
        self.own = b""

    def announce(self, instance):
        self.own = instance
        self.sky.seen[instance] = tuple(map(Address.parse, self.node.node.listening()))
        self.sky.changed.set()
        self.sky.changed = trio.Event()

    def withdraw(self):
        self.sky.seen.pop(self.own, None)

    async def find(self, name):
        while True:
            for instance, addresses in self.sky.seen.items():
                if instance != self.own and name in (instance.decode(), instance.decode().rpartition("-")[0]):
                    return Found(instance, addresses)
            await self.sky.changed.wait()


class Attempt:
    """`pair.phrase` at one node, followed as its owner would."""

    def __init__(self, nursery, node, **args):
        self.node = node
        self.steps = []
        self.error = ""
        self.done = trio.Event()
        self.scope = trio.CancelScope()
        nursery.start_soon(self._run, args)

    async def _run(self, args):
        with self.scope:
            try:
                await self.node.follow("pair.phrase", self.steps, args)
            except NzError as error:
                self.error = error.code
        self.done.set()

    @property
    def words(self):
        return next((step["words"] for step in self.steps if step["event"] == "words"), None)

    @property
    def instance(self):
        return self.steps[0]["instance"]

    @property
    def is_paired(self):
        return bool(self.steps) and self.steps[-1]["event"] == "paired"

    async def confirm(self, accept=True):
        await self.node.call("pair.confirm", accept=accept)


async def couple(world):
    sky = Sky()
    alice, bob = await world.add("alice"), await world.add("bob")
    for one in (alice, bob):
        one.node.pairing.window.finder = sky.finder(one)
    return alice, bob


async def dialled(world, nursery, alice, bob):
    """Bob dials alice's window by address; both see words."""
    waiting = Attempt(nursery, alice)
    await world.until(lambda: bool(waiting.steps))
    dialling = Attempt(nursery, bob, name=waiting.instance, addresses=alice.node.listening())
    await world.until(lambda: bool(waiting.words and dialling.words))
    return waiting, dialling


@pytest.mark.parametrize("seed", range(6))
async def test_two_people_who_name_each_other_and_see_the_same_words_are_peers(autojump_clock, seed):
    async with World(seed) as world, trio.open_nursery() as nursery:
        alice, bob = await couple(world)
        first = Attempt(nursery, alice, name="bob")
        await world.run_for(3 * (seed % 2))
        second = Attempt(nursery, bob, name="alice")
        await world.until(lambda: bool(first.words and second.words))
        assert first.words == second.words
        assert len(first.words) == 3
        assert [one["name"] for one in (first.steps[1], second.steps[1])] == ["bob", "alice"]
        assert len(alice.node.peers) == len(bob.node.peers) == 0
        await first.confirm()
        await world.run_for(1)
        assert len(alice.node.peers) == len(bob.node.peers) == 0  # one of two is not enough
        await second.confirm()
        await world.until(lambda: first.is_paired and second.is_paired)
        await world.until_connected((alice, bob))
        for one, other in ((alice, bob), (bob, alice)):
            assert one.node.trust.scopes(other.id) == PAIRING
            assert one.node.peers.get(other.id).how == "phrase"


async def test_a_window_can_be_dialled_by_address(autojump_clock):
    async with World(10) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        waiting, dialling = await dialled(world, nursery, alice, bob)
        assert waiting.words == dialling.words
        assert world.trace.of("alice", "channel.opened") == []  # a guest's channel is none of a peer's
        await dialling.confirm()
        await waiting.confirm()
        await world.until_connected((alice, bob))
        assert waiting.is_paired
        assert dialling.is_paired


async def test_a_man_in_the_middle_shows_each_side_other_words(autojump_clock):
    """Mallory announces alice's window as hers, and goes in to alice at the same time."""
    async with World(11) as world, trio.open_nursery() as nursery:
        alice, bob, left, right = [await world.add(name) for name in ("alice", "bob", "mallory-1", "mallory-2")]
        victim = Attempt(nursery, alice)
        trap = Attempt(nursery, left)
        await world.until(lambda: bool(victim.steps and trap.steps))
        left.node.directory.window = victim.instance.encode()
        other = Attempt(nursery, bob, name=victim.instance, addresses=left.node.listening())
        relay = Attempt(nursery, right, name=victim.instance, addresses=alice.node.listening())
        await world.until(lambda: bool(victim.words and other.words and relay.words and trap.words))
        assert trap.words == other.words
        assert relay.words == victim.words
        assert victim.words != other.words  # what the two people see
        await trap.confirm()
        await relay.confirm()
        await victim.confirm(False)
        await other.confirm(False)
        await world.until(lambda: all(one.done.is_set() for one in (victim, other, trap, relay)))
        assert {one.error for one in (victim, other, trap, relay)} == {"pair.denied"}
        assert [len(one.node.peers) for one in (alice, bob, left, right)] == [0, 0, 0, 0]


@pytest.mark.parametrize("who", ["dialler", "host"])
async def test_if_one_says_no_nobody_has_a_peer(autojump_clock, who):
    async with World(12) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        waiting, dialling = await dialled(world, nursery, alice, bob)
        yes, no = (waiting, dialling) if who == "dialler" else (dialling, waiting)
        await yes.confirm()
        await no.confirm(False)
        await world.until(lambda: waiting.done.is_set() and dialling.done.is_set())
        assert waiting.error == dialling.error == "pair.denied"
        assert len(alice.node.peers) == len(bob.node.peers) == 0
        assert world.network.connections == 0


async def test_a_command_that_goes_away_tells_the_other_side(autojump_clock):
    async with World(13) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        waiting, dialling = await dialled(world, nursery, alice, bob)
        await dialling.confirm()
        waiting.scope.cancel()
        await dialling.done.wait()
        assert dialling.error == "pair.denied"
        assert alice.node.directory.window is None
        assert await world.until(lambda: world.network.connections == 0) < 5


async def test_a_window_has_one_attempt(autojump_clock):
    async with World(14) as world, trio.open_nursery() as nursery:
        alice, bob, carol = [await world.add(name) for name in ("alice", "bob", "carol")]
        waiting, dialling = await dialled(world, nursery, alice, bob)
        late = Attempt(nursery, carol, name=waiting.instance, addresses=alice.node.listening())
        await late.done.wait()
        assert late.error in ("net.cut", "pair.window-used")
        await dialling.confirm(False)
        await waiting.done.wait()
        again = Attempt(nursery, carol, name=waiting.instance, addresses=alice.node.listening())
        await again.done.wait()
        assert again.error == "net.cut"  # the window is closed for good


async def test_of_two_who_come_at_once_one_gets_the_attempt(autojump_clock):
    async with World(15) as world, trio.open_nursery() as nursery:
        alice, bob, carol = [await world.add(name) for name in ("alice", "bob", "carol")]
        waiting = Attempt(nursery, alice)
        await world.until(lambda: bool(waiting.steps))
        rivals = [
            Attempt(nursery, one, name=waiting.instance, addresses=alice.node.listening()) for one in (bob, carol)
        ]
        await world.until(lambda: any(one.words for one in rivals) and any(one.error for one in rivals))
        (loser,) = [one for one in rivals if one.error]
        assert loser.error == "pair.window-used"
        nursery.cancel_scope.cancel()


async def test_a_closed_window_is_silence_and_a_wrong_instance_too(autojump_clock):
    async with World(16) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        early = Attempt(nursery, bob, name="alice-aaaa", addresses=alice.node.listening())
        await early.done.wait()
        assert early.error == "net.cut"
        waiting = Attempt(nursery, alice)
        await world.until(lambda: bool(waiting.steps))
        wrong = Attempt(nursery, bob, name="alice-aaaa", addresses=alice.node.listening())
        await wrong.done.wait()
        assert wrong.error == "net.cut"
        assert alice.node.pairing.window.is_open  # that was no attempt
        waiting.scope.cancel()


async def test_a_window_closes_by_itself(autojump_clock):
    async with World(17) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        waiting, dialling = await dialled(world, nursery, alice, bob)
        began = trio.current_time()
        await waiting.done.wait()
        assert trio.current_time() - began < 121
        assert waiting.error == "pair.timed-out"
        await dialling.done.wait()
        assert dialling.error in ("pair.denied", "pair.timed-out")
        with pytest.raises(UsageError, match="no pairing window"):
            await waiting.confirm()


async def test_there_is_one_window_at_a_time_and_words_cannot_be_confirmed_before_they_are_there(autojump_clock):
    async with World(18) as world, trio.open_nursery() as nursery:
        alice = await world.add("alice")
        first = Attempt(nursery, alice)
        await world.until(lambda: bool(first.steps))
        second = Attempt(nursery, alice)
        await second.done.wait()
        assert second.error == "pair.busy"
        with pytest.raises(UsageError, match="nothing is there to be confirmed"):
            await first.confirm()
        first.scope.cancel()
        await first.done.wait()
        third = Attempt(nursery, alice)
        await world.until(lambda: bool(third.steps))
        nursery.cancel_scope.cancel()


async def test_without_discovery_a_name_alone_opens_no_window_and_says_how_to_go_on(autojump_clock):
    async with World(19) as world, trio.open_nursery() as nursery:
        alice = await world.add("alice")
        attempt = Attempt(nursery, alice, name="bob")
        await attempt.done.wait()
        assert attempt.error == "discovery.off"
        assert attempt.steps == []  # nobody is told that somebody was looked for
        with pytest.raises(NzError) as refused:
            await alice.call("pair.phrase", name="bob")
        assert "--address" in refused.value.hint
        assert "net.mdns true" in refused.value.hint


async def test_a_guest_can_open_nothing_but_the_one_stream(autojump_clock):
    async with World(20) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        waiting = Attempt(nursery, alice)
        await world.until(lambda: bool(waiting.steps))
        found = tuple(map(Address.parse, alice.node.listening()))
        guest = await bob.node.channels.joining.visit(waiting.instance.encode(), found, PROTOCOL)
        await guest.stream()
        other = await guest._link.open_stream("/nz/message/1")
        with pytest.raises(NzError) as refused:
            await other.receive_some()
        assert refused.value.code == "channel.out-of-scope"
        second = await guest._link.open_stream(PROTOCOL)
        with pytest.raises(NzError):
            await second.receive_some()
        guest.close()
        await waiting.done.wait()
        assert alice.node.channels.links.get(bob.id) is None


async def test_a_guests_first_stream_must_be_the_one_for_pairing(autojump_clock):
    async with World(23) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        waiting = Attempt(nursery, alice)
        await world.until(lambda: bool(waiting.steps))
        found = tuple(map(Address.parse, alice.node.listening()))
        guest = await bob.node.channels.joining.visit(waiting.instance.encode(), found, "/nz/message/1")
        stream = await guest.stream()
        with pytest.raises(NzError) as refused:
            await stream.receive_some()
        assert refused.value.code == "channel.out-of-scope"
        guest.close()
        await waiting.done.wait()
        assert waiting.error == "channel.closed"


async def test_a_guests_greeting_says_nothing_of_the_node(autojump_clock):
    async with World(21) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        heard = []
        waiting = Attempt(nursery, alice)
        await world.until(lambda: bool(waiting.steps))
        found = tuple(map(Address.parse, alice.node.listening()))
        guest = await bob.node.channels.joining.visit(waiting.instance.encode(), found, PROTOCOL)
        guest.on_hello = lambda link, hello: heard.append(hello)
        await guest.stream()
        assert [(one.addresses, one.dk, one.features) for one in heard] == [((), b"", ())]
        nursery.cancel_scope.cancel()


async def test_a_petname_that_is_taken_is_refused_before_the_window_opens(autojump_clock):
    async with World(22) as world, trio.open_nursery() as nursery:
        alice, bob = await world.add("alice"), await world.add("bob")
        await alice.call("pair.join", text=await bob.card())
        attempt = Attempt(nursery, alice, petname="bob")
        await attempt.done.wait()
        assert (attempt.error, attempt.steps) == ("node.petname-taken", [])


@pytest.mark.parametrize("name", ["alice", "", "ünï code", "-" * 64, "x" * 64, "日本" * 30])
def test_an_instance_is_a_label_of_dns(name):
    instance = make_instance(name)
    assert len(instance) <= 63
    assert instance.decode().rpartition("-")[2].isalnum()
    assert make_instance(name) != make_instance(name)
