"""A network in memory: hosts, addresses, TCP-like connections, and everything that goes wrong with them.

Promises what `nzcore.net.transport` and `nzcore.net.wire` ask, and passes the same checks as TCP does
(`nzcore.testing.conformance`). Callbacks, one heap and one task for the whole network, no threads, no real time: the
same seed and the same calls give the same deliveries. Loss is what it is to a user of TCP: delay, or in the end a cut.
"""

import random
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

import trio
from msgspec import Struct

from nzcore.base.errors import UnavailableError
from nzcore.net.transport import OnWire
from nzcore.net.wire import Spawn
from nzcore.proto.identity.address import Address
from nzcore.testing.wires import Connection, MemoryWire

FIRST_PORT = 49_152
"""Where ports that nobody chose begin, as with most systems."""


class Conditions(Struct, frozen=True, kw_only=True):
    """How the way between two hosts is. Times are seconds, rates between 0 and 1 for each piece that travels."""

    latency_s: float = 0.01
    """One way."""
    jitter_s: float = 0.0
    """At most so much is added, at random; order is kept, as TCP keeps it."""
    bandwidth: float = 0.0
    """Bytes a second each way; 0: as many as are offered."""
    buffer_bytes: int = 256 * 1024
    """What a connection holds each way, sent and not yet taken: beyond it, `send` leaves bytes over."""
    loss: float = 0.0
    """How often a piece must be sent again: it, and all behind it, comes `retransmit_s` later."""
    retransmit_s: float = 0.2
    cut: float = 0.0
    """How often a piece is the last: the connection breaks at both ends."""


class MemoryNetwork:
    """Hosts with names or addresses, and the ways between them. Enter `run` in a nursery before anything is dialled."""

    def __init__(self, seed: int = 0, conditions: Conditions | None = None) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - decides when simulated bytes arrive, guards no secret
        self.conditions = conditions or Conditions()
        self._ways: dict[tuple[str, str], Conditions] = {}
        self._blocked: set[tuple[str, str]] = set()
        self._down: set[str] = set()
        self._listeners: dict[Address, MemoryListener] = {}
        self._connections: dict[Connection, None] = {}  # a dict, because a set has no order that a seed repeats
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._next_port = FIRST_PORT
        self._wake_at = float("inf")
        self._task: trio.lowlevel.Task | None = None

    def transport(self, host: str) -> "MemoryTransport":
        """What a node at `host` dials and listens with."""
        return MemoryTransport(self, host)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Delivers until cancelled: the one task of the whole network."""
        task_status.started()
        while True:
            if not self._heap:
                await self._until_scheduled(float("inf"))
            elif self._heap[0][0] > trio.current_time():
                await self._until_scheduled(self._heap[0][0])
            else:
                await trio.lowlevel.checkpoint()
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                heappop(self._heap)[2]()

    # What goes wrong.

    def between(self, one: str, other: str) -> Conditions:
        """The conditions from host `one` to host `other`."""
        return self._ways.get((one, other), self.conditions)

    def set_between(self, one: str, other: str, conditions: Conditions) -> None:
        """Makes the ways between two hosts, both of them, different from all others."""
        self._ways[one, other] = self._ways[other, one] = conditions

    def partition(self, *groups: Iterable[str]) -> None:
        """Nothing passes between hosts of different groups until `heal`; what is under way waits, as TCP would."""
        for index, group in enumerate(groups):
            for one in group:
                for other in (host for rest in groups[index + 1 :] for host in rest):
                    self._blocked |= {(one, other), (other, one)}

    def silence(self, one: str, other: str) -> None:
        """Nothing passes from `one` to `other`; the other way goes on: a half-open link."""
        self._blocked.add((one, other))

    def heal(self) -> None:
        """Ends all partitions and silences; what waited arrives."""
        self._blocked.clear()
        for connection in tuple(self._connections):
            connection.unblock()

    def cut(self, one: str, other: str) -> int:
        """Breaks every connection between two hosts at both ends, now; how many there were."""
        found = [each for each in self._connections if set(each.hosts) == {one, other}]
        for connection in found:
            connection.break_both()
        return len(found)

    def vanish(self, host: str) -> None:
        """The host loses power: its ends of connections are gone, and the other ends learn nothing of it."""
        self._down.add(host)
        for address in [one for one in self._listeners if one.host == host]:
            del self._listeners[address]
        for connection in [one for one in self._connections if host in one.hosts]:
            connection.vanish(host)

    def revive(self, host: str) -> None:
        """The host has power again: what still comes for its old connections is answered by a reset."""
        self._down.discard(host)

    def passes(self, one: str, other: str) -> bool:
        """Whether anything sent now from `one` reaches `other`."""
        return (one, other) not in self._blocked and other not in self._down

    def is_up(self, host: str) -> bool:
        return host not in self._down

    @property
    def connections(self) -> int:
        """How many connections are open, at one end at least."""
        return len(self._connections)

    # For the network's own parts.

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Calls `call` in the network's task, after `delay_s`; calls for one instant keep their order."""
        self.at(trio.current_time() + delay_s, call)

    def at(self, instant: float, call: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._heap, (instant, self._count, call))
        if instant < self._wake_at and self._task is not None:
            self._wake()

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def free_port(self) -> int:
        self._next_port = FIRST_PORT if self._next_port >= 65_535 else self._next_port + 1
        return self._next_port

    def open_listener(self, address: Address) -> "MemoryListener":
        if address in self._listeners:
            raise UnavailableError("net.cannot-listen", f"cannot listen on {address.text}: address already in use")
        listener = self._listeners[address] = MemoryListener(self, address)
        return listener

    def close_listener(self, listener: "MemoryListener") -> None:
        if self._listeners.get(listener.address) is listener:
            del self._listeners[listener.address]

    def knock(self, dial: "_Dial") -> None:
        """A dial has reached its host, or waits before a partition until it has."""
        one, address = dial.source, dial.address
        if dial.is_over:
            return
        if not self.passes(one, address.host) or not self.passes(address.host, one):
            self.after(self.between(one, address.host).retransmit_s, lambda: self.knock(dial))
            return
        back_s = self.between(address.host, one).latency_s
        listener = self._listeners.get(address)
        if listener is None or listener.on_wire is None:
            self.after(back_s, dial.land)
            return
        connection = Connection(self, one, address.host, Address(one, self.free_port()).text, address.text)
        self._connections[connection] = None
        dial.wire = connection.ends[0]
        self.after(back_s, dial.land)
        listener.on_wire(connection.ends[1], one)

    async def _until_scheduled(self, instant: float) -> None:
        self._wake_at = instant
        self._task = trio.lowlevel.current_task()
        with trio.CancelScope(deadline=instant):
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        self._wake_at = float("inf")

    def _wake(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class MemoryTransport:
    """A host's way into a memory network: a `Transport`."""

    def __init__(self, network: MemoryNetwork, host: str) -> None:
        self.host = host
        self._network = network

    async def dial(self, address: Address, spawn: Spawn) -> MemoryWire:
        dial = _Dial(self.host, address)
        self._network.after(self._network.between(self.host, address.host).latency_s, lambda: self._network.knock(dial))
        try:
            await dial.over.wait()
        except trio.Cancelled:
            dial.give_up()
            raise
        if dial.wire is None:
            raise UnavailableError("net.unreachable", f"cannot reach {address.text}: connection refused")
        return dial.wire

    def listen(self, address: Address, spawn: Spawn) -> "MemoryListener":
        if address.host != self.host:
            raise UnavailableError("net.cannot-listen", f"cannot listen on {address.text}: not this host's address")
        return self._network.open_listener(Address(address.host, address.port or self._network.free_port()))


class MemoryListener:
    """Accepts connections at one address until it is closed."""

    def __init__(self, network: MemoryNetwork, address: Address) -> None:
        self.address = address
        self.on_wire: OnWire | None = None
        self._network = network
        self._closed = trio.Event()

    async def accept(self, on_wire: OnWire) -> None:
        self.on_wire = on_wire
        try:
            await self._closed.wait()
        finally:
            self.on_wire = None

    def close(self) -> None:
        self._network.close_listener(self)
        self._closed.set()


class _Dial:
    """A connection that is wanted and not there yet."""

    def __init__(self, source: str, address: Address) -> None:
        self.source = source
        self.address = address
        self.over = trio.Event()
        self.wire: MemoryWire | None = None
        self._given_up = False

    @property
    def is_over(self) -> bool:
        return self._given_up or self.over.is_set()

    def land(self) -> None:
        """What it asked for is decided: a wire, or none."""
        self.over.set()

    def give_up(self) -> None:
        self._given_up = True
        if self.wire is not None:
            self.wire.close(abort=True)
