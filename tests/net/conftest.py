"""Nodes on real sockets, and raw connections to them."""

import pytest

from nzcore.base.scopes import Scope
from nzcore.node.config import Config
from nzcore.testing.loopback import LoopbackWorld


@pytest.fixture
async def town():
    """Two nodes, alice and bob, connected over loopback; bob echoes on `/test/echo/1`."""
    async with LoopbackWorld(1) as world:
        config = Config()
        alice, bob = await world.add("alice", config=config), await world.add("bob", config=config)
        bob.node.channels.serve("/test/echo/1", echo, Scope.MESSAGE)
        await world.introduce(alice, bob)
        await world.until_connected((alice, bob))
        yield world


async def echo(stream):
    while chunk := await stream.receive_some():
        await stream.send_all(chunk)
    await stream.send_eof()
