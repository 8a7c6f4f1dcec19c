"""Every transport and store that nzcore has passes the checks that it promises to authors; a faulty one does not."""

import socket
from contextlib import asynccontextmanager

import pytest
import trio

from nzcore.crypto.secrets import StoreKey
from nzcore.net.tcp import TcpTransport
from nzcore.proto.identity.address import Address
from nzcore.store.inline import InlineKV
from nzcore.testing import conformance
from nzcore.testing.conformance import STORE_CHECKS, TRANSPORT_CHECKS, Place, check_store, check_transport
from nzcore.testing.network import Conditions, MemoryNetwork, MemoryTransport


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@asynccontextmanager
async def loopback():
    yield Place(TcpTransport(), Address("127.0.0.1", 0), Address("127.0.0.1", free_port()))


def memory(transport=MemoryTransport, **conditions):
    @asynccontextmanager
    async def make():
        network = MemoryNetwork(1, Conditions(**conditions))
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            yield Place(transport(network, "10.0.0.1"), Address("10.0.0.1", 0), Address("10.0.0.1", 9))
            nursery.cancel_scope.cancel()

    return make


@pytest.mark.real
@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
async def test_tcp_conforms(check):
    await check_transport(check, loopback)


@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"latency_s": 0.0},
        {"jitter_s": 0.05, "loss": 0.2},
        {"bandwidth": 5e6},
        {"buffer_bytes": 4096, "latency_s": 0.001},
    ],
    ids=["plain", "at once", "lossy", "narrow", "small"],
)
async def test_the_memory_network_conforms(check, conditions, autojump_clock):
    await check_transport(check, memory(**conditions))


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_the_inline_store_conforms(check):
    await check_store(check, lambda: InlineKV(StoreKey.generate()))


class Forgetful(MemoryTransport):
    """Loses every second piece."""

    async def dial(self, address, spawn):
        wire = await super().dial(address, spawn)
        send, count = wire.send, iter(range(1 << 30))
        wire.send = lambda buffers: send(buffers) if next(count) % 2 == 0 else []
        return wire


class Deaf(MemoryTransport):
    """Says nothing when the other side closes."""

    async def dial(self, address, spawn):
        wire = await super().dial(address, spawn)
        wire.close = lambda *, abort=False, rest=(): None
        return wire


class Stubborn(MemoryTransport):
    """Keeps who reads waiting when the wire is closed."""

    async def dial(self, address, spawn):
        wire = await super().dial(address, spawn)

        async def read_until(is_done):
            await trio.sleep_forever()

        wire.read_until = read_until
        return wire


@pytest.mark.parametrize(
    ("transport", "check"),
    [
        (Forgetful, conformance.bytes_arrive_in_order_both_ways),
        (Deaf, conformance.a_close_lets_everything_arrive_and_then_the_end),
        (Deaf, conformance.an_abort_ends_the_other_side_at_once),
        (Stubborn, conformance.a_wire_that_is_closed_lets_go_of_who_reads),
    ],
)
async def test_a_faulty_transport_is_found(transport, check, autojump_clock):
    with pytest.raises(AssertionError):
        await check_transport(check, memory(transport))
