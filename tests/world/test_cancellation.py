"""Cancellation, wherever it strikes a connect, a stream or a close, leaves no task, no wire and no entry behind."""

import gc
import os
from pathlib import Path

import pytest
import trio

from nzcore.base.scopes import Scope
from nzcore.testing.cancellation import cancel_at_every_step
from nzcore.testing.loopback import LoopbackWorld
from nzcore.testing.world import World
from tests.echo import echo

DESCRIPTORS = Path("/proc/self/fd")


async def exchange(alice, bob):
    """A connect, a stream that is used to its end, and a close."""
    alice.node.channels.resume(bob.id)
    await alice.node.channels.connect(bob.id)
    async with await alice.node.channels.open_stream(bob.id, "/test/echo/1") as stream:
        await stream.send_all(bytes(20_000))
        await stream.send_eof()
        size = 0
        while chunk := await stream.receive_some():
            size += len(chunk)
        assert size == 20_000
    alice.node.channels.disconnect(bob.id)


async def test_a_caller_that_is_cancelled_leaves_nothing_open(autojump_clock):
    async with World(1) as world:
        alice, bob = await world.add("alice"), await world.add("bob")
        bob.node.channels.serve("/test/echo/1", echo, Scope.MESSAGE)
        await world.introduce(alice, bob)
        for node, other in ((alice, bob), (bob, alice)):
            node.node.channels.release(other.id)
        await world.run_for(15)
        alice.node.channels.disconnect(bob.id)
        await exchange(alice, bob)
        await world.run_for(30)
        tasks = trio.lowlevel.current_statistics().tasks_living

        async def check():
            await world.settle()
            assert streams(alice, bob) == []
            await world.run_for(0.1)  # until bob has heard of it
            assert streams(bob, alice) == []
            alice.node.channels.disconnect(bob.id)
            await world.run_for(30)
            assert len(alice.node.channels.links) == len(bob.node.channels.links) == 0
            assert alice.node.channels._flights == {}
            assert world.network.connections == 0
            assert trio.lowlevel.current_statistics().tasks_living == tasks

        assert await cancel_at_every_step(lambda: exchange(alice, bob), check) > 8
        assert {one.topic for one in world.trace} & {"net.trouble", "stream.handler-failed"} == set()


def streams(node, other):
    link = node.node.channels.links.get(other.id)
    return [] if link is None else [one for one in link.link.streams() if one.protocol == "/test/echo/1"]


async def meeting(kind, networks):
    """Two nodes come up, meet, talk and go, all within one scope."""
    async with kind(1) as world:
        networks.append(world.network)
        alice, bob = await world.add("alice"), await world.add("bob")
        bob.node.channels.serve("/test/echo/1", echo, Scope.MESSAGE)
        await world.introduce(alice, bob)
        await exchange(alice, bob)


def strides(slice_of, whole):
    """Every `whole`th step, from each of the first `whole`: together every step. The slice takes some of them."""
    return [pytest.param(first, marks=[] if first in slice_of else pytest.mark.long) for first in range(1, whole + 1)]


@pytest.mark.parametrize("first", strides((3,), 8))
async def test_nodes_that_are_cancelled_at_any_step_leave_no_wire(first, autojump_clock):
    networks = []
    tasks = trio.lowlevel.current_statistics().tasks_living

    async def check():
        assert [network.connections for network in networks] == [0] * len(networks)
        networks.clear()
        assert trio.lowlevel.current_statistics().tasks_living == tasks

    assert await cancel_at_every_step(lambda: meeting(World, networks), check, stride=8, first=first) > 10


@pytest.mark.real
@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="this system does not show a process its descriptors in /proc")
@pytest.mark.parametrize("first", strides((5,), 32))
async def test_nodes_on_real_sockets_leave_no_descriptor(first):
    tasks, descriptors = trio.lowlevel.current_statistics().tasks_living, len(os.listdir(DESCRIPTORS))

    async def check():
        gc.collect()
        assert len(os.listdir(DESCRIPTORS)) == descriptors
        assert trio.lowlevel.current_statistics().tasks_living == tasks

    assert await cancel_at_every_step(lambda: meeting(LoopbackWorld, []), check, stride=32, first=first) > 3


async def test_a_leak_is_found(autojump_clock):
    leaked = []

    async def careless():
        leaked.append("taken")
        await trio.lowlevel.checkpoint()
        await trio.sleep(1)
        leaked.remove("taken")

    async def check():
        assert leaked == []

    with pytest.raises(AssertionError):
        await cancel_at_every_step(careless, check)


async def test_every_step_is_struck_once_and_the_last_run_is_whole(autojump_clock):
    done = []

    async def three_steps():
        for number in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, number)
        done.append(True)

    async def check():
        done.append(False)

    runs = await cancel_at_every_step(three_steps, check)
    assert runs > 6
    assert done[-2:] == [True, False]
    assert done.count(True) <= 2
