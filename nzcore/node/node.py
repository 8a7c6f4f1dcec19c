"""The node: its identity, its services, and what it says of itself. Put together here and nowhere else.

Knows who depends on whom; what each service does stands in `services.py`, what can be asked in `operations/`.
"""

import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

import nzcore
from nzcore.base.errors import PeerError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.control.node_ops import ServiceBrief
from nzcore.control.node_ops import State as NodeState
from nzcore.crypto.random import random_bytes
from nzcore.kernel import Backoff, Bus, Service, Supervisor
from nzcore.kernel.states import RESTING, State
from nzcore.net.links import Alarm
from nzcore.net.local import Local
from nzcore.net.manager import ChannelManager
from nzcore.net.transport import Transport
from nzcore.node.config import Config
from nzcore.node.directory import NodeDirectory
from nzcore.node.discovery_keys import DiscoveryKeys
from nzcore.node.fabric.fabric import Fabric
from nzcore.node.files.service import FileExchange
from nzcore.node.home import Home, default_inbox
from nzcore.node.identity import LocalIdentity
from nzcore.node.messages import Messages
from nzcore.node.modules.of_node import modules_of
from nzcore.node.network import advertised
from nzcore.node.pairing import Pairing
from nzcore.node.peers import PeerBook
from nzcore.node.place import place_of
from nzcore.node.tickets import Tickets
from nzcore.node.tubes import Pipes, Tubes
from nzcore.proto.channel.hello import Hello
from nzcore.proto.handshake.payload import BOOT_BYTES, Introduction
from nzcore.proto.handshake.verdict import read_evidence
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import MAX_ADDRESSES
from nzcore.proto.identity.certificate import Certificate, Order, compare
from nzcore.proto.trust.view import TrustView
from nzcore.store.kv import KV

if TYPE_CHECKING:
    from nzcore.node.discovery import DiscoveryService


class Node:
    """One node. Making it starts nothing: operations that need no service work at once, `run` does the rest."""

    def __init__(
        self,
        home: Home,
        identity: LocalIdentity,
        config: Config,
        transport: Transport,
        *,
        wall_clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        place: Callable[[], bytes] | None = None,
    ) -> None:
        """`wall_clock` gives seconds since 1970; `rng` spreads retries, for runs that must repeat; `place` tells the
        store from a copy of it, as `place_of` does for a home on disk."""
        self.home = home
        self.identity = identity
        self.config = config
        self.saved_config = config
        """As config.toml had it at the start; `config` may differ by what was overruled for this run."""
        self.wall_clock = wall_clock
        self.bus = Bus()
        self.trust = TrustView()
        self.peers = PeerBook(lambda: self.kv(), self.trust, wall_clock)
        self.directory = NodeDirectory(self.peers, home.read_network_secret())
        self.transport = transport
        self.channels = ChannelManager(self._local(), self.peers, transport, self.bus, door=config.door, rng=rng)
        self.listening: Callable[[], list[str]] = list
        """The addresses on which peers can reach the node."""
        self.watchers: list[Callable[[], tuple[str, ...]]] = []
        """Each says what it finds wrong, one line a problem; the supervisor's own word is added."""
        self.kv: Callable[[], KV] = _no_store
        """The store, which must not be kept: it is another one after the service restarted."""
        self.files = FileExchange(
            self.channels, self.peers, self.bus, config.files, inbox_folder(home, config), lambda: self.kv(), wall_clock
        )
        self.messages = Messages(self.channels, self.peers, self.bus, lambda: self.kv(), wall_clock)
        place = place or (lambda: place_of(home))
        self.fabric = Fabric(
            self.channels,
            self.peers,
            self.trust,
            self.bus,
            identity.certificate.node,
            lambda: self.kv(),
            wall_clock,
            place,
        )
        """Messages between services of nodes."""
        self.tubes = Tubes()
        self.pipes = Pipes(self.channels)
        self.scrubbing = trio.Lock()
        """Held while the whole store is read: once at a time is enough."""
        self.pairing = Pairing(
            tickets=Tickets(lambda: self.kv(), self.peers, wall_clock, place),
            book=self.peers,
            trust=self.trust,
            directory=self.directory,
            channels=self.channels,
            bus=self.bus,
            own=lambda: self.identity.certificate,
            listening=lambda: self.listening(),
        )
        """How strangers become peers."""
        self.discovery_keys = DiscoveryKeys(lambda: self.kv(), self.trust)
        self.discovery: DiscoveryService | None = None
        """Set where the node discovers; None: it is switched off."""
        self.modules = modules_of(self)
        self.watchers.append(lambda: self.modules.problems)
        self.channels.links.on_greeted = self._greeted
        self.channels.links.on_evidence = self._shown
        self._replaced_by: Certificate | None = None
        self.watchers.append(self._replaced)
        self._rng = rng
        self._supervisor: Supervisor | None = None
        self._ready_at: float | None = None
        self._life = trio.CancelScope()

    @property
    def supervisor(self) -> Supervisor:
        """*Raises* UnavailableError `node.not-up` while no service runs."""
        if self._supervisor is None:
            raise UnavailableError("node.not-up")
        return self._supervisor

    @property
    def uptime_s(self) -> float:
        """Seconds since the node was ready."""
        return 0.0 if self._ready_at is None else trio.current_time() - self._ready_at

    @property
    def is_ready(self) -> bool:
        """Whether every essential service was running once."""
        return self._ready_at is not None

    @property
    def is_stopping(self) -> bool:
        """Whether `request_stop` was called."""
        return self._life.cancel_called

    async def run(self, services: Iterable[Service], *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Runs `services` until `request_stop` or cancellation, then stops them in reverse order.

        Calls `on_ready` when every essential service runs. *Raises* UnavailableError `node.not-ready` where one does
        not come up.
        """
        settings = self.config.supervision
        supervisor = Supervisor(
            services,
            intensity=settings.intensity,
            period_s=settings.period_s,
            backoff=Backoff(initial_s=settings.backoff_s, max_s=settings.backoff_max_s),
            bus=self.bus,
            rng=self._rng,
        )
        self._supervisor = supervisor
        try:
            with self._life:  # leaving the supervisor stops in order, also when a start is cut short
                async with supervisor:
                    self._check_started(supervisor)
                    self._ready_at = trio.current_time()
                    on_ready()
                    await trio.sleep_forever()
        finally:
            self._supervisor = None

    def request_stop(self) -> None:
        """Lets `run` end, while it still starts services too; returns at once. Harmless when repeated."""
        if not self._life.cancel_called:
            self._life.cancel()
            self.bus.emit("node.stopping")

    async def hurry(self) -> None:
        """Gives services that are stopping no more time for it; returns when none is left."""
        while (supervisor := self._supervisor) is not None:
            states = {info.name: info.state for info in supervisor.list()}
            if RESTING.issuperset(states.values()):
                return  # the last change has been: there is no other to wait for
            for name, state in states.items():
                if state is State.STOPPING:
                    supervisor.crash(name)
            await supervisor.wait_change()

    def state(self) -> NodeState:
        """How the node is. *Raises* UnavailableError `node.not-up`."""
        certificate = self.identity.certificate
        problems = self.problems()
        now = trio.current_time()
        return NodeState(
            node=certificate.node.text,
            identity=certificate.root.text,
            name=certificate.name,
            version=nzcore.__version__,
            uptime_s=round(self.uptime_s, 3),
            listen=self.listening(),
            services=[
                ServiceBrief(
                    name=one.name, state=one.state.value, restarts=one.restarts, since_s=round(now - one.since, 3)
                )
                for one in self.supervisor.list()
            ],
            peers=len(self.peers),
            channels=len(self.channels.links),
            healthy=not problems,
            problems=problems,
        )

    def problems(self) -> list[str]:
        """What is wrong now, one sentence each."""
        return [*self.supervisor.problems(), *(problem for watch in self.watchers for problem in watch())]

    def _local(self) -> Local:
        return Local(
            keys=lambda: self.identity.keys,
            boot=random_bytes(BOOT_BYTES),
            introduction=Introduction(nzcore.__version__),
            directory=self.directory,
            trust=self.trust,
            hello=self._hello,
            channels=self.config.channels.machine(),
        )

    def _hello(self) -> Hello:
        reachable = advertised(map(Address.parse, self.listening()))
        return Hello(
            time=int(self.wall_clock()),
            addresses=tuple(one.text for one in reachable[:MAX_ADDRESSES]),
            dk=self.discovery_keys.greeting,
        )

    def _greeted(self, node: NodeId, hello: Hello) -> None:
        self.pairing.greet(node, hello)
        self.discovery_keys.greeted(node, hello.dk)

    def _shown(self, node: NodeId, code: str, detail: bytes) -> None:
        """A peer refuses this node and shows a certificate of it that we do not have (spec/handshake.md §8)."""
        try:
            self._replaced_by = read_evidence(self.identity.certificate, detail)
        except PeerError as error:
            code = error.code
        self.bus.emit("peer.alarm", Alarm(node, code))

    def _replaced(self) -> tuple[str, ...]:
        shown = self._replaced_by
        if shown is None or compare(self.identity.certificate, shown) not in (Order.NEWER, Order.FORKED):
            return ()
        what = "retired" if shown.final else f"given other keys (epoch {shown.epoch})"
        return (f"this node was {what} elsewhere, and its peers refuse it; see `nzcore explain handshake.older-epoch`",)

    def _check_started(self, supervisor: Supervisor) -> None:
        for info in supervisor.list():
            if info.essential and info.state is not State.RUNNING:
                why = info.last_error or f"it waits for {info.held_by}"
                raise UnavailableError(
                    "node.not-ready", f"the service {info.name} did not start: {why}", service=info.name
                )


def inbox_folder(home: Home, config: Config) -> Path:
    """Where received files go; it may be missing."""
    return Path(config.files.inbox_dir) if config.files.inbox_dir else default_inbox(home.path)


def _no_store() -> KV:
    raise UnavailableError("node.not-up")
