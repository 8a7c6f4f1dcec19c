"""Checks that any transport and any key-value store can be held to, whoever wrote it (spec/testing.md §5).

    @pytest.mark.parametrize("check", TRANSPORT_CHECKS)
    async def test_our_transport_conforms(check): await check_transport(check, make)

Each check gets a fresh place to listen and dial, or a fresh store, and raises AssertionError where it finds a
difference. `nzcore.net.tcp`, `nzcore.testing.network` and both stores of nzcore pass them.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import trio
import trio.testing

from nzcore.base.errors import UnavailableError
from nzcore.net.transport import Listener, OnWire, Transport
from nzcore.net.wire import Buffer, Spawn, Wire
from nzcore.proto.identity.address import Address
from nzcore.store import conformance as store
from nzcore.store.kv import KV

PATIENCE_S = 10.0
"""Seconds that one check may take before it counts as hanging."""

BULK = bytes(range(256)) * 20_000
"""5 MB: more than any medium takes at once."""


class Place(NamedTuple):
    """Where a transport can be tried: itself, an address to listen on, and one that nobody listens on."""

    transport: Transport
    address: Address
    deserted: Address


class Ear:
    """A wire's user that keeps what it hears."""

    def __init__(self, wire: Wire, left: Sequence[Buffer] = (), *, resume: bool = True) -> None:
        self.wire = wire
        self.heard = bytearray()
        self.ends: list[OSError | None] = []
        self.left: list[Buffer] = list(left)
        self.changed = trio.Event()
        wire.attach(self)
        if resume:
            wire.resume()

    def on_bytes(self, data: memoryview) -> None:
        assert not self.ends, "bytes after the end"
        self.heard += data
        self._change()

    def on_writable(self) -> None:
        self.left = self.wire.send(self.left)
        self._change()

    def on_end(self, error: OSError | None) -> None:
        self.ends.append(error)
        self._change()

    def say(self, data: bytes) -> None:
        """Sends all of `data` in its time; only after all that was said before is gone."""
        assert not self.left
        self.left = self.wire.send([data])

    async def until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self.changed.wait()

    def _change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class Pair(NamedTuple):
    """Both ends of one connection, and what accepted it."""

    dialled: Ear
    accepted: Ear
    listener: Listener


async def bytes_arrive_in_order_both_ways(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    for number in range(50):
        pair.dialled.say(b"%d," % number)
        pair.accepted.say(b"%d;" % number)
    await pair.accepted.until(lambda: pair.accepted.heard.count(b",") == 50)
    await pair.dialled.until(lambda: pair.dialled.heard.count(b";") == 50)
    assert pair.accepted.heard == b"".join(b"%d," % number for number in range(50))
    assert pair.dialled.heard == b"".join(b"%d;" % number for number in range(50))


async def several_buffers_are_one_message(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    assert pair.dialled.wire.send([b"one ", memoryview(b"two "), b"", b"three"]) == []
    await pair.accepted.until(lambda: len(pair.accepted.heard) == 13)
    assert pair.accepted.heard == b"one two three"


async def what_is_too_much_is_left_over_and_goes_on_when_there_is_room(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    pair.accepted.wire.pause()
    pair.dialled.say(BULK)
    assert sum(map(len, pair.dialled.left)) > 0, "a medium without bounds"
    pair.accepted.wire.resume()
    await pair.accepted.until(lambda: len(pair.accepted.heard) == len(BULK))
    assert pair.accepted.heard == BULK
    assert pair.dialled.left == []


async def a_paused_wire_hears_nothing_until_it_is_resumed(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    pair.accepted.wire.pause()
    pair.accepted.wire.pause()
    pair.dialled.say(b"early")
    pair.accepted.say(b"the other way goes on")
    await pair.dialled.until(lambda: len(pair.dialled.heard) == 21)
    await trio.testing.wait_all_tasks_blocked()
    assert pair.accepted.heard == b""
    pair.accepted.wire.resume()
    pair.accepted.wire.resume()
    await pair.accepted.until(lambda: pair.accepted.heard == b"early")


async def nothing_comes_before_somebody_is_attached(place: Place, nursery: trio.Nursery) -> None:
    wires = await _wires(place, nursery)
    dialled = Ear(wires[0])
    dialled.say(b"hello")
    await trio.testing.wait_all_tasks_blocked()
    accepted = Ear(wires[1])
    await accepted.until(lambda: accepted.heard == b"hello")


async def another_user_takes_over_where_the_first_stopped(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    pair.dialled.say(b"first")
    await pair.accepted.until(lambda: len(pair.accepted.heard) == 5)
    pair.accepted.wire.pause()
    second = Ear(pair.accepted.wire)
    pair.accepted.wire.resume()
    pair.dialled.say(b"second")
    await second.until(lambda: len(second.heard) == 6)
    assert pair.accepted.heard == b"first"
    assert second.heard == b"second"


async def who_reads_until_something_hears_that_and_nothing_behind_it(place: Place, nursery: trio.Nursery) -> None:
    wires = await _wires(place, nursery)
    dialled, accepted = Ear(wires[0]), Ear(wires[1], resume=False)
    dialled.say(b"hello")
    await trio.testing.wait_all_tasks_blocked()
    assert accepted.heard == b"", "nobody has asked yet"
    await wires[1].read_until(lambda: len(accepted.heard) == 5)
    dialled.say(b" again")
    await trio.testing.wait_all_tasks_blocked()
    assert accepted.heard == b"hello"
    wires[1].resume()
    await accepted.until(lambda: accepted.heard == b"hello again")


async def who_reads_until_something_that_never_comes_hears_the_end(place: Place, nursery: trio.Nursery) -> None:
    wires = await _wires(place, nursery)
    accepted = Ear(wires[1], resume=False)
    wires[0].close()
    await wires[1].read_until(lambda: False)
    assert accepted.ends == [None]


async def a_wire_that_is_closed_lets_go_of_who_reads(place: Place, nursery: trio.Nursery) -> None:
    wires = await _wires(place, nursery)
    ear = Ear(wires[0], resume=False)
    async with trio.open_nursery() as readers:
        readers.start_soon(wires[0].read_until, lambda: False)
        await trio.testing.wait_all_tasks_blocked()
        wires[0].close(abort=True)
    assert ear.ends == [], "a callback after close"


async def a_close_lets_everything_arrive_and_then_the_end(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    left = pair.dialled.wire.send([b"last words"])
    pair.dialled.wire.close(rest=[*left, b", and the rest"])
    await pair.accepted.until(lambda: bool(pair.accepted.ends))
    assert pair.accepted.heard == b"last words, and the rest"
    assert pair.accepted.ends == [None]


async def a_close_arrives_although_the_other_side_was_speaking(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    pair.accepted.say(b"you will not hear this")
    await trio.testing.wait_all_tasks_blocked()
    pair.dialled.wire.close(rest=[b"goodbye"])
    await pair.accepted.until(lambda: bool(pair.accepted.ends))
    assert pair.accepted.heard == b"goodbye"


async def an_abort_ends_the_other_side_at_once(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    pair.dialled.wire.close(abort=True)
    await pair.accepted.until(lambda: bool(pair.accepted.ends))
    assert isinstance(pair.accepted.ends[0], OSError)


async def who_closed_hears_no_more(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    pair.dialled.wire.close()
    pair.dialled.wire.close()
    pair.dialled.wire.close(abort=True)
    assert pair.dialled.wire.send([b"too late"]) == []
    await pair.accepted.until(lambda: bool(pair.accepted.ends))
    await trio.testing.wait_all_tasks_blocked()
    assert pair.dialled.ends == []
    assert pair.accepted.ends == [None]
    assert pair.accepted.heard == b""


async def a_dial_to_nobody_is_refused(place: Place, nursery: trio.Nursery) -> None:
    await store.refuses("net.unreachable", place.transport.dial(place.deserted, nursery.start_soon))


async def a_listener_has_its_real_port_and_its_address_to_itself(place: Place, nursery: trio.Nursery) -> None:
    listener = place.transport.listen(Address(place.address.host, 0), nursery.start_soon)
    assert listener.address.host == place.address.host
    assert listener.address.port > 0
    second = ""
    try:
        place.transport.listen(listener.address, nursery.start_soon)
    except UnavailableError as error:
        second = error.code
    assert second == "net.cannot-listen", "two listeners at one address"
    listener.close()
    place.transport.listen(listener.address, nursery.start_soon).close()


async def a_closed_listener_accepts_no_more_and_its_wires_live_on(place: Place, nursery: trio.Nursery) -> None:
    pair = await _connect(place, nursery)
    pair.listener.close()
    pair.listener.close()
    await trio.testing.wait_all_tasks_blocked()
    await a_dial_to_nobody_is_refused(place._replace(deserted=pair.listener.address), nursery)
    pair.dialled.say(b"still here")
    await pair.accepted.until(lambda: pair.accepted.heard == b"still here")


async def a_cancelled_dial_leaves_nothing_behind(place: Place, nursery: trio.Nursery) -> None:
    accepted: list[Wire] = []
    listener = place.transport.listen(place.address, nursery.start_soon)
    nursery.start_soon(listener.accept, lambda wire, host: accepted.append(wire))
    with trio.CancelScope() as scope:
        scope.cancel()
        wire = await place.transport.dial(listener.address, nursery.start_soon)
        wire.close(abort=True)  # a dial may also have been quicker
    await trio.testing.wait_all_tasks_blocked()
    for other in accepted:
        ear = Ear(other)
        await ear.until(lambda ear=ear: bool(ear.ends))  # type: ignore[misc]  # binds the loop's value


TransportCheck = Callable[[Place, trio.Nursery], Awaitable[None]]
MakePlace = Callable[[], AbstractAsyncContextManager[Place]]
MakeStore = Callable[[], AbstractAsyncContextManager[KV]]

TRANSPORT_CHECKS: tuple[TransportCheck, ...] = (
    bytes_arrive_in_order_both_ways,
    several_buffers_are_one_message,
    what_is_too_much_is_left_over_and_goes_on_when_there_is_room,
    a_paused_wire_hears_nothing_until_it_is_resumed,
    nothing_comes_before_somebody_is_attached,
    another_user_takes_over_where_the_first_stopped,
    who_reads_until_something_hears_that_and_nothing_behind_it,
    who_reads_until_something_that_never_comes_hears_the_end,
    a_wire_that_is_closed_lets_go_of_who_reads,
    a_close_lets_everything_arrive_and_then_the_end,
    a_close_arrives_although_the_other_side_was_speaking,
    an_abort_ends_the_other_side_at_once,
    who_closed_hears_no_more,
    a_dial_to_nobody_is_refused,
    a_listener_has_its_real_port_and_its_address_to_itself,
    a_closed_listener_accepts_no_more_and_its_wires_live_on,
    a_cancelled_dial_leaves_nothing_behind,
)
STORE_CHECKS = store.CHECKS


async def check_transport(check: TransportCheck, make: MakePlace) -> None:
    """One check of a transport, in a nursery of its own; closes what the check left open. *Raises* AssertionError."""
    async with make() as place, trio.open_nursery() as nursery:
        tidy = _Tidy(place.transport)
        try:
            with trio.move_on_after(PATIENCE_S) as patience:
                await check(place._replace(transport=tidy), nursery)
        finally:
            tidy.close()
            nursery.cancel_scope.cancel()
    assert not patience.cancelled_caught, f"{getattr(check, '__name__', check)} hangs"


async def check_store(check: store.Check, make: MakeStore) -> None:
    """One check of a key-value store. *Raises* AssertionError."""
    async with make() as kv:
        await check(kv)


class _Tidy:
    """A transport that remembers what it made, and closes it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._wires: list[Wire] = []
        self._listeners: list[Listener] = []

    async def dial(self, address: Address, spawn: Spawn) -> Wire:
        self._wires.append(await self._transport.dial(address, spawn))
        return self._wires[-1]

    def listen(self, address: Address, spawn: Spawn) -> Listener:
        listener = _TidyListener(self._transport.listen(address, spawn), self._wires)
        self._listeners.append(listener)
        return listener

    def close(self) -> None:
        for wire in self._wires:
            wire.close(abort=True)
        for listener in self._listeners:
            listener.close()


class _TidyListener:
    """Its listener, for as long as it accepts."""

    def __init__(self, listener: Listener, wires: list[Wire]) -> None:
        self.address = listener.address
        self.close = listener.close
        self._listener = listener
        self._wires = wires

    async def accept(self, on_wire: OnWire) -> None:
        def remember(wire: Wire, host: str) -> None:
            self._wires.append(wire)
            on_wire(wire, host)

        await self._listener.accept(remember)


async def _wires(place: Place, nursery: trio.Nursery) -> tuple[Wire, Wire, Listener]:
    accepted: list[Wire] = []
    arrived = trio.Event()

    def on_wire(wire: Wire, host: str) -> None:
        accepted.append(wire)
        arrived.set()

    listener = place.transport.listen(place.address, nursery.start_soon)
    nursery.start_soon(listener.accept, on_wire)
    await trio.testing.wait_all_tasks_blocked()
    dialled = await place.transport.dial(listener.address, nursery.start_soon)
    await arrived.wait()
    return dialled, accepted[0], listener


async def _connect(place: Place, nursery: trio.Nursery) -> Pair:
    dialled, accepted, listener = await _wires(place, nursery)
    return Pair(Ear(dialled), Ear(accepted), listener)
