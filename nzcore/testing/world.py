"""A world of whole nodes in one process: their identities, stores, services and operations are the real ones, their
network is memory, their clock is virtual.

    async with World(seed=7) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        await world.introduce(alice, bob)
        await world.until(lambda: alice.is_connected(bob))

Under `trio.testing.MockClock` with autojump a virtual hour takes as long as its work; under `run_seeded` the same seed
gives the same trace. What a world leaves out is what needs a disk or a socket: vault, bridge, journal, local socket.
"""

import random
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import trio
import trio.testing
from msgspec.structs import replace

from nzcore.base.ids import NodeId
from nzcore.base.instant import WallTime
from nzcore.codec.types import builtins
from nzcore.control.verdict import Principal
from nzcore.crypto.hashing import sha256
from nzcore.net.transport import Transport
from nzcore.node.config import Config, Net
from nzcore.node.dispatch import Dispatcher
from nzcore.node.home import Home
from nzcore.node.identity import LocalIdentity
from nzcore.node.network import NetService
from nzcore.node.node import Node
from nzcore.node.offload import inline
from nzcore.node.peer_services import peer_services
from nzcore.node.secrets import Secrets
from nzcore.node.services import StoreService
from nzcore.node.setup import make_secrets
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.store.inline import InlineKV
from nzcore.store.kv import KV
from nzcore.testing.network import Conditions, MemoryNetwork
from nzcore.testing.trace import Trace

BEGINNING = 1_800_000_000
"""Seconds since 1970 at which every world begins."""

PORT = 4500
"""Where every node listens."""

NOWHERE = Path("/nonexistent/nzcore-world")
"""The home of all nodes of a world: nothing is read or written there."""

LOOK_S = 0.05
"""Virtual seconds between looks of `until`."""


class MemorySafe:
    """Where a simulated node keeps its keys. It holds what was put there last, unsealed."""

    def __init__(self, contents: bytes) -> None:
        self.contents = contents

    def replace(self, contents: bytes) -> None:
        self.contents = contents

    def wipe(self) -> None:
        self.contents = b""


class _Borrowed:
    """A store that outlives the service using it, as a disk outlives a crash."""

    def __init__(self, kv: KV) -> None:
        self._kv = kv

    async def __aenter__(self) -> KV:
        return self._kv

    async def __aexit__(self, *_: object) -> None:
        """The world closes it."""


class WorldNode:
    """One node of a world, through all its crashes and restarts. Made by `World.add`."""

    def __init__(
        self, world: "World", name: str, host: str, words: str, secrets: bytes, kv: KV, config: Config
    ) -> None:
        self.name = name
        self.host = host
        self.words = words
        """Its mnemonic, for rotations."""
        self.safe = MemorySafe(secrets)
        self.identity = LocalIdentity(self.safe, Secrets.decode(secrets), clock=self.wall_time)
        self.disk = b"the disk on which its store was written"
        """Another value at the next start means: the store was restored from a copy."""
        self.skew_s = 0.0
        """Seconds by which its wall clock is wrong."""
        self.config = config
        self.kv = kv
        """Its store, which outlives its crashes."""
        self._world = world
        self._node: Node | None = None
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._ended.set()

    @property
    def id(self) -> NodeId:
        return self.identity.keys.node

    @property
    def node(self) -> Node:
        """The running node; another one after a restart."""
        assert self._node is not None, f"{self.name} does not run"
        return self._node

    def wall_time(self) -> float:
        """Seconds since 1970 by its own clock."""
        return self._world.wall_time() + self.skew_s

    @property
    def is_running(self) -> bool:
        return not self._ended.is_set()

    def is_connected(self, other: "WorldNode") -> bool:
        """Whether it has a channel to `other` and was greeted on it."""
        one = self.node.channels.links.get(other.id) if self.is_running else None
        return one is not None and one.link.greeted.is_set()

    async def call(self, operation: str, /, **args: Any) -> Any:
        """What an operation answers its owner, as plain values; streams are not for this. *Raises* as it does."""
        return await self.call_as(Principal("owner", "world"), operation, **args)

    async def call_as(self, principal: Principal, operation: str, /, **args: Any) -> Any:
        """The same for somebody else."""
        outcome = Dispatcher(self.node)(principal, operation, args, _send_nothing)
        return builtins(await outcome if hasattr(outcome, "__await__") else outcome)

    async def follow(self, operation: str, items: list[Any], args: dict[str, Any]) -> None:
        """Runs a streaming operation of its owner to its end; each item goes to `items`, as plain values."""

        async def take(item: object) -> None:
            items.append(builtins(item))

        await Dispatcher(self.node)(Principal("owner", "world"), operation, args, take)  # type: ignore[misc]

    async def card(self) -> str:
        """Its card, with its address."""
        return str((await self.call("identity.card", addresses=True))["card"])

    async def start(self) -> None:
        """Runs it, as after `crash` or `stop`; returns when it is ready."""
        assert not self.is_running, f"{self.name} runs already"
        self._world.network.revive(self.host)
        self._scope, self._ended = trio.CancelScope(), trio.Event()
        await self._world.nursery.start(self._live)

    async def stop(self) -> None:
        """Lets it end in good order."""
        self.node.request_stop()
        await self._ended.wait()

    async def crash(self, *, silent: bool = True) -> None:
        """Ends it in the middle of whatever it does; its store and its keys stay. `silent`: its machine is gone too, so
        that nobody is told; otherwise the system resets its connections."""
        if silent:
            self._world.network.vanish(self.host)
        else:
            for other in self._world.nodes.values():
                self._world.network.cut(self.host, other.host)
        self._scope.cancel()
        await self._ended.wait()

    async def restart(self, *, silent: bool = True) -> None:
        """A crash, and at once a new life with the same identity and store."""
        await self.crash(silent=silent)
        await self.start()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        world = self._world
        node = self._node = Node(
            Home(world.homes / self.name),
            self.identity,
            self.config,
            world.transport(self.host),
            wall_clock=self.wall_time,
            rng=random.Random(world.rng.getrandbits(64)),  # noqa: S311 - spreads retries, guards no secret
            place=lambda: self.disk,
        )
        store = StoreService(lambda: _Borrowed(self.kv), requires=())
        net = NetService(node.channels, node.peers, store, node.bus, node.config.net)
        node.attach(lambda: store.kv, net.listening)
        node.files.inbox.offload = inline
        node.modules.offload = inline
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self._note, node)
                    await node.run([store, *peer_services(node, net)], on_ready=task_status.started)
                    nursery.cancel_scope.cancel()
        finally:
            node.modules.forget()
            self._ended.set()

    async def _note(self, node: Node, task_status: trio.TaskStatus[None]) -> None:
        async with node.bus.subscribe("**", capacity=1 << 14, overflow="drop_oldest", name="world") as events:
            task_status.started()
            async for event in events:
                self._world.trace.add(event.at - self._world.began, self.name, event)


class World:
    """Nodes, their network, and what happened. Use it with `async with`; leaving ends everything at once."""

    def __init__(
        self,
        seed: int = 0,
        conditions: Conditions | None = None,
        *,
        homes: Path = NOWHERE,
        remember: int | None = None,
    ) -> None:
        """`homes`: where nodes find modules that were dropped, and keep their files; nothing else is on disk.
        `remember`: how many events the trace keeps; None: all."""
        self.seed = seed
        self.homes = homes
        self.rng = random.Random(f"world {seed}")  # noqa: S311 - simulated chance, guards no secret
        self.network = MemoryNetwork(self.rng.getrandbits(64), conditions)
        self.nodes: dict[str, WorldNode] = {}
        self.trace = Trace(remember)
        self.began = 0.0
        self.nursery: trio.Nursery
        self._hosts = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.began = trio.current_time()
        self.nursery = await self._stack.enter_async_context(trio.open_nursery())
        try:
            await self.nursery.start(self.network.run)
        except BaseException:
            await self.__aexit__(*sys.exc_info())
            raise
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        self.nursery.cancel_scope.cancel()
        return await self._stack.__aexit__(*error)

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return trio.current_time() - self.began

    def wall_time(self) -> float:
        """Seconds since 1970 by a clock that is right."""
        return BEGINNING + self.now

    def transport(self, host: str) -> Transport:
        """What the node at `host` dials and listens with; overridden by whoever wants to watch."""
        return self.network.transport(host)

    def place(self, number: int) -> Address:
        """Where node `number` (from 1) lives and listens."""
        return Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", PORT)

    async def add(self, name: str, *, config: Config | None = None, words_of: WorldNode | None = None) -> WorldNode:
        """A new node, running. With `words_of`, another node of that node's identity."""
        words = words_of.words if words_of else self._words(name)
        index = sum(other.words == words for other in self.nodes.values())
        with Mnemonic.parse(words) as mnemonic:
            secrets = make_secrets(mnemonic, name=name, index=index, now=WallTime(int(self.wall_time())))
        return await self._add(name, words, secrets.encode(), config)

    async def clone(self, original: WorldNode, name: str) -> WorldNode:
        """What must not be: a copy of a node's present keys, running at another host with a store of its own."""
        return await self._add(name, original.words, original.safe.contents, original.config)

    async def introduce(self, one: WorldNode, other: WorldNode) -> None:
        """Each adds the other's card: they know and trust each other, and begin to connect."""
        await one.call("peer.add", card=await other.card(), name=other.name)
        await other.call("peer.add", card=await one.card(), name=one.name)

    def partition(self, *groups: list[WorldNode]) -> None:
        """Nothing passes between the groups until `heal`."""
        self.network.partition(*([node.host for node in group] for group in groups))

    def heal(self) -> None:
        self.network.heal()

    async def run_for(self, seconds: float) -> None:
        """Lets `seconds` of virtual time pass."""
        await trio.sleep(seconds)

    async def settle(self) -> None:
        """Lets everything happen that needs no time; afterwards the trace is complete."""
        await trio.testing.wait_all_tasks_blocked()

    async def until(self, is_so: Callable[[], bool], *, within_s: float = 60.0) -> float:
        """Waits until something is so; virtual seconds that it took. *Raises* AssertionError after `within_s`."""
        began = trio.current_time()
        while not is_so():
            waited = trio.current_time() - began
            assert waited < within_s, f"it was not so within {within_s:g} s: {getattr(is_so, '__qualname__', is_so)}"
            await trio.sleep(LOOK_S)
        return trio.current_time() - began

    async def until_connected(self, *pairs: tuple[WorldNode, WorldNode], within_s: float = 60.0) -> float:
        """Waits until each pair has a channel, open at both ends."""
        return await self.until(
            lambda: all(one.is_connected(other) and other.is_connected(one) for one, other in pairs), within_s=within_s
        )

    async def _add(self, name: str, words: str, secrets: bytes, config: Config | None) -> WorldNode:
        assert name not in self.nodes, f"there is a {name} already"
        self._hosts += 1
        place = self.place(self._hosts)
        kv = await self._stack.enter_async_context(InlineKV(Secrets.decode(secrets).data_key))
        config = replace(config or Config(), net=Net(listen=(place.text,), mdns=False))
        node = self.nodes[name] = WorldNode(self, name, place.host, words, secrets, kv, config)
        await node.start()
        return node

    def _words(self, name: str) -> str:
        """A mnemonic that the world's seed and the node's name decide, so that ids repeat."""
        with Mnemonic(sha256(f"{self.seed} {name}".encode())) as mnemonic:
            return mnemonic.reveal()


async def _send_nothing(item: object) -> None:
    """Nobody listens to items here."""
