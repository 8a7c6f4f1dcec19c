"""What refusing strangers costs: lines of the log, and descriptors."""

import os
from pathlib import Path

import pytest
import trio

from nzcore.base.instant import Instant
from nzcore.net import tcp
from nzcore.net.doorkeeper import TOLD_BURST, Doorkeeper, DoorSettings
from nzcore.net.tcp import TcpTransport
from nzcore.proto.identity.address import Address
from nzcore.testing.conformance import Ear

DESCRIPTORS = Path("/proc/self/fd")


def test_a_flood_of_refusals_is_counted_rather_than_told():
    door = Doorkeeper(DoorSettings())
    told = [door.tell(Instant(100.0)) for _ in range(1000)]
    assert told == [0] * TOLD_BURST + [None] * (1000 - TOLD_BURST)
    assert door.tell(Instant(101.0)) == 1000 - TOLD_BURST
    assert door.tell(Instant(101.0)) is None
    assert door.tell(Instant(100.0 + 2 * TOLD_BURST)) == 1


@pytest.mark.real
@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts the entries of /proc/self/fd")
async def test_who_never_ends_a_connection_that_was_refused_holds_few_descriptors(nursery, monkeypatch):
    monkeypatch.setattr(tcp, "MAX_LINGERING", 3)
    transport, accepted = TcpTransport(), []
    listener = transport.listen(Address("127.0.0.1", 0), nursery.start_soon)
    nursery.start_soon(listener.accept, lambda wire, host: accepted.append(Ear(wire)))
    dialled = [Ear(await transport.dial(listener.address, nursery.start_soon)) for _ in range(10)]
    for one in dialled:
        one.wire.pause()  # so its own end never comes
    with trio.fail_after(5):
        while len(accepted) < 10:
            await trio.lowlevel.checkpoint()
        held = len(os.listdir(DESCRIPTORS))
        for one in accepted:
            one.wire.close(rest=[b"refused"])
        while len(os.listdir(DESCRIPTORS)) > held - 7:
            await trio.lowlevel.checkpoint()
        for one in dialled:
            one.wire.resume()
            await one.until(lambda one=one: bool(one.ends))
            assert one.heard == b"refused"
    listener.close()
    nursery.cancel_scope.cancel()
