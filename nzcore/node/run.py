"""Running a node as a process: opened from its home, stopped by a signal, told about line by line."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from msgspec.structs import replace

from nzcore.base.errors import NzError, UsageError
from nzcore.base.groups import leaves
from nzcore.codec.types import builtins
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Principal
from nzcore.kernel import Event, Service
from nzcore.kernel.states import ALIVE
from nzcore.net.lan import Lan, local_lan
from nzcore.net.tcp import TcpTransport
from nzcore.node import config
from nzcore.node.discovery import DiscoveryService
from nzcore.node.dispatch import Dispatcher
from nzcore.node.home import Home
from nzcore.node.identity import LocalIdentity
from nzcore.node.network import NetService
from nzcore.node.node import Node
from nzcore.node.operations.node_handlers import EVENTS_WAITING, item_of
from nzcore.node.peer_services import peer_services
from nzcore.node.services import BridgeService, IpcService, JournalService, MonitorService, StoreService
from nzcore.node.voice import mdns_over
from nzcore.store.database import Database
from nzcore.store.lock import HomeLock

LAN_VARIABLE = "NZCORE_LAN"
Tell = Callable[[dict[str, Any]], None]


def run_node(
    home: Path,
    *,
    passphrase: str | None,
    on_event: Tell,
    listen: tuple[str, ...] = (),
    public: bool = False,
    mdns: bool = True,
    empty_store: bool = False,
    modules: bool = True,
) -> int:
    """Runs the node of `home` until SIGTERM, SIGINT or `node.stop`; 0 when it has stopped in good order.

    `on_event` gets `{"event": "ready", "node", "listen"}` first, then `{"event": topic, "at", "value"}` for each event
    of the bus; it must not wait. `listen`, `public` and `mdns=False` overrule the settings for this run.
    `empty_store`: begin with an empty store where the old one is gone. `modules=False`: load no module's code.
    *Raises* UnavailableError `store.home-busy`, `node.not-ready`, `node.missing-store` and as `opened`; UsageError
    `store.wrong-passphrase`, `node.store-exists`.
    """
    with opened(Home(home), passphrase, lambda net: _overrule(net, listen, public, mdns)) as node:
        node.modules.held = not modules
        if empty_store:
            node.home.forget_store()
        node.home.require_store()
        try:
            trio.run(partial(_supervise, node, on_event), strict_exception_groups=True)
        except BaseExceptionGroup as group:
            error = _told(group)
            if error is None:
                raise
            raise error from group
    return 0


def run_offline(home: Path, *, passphrase: str | None, operation: str, args: dict[str, Any]) -> Any:
    """Carries out an operation that needs no running node, on the home itself; the result as plain values.

    *Raises* UsageError `node.needs-running` for other operations, and as `opened` and the operation do.
    """
    if operation not in OPERATIONS or not OPERATIONS[operation].offline:
        raise UsageError("node.needs-running", operation=operation)
    with opened(Home(home), passphrase) as node:

        async def call() -> object:
            outcome = Dispatcher(node)(Principal("owner", "offline"), operation, args, _send_nothing)
            return await outcome if hasattr(outcome, "__await__") else outcome

        return builtins(trio.run(call))


def _overrule(net: config.Net, listen: tuple[str, ...], public: bool, mdns: bool) -> config.Net:
    """*Raises* UsageError `node.bad-setting` for what is no address."""
    try:
        return config.Net(
            listen=listen or net.listen,
            public=public or net.public,
            mdns=mdns and net.mdns,
            mdns_passive=net.mdns_passive,
        )
    except ValueError as error:
        raise UsageError("node.bad-setting", str(error), hint="give it as tcp://HOST:PORT") from error


@contextmanager
def opened(
    home: Home, passphrase: str | None, amend: Callable[[config.Net], config.Net] = lambda net: net
) -> Iterator[Node]:
    """The node of a home, its lock held and its vault open; nothing runs yet. Leaving forgets the secrets.

    `amend` may change the network's settings for this run.

    *Raises* UnavailableError `node.no-home`, `node.damaged-*`, `store.home-busy`, `store.*`; UsageError
    `node.passphrase-needed`, `store.wrong-passphrase`.
    """
    home.require()
    settings = config.load(home.config)
    home.make_folders()
    with HomeLock(home.lock):
        identity = LocalIdentity.unlock(home, passphrase)
        try:
            node = Node(home, identity, replace(settings, net=amend(settings.net)), TcpTransport())
            node.saved_config = settings
            yield node
        finally:
            identity.wipe()


def services_of(node: Node) -> list[Service]:
    """The services of a node that is a process of its own."""
    bridge = BridgeService()
    monitor = MonitorService(node.bus, node.home.path, node.config.monitor)

    def open_store() -> Database:
        node.home.require_store()  # also when the service is started again, under a node that runs
        return Database(node.home.database, node.identity.data_key, bridge.bridge)

    store = StoreService(
        open_store,
        # The supervisor restarts the bridge alone; a store on the old one would look well until its next check.
        wait_lost=lambda: bridge.bridge.wait_down(),
    )
    node.watchers.append(lambda: monitor.problems)
    discovery = _discovery_of(node, bridge)
    prepare = node.discovery_keys.load if discovery else None  # before the first HELLO, which says the key
    net = NetService(node.channels, node.peers, store, node.bus, node.config.net, prepare=prepare)
    node.attach(lambda: store.kv, net.listening)
    journal = JournalService(node.bus, node.home.log, node.config.log, outlasts=partial(_others_stop, node))
    node.watchers.append(lambda: journal.problems)
    return [
        journal,  # first, so that it hears of all others
        bridge,
        store,
        *peer_services(node, net),
        monitor,
        IpcService(node.home, Dispatcher(node), node.bus),
        *discovery,
    ]


def _discovery_of(node: Node, bridge: BridgeService) -> list[Service]:
    """Discovery, unless the settings switch it off."""
    net = node.config.net
    if not net.mdns:
        return []
    node.discovery = DiscoveryService(
        node.discovery_keys,
        node.peers,
        node.channels,
        node.pairing.window,
        node.bus,
        net,
        mdns_over(lambda: bridge.bridge),
        look=_look_around(),
    )
    return [node.discovery]


def _look_around() -> Callable[[bool], Lan]:
    """How the machine's links are found; `NZCORE_LAN=loopback` keeps tests and trials away from the real ones.

    *Raises* UsageError `node.bad-setting` for another value: what was meant to hold something back must not fail open.
    """
    value = os.environ.get(LAN_VARIABLE, "")
    if value not in ("", "loopback"):
        raise UsageError("node.bad-setting", f"{LAN_VARIABLE} can only be loopback", hint="or leave it unset")
    return lambda only_loopback: local_lan(only_loopback=only_loopback or bool(value))


def _others_stop(node: Node) -> bool:
    """Whether the node stops and services other than the journal are not yet through with it."""
    return node.is_stopping and any(
        info.state in ALIVE for info in node.supervisor.list() if info.name != JournalService.name
    )


async def _supervise(node: Node, on_event: Tell) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, node)
        await nursery.start(_tell_events, node, on_event)
        await node.run(services_of(node), on_ready=lambda: on_event(_ready(node)))
        nursery.cancel_scope.cancel()


async def _stop_on_signal(node: Node, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """The first signal stops the node in order, a second one hurries what still stops."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        await anext(signals)
        node.request_stop()
        await anext(signals)
        node.bus.emit("node.hurried")
        await node.hurry()


async def _tell_events(
    node: Node, on_event: Tell, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Events from the node's being ready on; what led up to it is in the log."""

    async def tell(event: Event) -> None:
        if node.is_ready:
            item = item_of(event)
            on_event({"event": item.topic, "at": item.at, "value": item.value})

    # `handle` is a crash boundary: a listener that raises harms its event, not the node.
    await node.bus.handle(
        "**", tell, capacity=EVENTS_WAITING, overflow="drop_oldest", name="up", task_status=task_status
    )


def _ready(node: Node) -> dict[str, Any]:
    return {"event": "ready", "node": node.identity.certificate.node.text, "listen": node.listening()}


async def _send_nothing(item: object) -> None:
    """Operations that work offline send no items."""


def _told(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """What a person is told of a group: Ctrl-C before all, else the first of several errors of ours; None for a bug."""
    errors = list(leaves(group))
    if any(isinstance(error, KeyboardInterrupt) for error in errors):
        return KeyboardInterrupt()
    return errors[0] if all(isinstance(error, NzError) for error in errors) else None
