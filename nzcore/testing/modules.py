"""Tests of modules by their authors: two nodes that meet and both run the module, in one process and virtual time.

from nzcore.testing import WorldNode, ask, two_nodes

def test_one_node_greets_the_other() -> None:
    async def check(alice: WorldNode, bob: WorldNode) -> None:
        assert await ask(alice, bob, "hello.greet", name="alice") == "hello, alice"

    two_nodes(FOLDER, check)
"""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nzcore.node.modules.folder import Snapshot, read_folder
from nzcore.testing.seeded import run_seeded
from nzcore.testing.world import World, WorldNode

ASK_S = 20.0


class Pair(NamedTuple):
    """Two nodes that know each other as alice and bob and have a channel, in a world of their own."""

    world: World
    alice: WorldNode
    bob: WorldNode


@asynccontextmanager
async def pair_with(*folders: Path, seed: int = 0) -> AsyncIterator[Pair]:
    """Both nodes run the modules in `folders`, in this order. For a Trio run under a virtual clock."""
    with tempfile.TemporaryDirectory(prefix="nzcore-test-") as homes:
        async with World(seed, homes=Path(homes)) as world:
            alice, bob = await world.add("alice"), await world.add("bob")
            await world.introduce(alice, bob)
            await world.until_connected((alice, bob))
            for node in (alice, bob):
                for folder in folders:
                    await run_module(node, folder)
            yield Pair(world, alice, bob)


async def run_module(node: WorldNode, folder: Path) -> None:
    """Installs and enables the module in `folder` as it is now. *Raises* as the node refuses it."""
    snapshot = _read(folder)
    await node.call("module.install", path=str(snapshot.folder), replace=True)
    await node.call("module.enable", name=snapshot.manifest.name)


def _read(folder: Path) -> Snapshot:
    return read_folder(folder.absolute())


async def ask(caller: WorldNode, answerer: WorldNode, operation: str, **arguments: Any) -> Any:
    """What `answerer` answers when `caller` asks it over their channel. *Raises* as it refuses."""
    return await caller.node.fabric.request(answerer.id, operation, arguments, deadline_s=ASK_S)


def two_nodes(folder: Path, check: Callable[[WorldNode, WorldNode], Awaitable[None]], *, seed: int = 0) -> None:
    """Runs `check(alice, bob)`; the same seed gives the same order of events. *Raises* what it raises."""

    async def main() -> None:
        async with pair_with(folder, seed=seed) as pair:
            await check(pair.alice, pair.bob)

    run_seeded(seed, main)
