"""A server on a real unix socket at a short path, and ways to connect to it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.ipc.ipc_helpers import Connect, Handlers, Raw, start


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket, whatever the test is called."""
    with tempfile.TemporaryDirectory(prefix="nz-") as made:
        yield Path(made)


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def server(folder: Path, handlers: Handlers, nursery: trio.Nursery) -> Path:
    """The socket path of a server that runs until the test ends."""
    path = folder / "run" / "nzcore.sock"
    await start(nursery, path, handlers)
    return path


@pytest.fixture
def connect(server: Path) -> Connect:
    @asynccontextmanager
    async def connected() -> AsyncIterator[Raw]:
        async with await trio.open_unix_socket(str(server)) as stream:
            yield Raw(stream)

    return connected
