"""The node: its identity, its services, and what it says of itself. Put together here and nowhere else.

Knows who depends on whom; what each service does stands in `services.py`, what can be asked in `operations/`.
"""

import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

import nzcore
from nzcore.base.errors import UnavailableError
from nzcore.base.ids import NodeId
from nzcore.control.node_ops import ServiceBrief
from nzcore.control.node_ops import State as NodeState
from nzcore.crypto.random import random_bytes
from nzcore.kernel import Backoff, Bus, Service, Supervisor
from nzcore.kernel.states import RESTING, State
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
from nzcore.node.modules.registry import Modules
from nzcore.node.pairing import Pairing
from nzcore.node.peers import PeerBook
from nzcore.node.place import place_of
from nzcore.node.standing import Standing
from nzcore.node.tickets import Tickets
from nzcore.node.tubes import Pipes, Tubes
from nzcore.proto.channel.hello import Hello
from nzcore.proto.handshake.payload import BOOT_BYTES, Introduction
from nzcore.proto.trust.view import TrustView
from nzcore.store.kv import KV

if TYPE_CHECKING:
    from nzcore.node.discovery import DiscoveryService


Watcher = Callable[[], tuple[str, ...]]
"""Says what it finds wrong, one line a problem."""


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
        self.transport = transport
        self.wall_clock = wall_clock
        self._place = place or partial(place_of, home)
        self._rng = rng
        self._kv: Callable[[], KV] = _no_store
        self._listening: Callable[[], list[str]] = list
        self._supervisor: Supervisor | None = None
        self._ready_at: float | None = None
        self._life = trio.CancelScope()
        self.scrubbing = trio.Lock()
        """Held while the whole store is read: once at a time is enough."""

        self.bus = Bus()
        self.trust = TrustView()
        self.peers = PeerBook(self.kv, self.trust, wall_clock)
        self.directory = NodeDirectory(self.peers, home.read_network_secret())
        self.discovery_keys = DiscoveryKeys(self.kv, self.trust)
        self.discovery: DiscoveryService | None = None
        """Set where the node discovers; None: it is switched off."""
        self._standing = Standing(identity, self.discovery_keys, self.bus, self.listening, wall_clock)
        self.channels = self._make_channels()
        self.pairing = self._make_pairing()
        self.files = self._make_files()
        self.messages = Messages(self.channels, self.peers, self.bus, self.kv, wall_clock)
        self.tubes, self.pipes = Tubes(), Pipes(self.channels)
        self.fabric = self._make_fabric()
        self.modules = self._make_modules()
        self.watchers: list[Watcher] = [lambda: self.modules.problems, lambda: self._standing.problems]

    def attach(self, kv: Callable[[], KV], listening: Callable[[], list[str]] = list) -> None:
        """Tells the node's parts where its services have the open store and the addresses that they listen on."""
        self._kv = kv
        self._listening = listening

    def kv(self) -> KV:
        """The store, which must not be kept: it is another one after the service restarted.

        *Raises* UnavailableError `node.not-up`, `node.service-down`.
        """
        return self._kv()

    def listening(self) -> list[str]:
        """The addresses on which peers can reach the node."""
        return self._listening()

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

    def _make_channels(self) -> ChannelManager:
        local = Local(
            keys=lambda: self.identity.keys,
            boot=random_bytes(BOOT_BYTES),
            introduction=Introduction(nzcore.__version__),
            directory=self.directory,
            trust=self.trust,
            hello=self._standing.hello,
            channels=self.config.channels.machine(),
        )
        manager = ChannelManager(local, self.peers, self.transport, self.bus, door=self.config.door, rng=self._rng)
        manager.links.on_greeted = self._greeted
        manager.links.on_evidence = self._standing.refused
        return manager

    def _greeted(self, node: NodeId, hello: Hello) -> None:
        self.pairing.greet(node, hello)
        self.discovery_keys.greeted(node, hello.dk)

    def _make_pairing(self) -> Pairing:
        return Pairing(
            tickets=Tickets(self.kv, self.peers, self.wall_clock, self._place),
            book=self.peers,
            trust=self.trust,
            directory=self.directory,
            channels=self.channels,
            bus=self.bus,
            own=lambda: self.identity.certificate,
            listening=self.listening,
        )

    def _make_files(self) -> FileExchange:
        settings, folder = self.config.files, inbox_folder(self.home, self.config)
        return FileExchange(self.channels, self.peers, self.bus, settings, folder, self.kv, self.wall_clock)

    def _make_fabric(self) -> Fabric:
        return Fabric(
            self.channels,
            self.peers,
            self.trust,
            self.bus,
            self.identity.certificate.node,
            self.kv,
            self.wall_clock,
            self._place,
        )

    def _make_modules(self) -> Modules:
        return modules_of(
            self.home,
            self.identity,
            self.peers,
            self.channels,
            self.bus,
            self.fabric,
            kv=self.kv,
            clock=self.wall_clock,
            supervisor=lambda: self.supervisor,
        )

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
