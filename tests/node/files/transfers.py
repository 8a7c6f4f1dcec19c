"""What the tests of transfers share: two nodes of a world with real folders for inboxes, operations that stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from nzcore.codec.types import builtins
from nzcore.control.verdict import Principal
from nzcore.node.config import Config, Files
from nzcore.node.dispatch import Dispatcher
from nzcore.node.files.staging import PARTIAL
from nzcore.testing.world import World, WorldNode


def settings(folder: Path, **files: Any) -> Config:
    return Config(files=Files(inbox_dir=str(folder), **files))


@asynccontextmanager
async def pair(tmp_path: Path, *, seed: int = 1, **files: Any) -> AsyncIterator[tuple[World, WorldNode, WorldNode]]:
    """Alice and Bob, connected; Bob's inbox is `tmp_path/inbox` with these settings."""
    async with World(seed) as world:
        alice = await world.add("alice", config=settings(tmp_path / "alice-inbox"))
        bob = await world.add("bob", config=settings(tmp_path / "inbox", **files))
        await world.introduce(alice, bob)
        await world.until_connected((alice, bob))
        yield world, alice, bob


async def stream(node: WorldNode, operation: str, items: list[dict[str, Any]] | None = None, **args: Any) -> list[Any]:
    """The items of a streaming operation, as plain values; also put into `items` as they come."""
    found: list[dict[str, Any]] = [] if items is None else items

    async def take(item: object) -> None:
        await trio.lowlevel.checkpoint()  # as a slow reader: an item that is cancelled here was not sent
        found.append(builtins(item))  # type: ignore[arg-type]  # items of these operations are structs

    outcome = Dispatcher(node.node)(Principal("owner", "world"), operation, args, take)
    await outcome  # type: ignore[misc]  # streams are coroutines
    return found


async def send(node: WorldNode, *paths: Path, peer: str = "bob", **args: Any) -> dict[str, Any]:
    """The result of `file.send`, put together as the command does."""
    items = await stream(node, "file.send", peer=peer, paths=[str(path) for path in paths], **args)
    digests = {path: digest for item in items for path, digest in item["sha256"].items()}
    return {**items[-1], "sha256": digests, "skipped": [path for item in items for path in item["skipped"]]}


async def inbox(node: WorldNode, **args: Any) -> list[dict[str, Any]]:
    return [file for item in await stream(node, "file.inbox", **args) for file in item["files"]]


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that differ from place to place and from seed to seed."""
    block = bytes((seed * 31 + n * n + (n >> 8)) & 255 for n in range(4099))
    return (block * (size // len(block) + 1))[:size]


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every arrived file under an inbox, by its path; unfinished ones are left out."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and PARTIAL not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def partial(folder: Path) -> list[Path]:
    """Files of unfinished transfers."""
    return [path for path in (folder / PARTIAL).rglob("*") if path.is_file()]
