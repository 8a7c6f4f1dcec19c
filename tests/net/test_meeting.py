"""A handshake reads its wire itself: what ends it, when its time is over, and what it leaves to whoever comes next."""

import gc
import socket
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.base.errors import NzError, PeerError
from nzcore.kernel import Deadlines
from nzcore.net.meeting import Met, meet
from nzcore.net.tcp import TcpWire
from nzcore.net.wire import Wire
from nzcore.proto.handshake.machine import HANDSHAKE_S, MESSAGE1_S, Initiator, Responder
from nzcore.proto.identity.address import Address
from nzcore.testing.cancellation import cancel_at_every_step
from nzcore.testing.conformance import Ear
from nzcore.testing.network import Conditions, MemoryNetwork
from tools.benchmarks.work_handshake import INTRODUCTION, Strangers, cast, welcome

ALICE, BOB = cast()
ORDERS = 16
"""Repetitions where Trio runs the tasks of one tick in an order of its own, by chance."""


class Steps:
    """A machine that answers `,` and is done at `!`; what follows is the channel's."""

    def __init__(self, first: bytes = b"", answer: bytes = b"answer") -> None:
        self.rest = b""
        self._said = first
        self._answer = answer

    def outgoing(self) -> bytes:
        said, self._said = self._said, b""
        return said

    def receive(self, data: memoryview) -> Any:
        heard = bytes(data)
        if heard == b"?":
            raise PeerError("handshake.bad-preface")
        if heard == b",":
            self._said = self._answer
        if b"!" in heard:
            self.rest = heard.partition(b"!")[2]
            return "established"
        return None


class Attempt:
    """A handshake under way over one end of a socket pair; the other end is the test's."""

    def __init__(self, nursery: trio.Nursery, deadlines: Deadlines, machine: Steps | None = None) -> None:
        ours, self.far = socket.socketpair()
        self.far.setblocking(False)
        self.wire = TcpWire(ours, "far", nursery.start_soon)
        self.met: Met | None = None
        self.code = ""
        self._machine = machine or Steps()
        self._deadlines = deadlines

    async def run(self) -> None:
        try:
            self.met = await meet(self.wire, self._machine, self._deadlines)
        except NzError as error:
            self.code = error.code

    @property
    def is_shut(self) -> bool:
        return self.wire._sock.fileno() < 0

    def tidy(self) -> None:
        self.wire.close(abort=True)
        self.far.close()


Begin = Callable[..., Awaitable[Attempt]]


@pytest.fixture
async def begin(nursery: trio.Nursery) -> AsyncIterator[Begin]:
    """Begins a handshake whose deadlines are kept, and returns it once it waits."""
    deadlines, begun = Deadlines(), list[Attempt]()

    async def start(machine: Steps | None = None) -> Attempt:
        begun.append(Attempt(nursery, deadlines, machine))
        nursery.start_soon(begun[-1].run)
        await wait_all_tasks_blocked()
        return begun[-1]

    nursery.start_soon(deadlines.run)
    yield start
    for attempt in begun:
        attempt.tidy()
    assert not deadlines._due
    nursery.cancel_scope.cancel()


# When its time is over.


async def test_whoever_trickles_has_two_seconds_for_what_leads_on(begin: Begin, autojump_clock: MockClock) -> None:
    attempt = await begin()
    while not attempt.is_shut:
        attempt.far.send(b".")
        await trio.sleep(0.1)
    assert attempt.code == "net.too-slow"
    assert MESSAGE1_S <= trio.current_time() < MESSAGE1_S + 0.2


async def test_whoever_leads_on_has_ten_seconds_for_the_whole(begin: Begin, autojump_clock: MockClock) -> None:
    attempt = await begin()
    attempt.far.send(b",")
    while not attempt.is_shut:
        await trio.sleep(0.1)
        with suppress(BrokenPipeError):
            attempt.far.send(b",")  # each is answered: none of them gives it more time
    assert attempt.code == "net.too-slow"
    assert HANDSHAKE_S <= trio.current_time() < HANDSHAKE_S + 0.2


async def test_a_finished_handshake_does_not_expire(begin: Begin, autojump_clock: MockClock) -> None:
    attempt = await begin()
    attempt.far.send(b"!")
    await trio.sleep(2 * HANDSHAKE_S)
    assert attempt.met is not None
    assert not attempt.is_shut


async def test_deadlines_that_nobody_kept_meanwhile_are_kept_anew(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    deadlines = Deadlines()
    attempt = Attempt(nursery, deadlines)
    with trio.move_on_after(1):
        nursery.start_soon(attempt.run)
        await deadlines.run()
    await trio.sleep(HANDSHAKE_S)
    assert attempt.code == ""
    nursery.start_soon(deadlines.run)
    await wait_all_tasks_blocked()
    assert attempt.code == "net.too-slow"
    assert attempt.is_shut
    attempt.tidy()
    nursery.cancel_scope.cancel()


async def test_what_expires_in_the_tick_in_which_it_finishes_does_either(begin: Begin, mock_clock: MockClock) -> None:
    for _ in range(ORDERS):
        attempt = await begin()
        attempt.far.send(b"!")
        mock_clock.jump(MESSAGE1_S)
        await wait_all_tasks_blocked()
        assert (attempt.met is None) == attempt.is_shut == (attempt.code == "net.too-slow")


async def test_what_expires_while_its_task_is_about_to_go_on_keeps_its_wire(autojump_clock: MockClock) -> None:
    for _ in range(ORDERS):
        deadlines, network, accepted = Deadlines(), MemoryNetwork(1, Conditions(latency_s=0.0)), list[Wire]()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deadlines.run)
            await nursery.start(network.run)
            listener = network.transport("10.0.0.1").listen(Address("10.0.0.1", 0), nursery.start_soon)
            nursery.start_soon(listener.accept, lambda wire, host, accepted=accepted: accepted.append(wire))
            await wait_all_tasks_blocked()
            wire = await network.transport("10.0.0.2").dial(listener.address, nursery.start_soon)
            await wait_all_tasks_blocked()
            network.after(MESSAGE1_S, lambda accepted=accepted: accepted[0].send([b"!"]))  # type: ignore[misc]  # binds the loop's value
            met = None
            with suppress(NzError):
                met = await meet(wire, Steps(), deadlines)
            assert (met is None) == wire.is_over
            nursery.cancel_scope.cancel()


async def test_a_handshake_expires_although_its_own_message_does_not_fit(
    begin: Begin, autojump_clock: MockClock
) -> None:
    attempt = await begin(Steps(first=bytes(16 << 20)))
    assert attempt.wire._written is not None
    await trio.sleep(MESSAGE1_S)
    await wait_all_tasks_blocked()
    assert attempt.code == "net.too-slow"
    assert attempt.wire._written is None


# What ends it.


async def test_bytes_that_are_refused_end_it_and_leave_the_wire_to_the_caller(begin: Begin) -> None:
    attempt = await begin()
    attempt.far.send(b"?")
    await wait_all_tasks_blocked()
    assert attempt.code == "handshake.bad-preface"
    assert not attempt.is_shut


@pytest.mark.parametrize("abort", [True, False])
async def test_a_wire_that_somebody_closes_is_a_handshake_that_is_cut(begin: Begin, abort: bool) -> None:
    attempt = await begin()
    attempt.wire.close(abort=abort)
    await wait_all_tasks_blocked()
    assert attempt.code == "net.cut"
    attempt.far.close()
    await wait_all_tasks_blocked()
    assert attempt.is_shut


async def test_a_first_message_that_cannot_be_sent_is_a_handshake_that_is_cut(nursery: trio.Nursery) -> None:
    deadlines = Deadlines()
    attempt = Attempt(nursery, deadlines, Steps(first=b"hello"))
    attempt.wire._sock.shutdown(socket.SHUT_WR)
    await attempt.run()
    assert attempt.code == "net.cut"
    assert attempt.is_shut
    attempt.far.close()
    assert not deadlines._due


async def test_an_answer_that_cannot_be_sent_is_told_to_whoever_comes_next(begin: Begin) -> None:
    class Polite(Steps):
        def receive(self, data: memoryview) -> Any:
            self._said = b"thank you"
            return super().receive(data)

    attempt = await begin(Polite())
    attempt.wire._sock.shutdown(socket.SHUT_WR)
    attempt.far.send(b"!")
    await wait_all_tasks_blocked()
    assert attempt.met is not None
    assert attempt.met.is_cut()
    assert attempt.is_shut


async def test_cancelled_at_any_step_it_leaves_neither_task_nor_deadline_nor_socket() -> None:
    deadlines = Deadlines()
    wires: list[TcpWire] = []

    async def side(index: int, machine: Initiator | Responder) -> None:
        try:
            await meet(wires[index], machine, deadlines)
        except BaseException:
            wires[index].close(abort=True)
            raise
        wires[index].close()

    async def scenario() -> None:
        async with trio.open_nursery() as owner:
            wires[:] = [TcpWire(sock, "", owner.start_soon) for sock in socket.socketpair()]
            owner.start_soon(side, 0, Initiator(ALICE, bytes(16), INTRODUCTION, Strangers(), target=BOB.node))
            owner.start_soon(side, 1, Responder(BOB, bytes(16), INTRODUCTION, Strangers(), policy=welcome))

    async def check() -> None:
        assert not deadlines._due
        assert TcpWire.lingering == 0
        assert [wire._sock.fileno() for wire in wires] == [-1, -1]

    assert await cancel_at_every_step(scenario, check) > 5


# What it leaves.


async def test_what_stands_behind_the_last_message_is_left_for_whoever_comes_next(begin: Begin) -> None:
    attempt = await begin()
    attempt.far.send(b"!with it")
    await wait_all_tasks_blocked()
    attempt.far.send(b"after it")
    await wait_all_tasks_blocked()
    assert attempt.met is not None
    assert attempt.met.rest == b"with it"
    ear = Ear(attempt.wire)
    await wait_all_tasks_blocked()
    assert ear.heard == b"after it"


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_end_right_behind_the_last_message_is_heard_by_whoever_comes_next(begin: Begin, how: str) -> None:
    attempt = await begin(Steps(answer=b"unread, which makes a reset of the close"))
    if how == "reset":
        attempt.far.send(b",")
        await wait_all_tasks_blocked()
    attempt.far.send(b"!")
    attempt.far.close()
    await wait_all_tasks_blocked()
    assert attempt.met is not None
    assert not attempt.met.is_cut()
    ear = Ear(attempt.wire)
    await wait_all_tasks_blocked()
    assert [type(end) for end in ear.ends] == [ConnectionResetError if how == "reset" else type(None)]
    assert attempt.is_shut


async def test_a_machine_is_let_go_once_somebody_else_uses_the_wire(begin: Begin) -> None:
    attempt = await begin()
    machine = weakref.ref(attempt._machine)
    attempt.far.send(b"!")
    await wait_all_tasks_blocked()
    assert attempt.met is not None
    gc.disable()
    try:
        Ear(attempt.wire)
        attempt.met = None
        del attempt._machine
        assert machine() is None  # and its keys with it, although the wire lives on
    finally:
        gc.enable()
