"""The network as services: the peer book, and the channel manager with its listeners and kept peers."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, UnavailableError
from nzcore.kernel import Bus, Service
from nzcore.net.interfaces import Reach, local_interfaces, reach_of
from nzcore.net.manager import ChannelManager
from nzcore.node.config import Net
from nzcore.node.peers import PeerBook
from nzcore.node.services import StoreService, save_patiently
from nzcore.proto.identity.address import Address

NAMESPACE = "node"
PORT_NAME = "port"
LOOK_S = 30.0
"""Seconds between looks at the machine's addresses: laptops move."""

PORT_TRIES = 16


class Listening(NamedTuple):
    """Value of `net.listening`: where peers can reach the node from now on."""

    addresses: tuple[str, ...]


class NetService(Service):
    """Listens, dials the known peers, keeps their channels up."""

    name = "net"
    summary = "keeps channels to peers"
    requires = ("store",)
    essential = True

    def __init__(
        self,
        manager: ChannelManager,
        book: PeerBook,
        store: StoreService,
        bus: Bus,
        settings: Net,
        *,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`prepare` is run once the book is loaded, before anybody is greeted."""
        self._prepare = prepare
        self._manager = manager
        self._book = book
        self._store = store
        self._bus = bus
        self._settings = settings

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._book.load()
        if self._prepare is not None:
            await self._prepare()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._manager.run)
            nursery.start_soon(save_patiently, self._book.save, self._bus, "what was noted of peers")
            if self._settings.listen:
                self._listen_where_told()
            else:
                port = await self._listen_everywhere()
                nursery.start_soon(self._follow_interfaces, port)
            for node, _ in self._book.all():
                self._manager.keep(node)
            task_status.started()

    def listening(self) -> list[str]:
        """The addresses of this node, those that reach furthest first."""
        places = {place for address in self._manager.listening() for place in meant(address)}
        addresses = sorted(places, key=lambda one: (-reach_of(one.host), ":" in one.host, one.host))
        return [address.text for address in addresses]

    def status(self) -> Mapping[str, object]:
        return {"listen": self.listening(), "channels": len(self._manager.links), "peers": len(self._book)}

    def _listen_where_told(self) -> None:
        for text in self._settings.listen:
            address = Address.parse(text)
            open_to_all = [one.text for one in meant(address) if reach_of(one.host) is Reach.PUBLIC]
            if open_to_all and not self._settings.public:
                what = f"{text} can be reached from the internet"
                raise UnavailableError("node.public-address", what, address=text, places=open_to_all)
            self._manager.listen(address)

    async def _listen_everywhere(self) -> int:
        """Listens on every private address with the port of this home, chosen at its first start and kept."""
        kv = self._store.kv
        entry = await kv.get(NAMESPACE, PORT_NAME)
        if entry is not None:
            port = int.from_bytes(entry.value, "big")
            self._begin(port)
            return port
        port = self._choose_port()
        await kv.put(NAMESPACE, PORT_NAME, port.to_bytes(2, "big"))
        return port

    def _choose_port(self) -> int:
        """A port that is free on every address that counts."""
        for _ in range(PORT_TRIES - 1):
            port = self._manager.listen(Address("127.0.0.1", 0)).port
            try:
                self._follow(port)
                return port
            except UnavailableError:  # taken on another address: choose again
                for address in self._manager.listening():
                    self._manager.stop_listening(address)
        port = self._manager.listen(Address("127.0.0.1", 0)).port
        self._begin(port)
        return port

    def _begin(self, port: int) -> None:
        """The first look. One address may not be ready, as IPv6 ones aren't in their first seconds: it is tried again
        at later looks. *Raises* UnavailableError `net.cannot-listen` where none can be listened on."""
        try:
            self._follow(port)
        except UnavailableError as error:
            if not self._manager.listening():
                raise
            self._bus.emit("net.refused", error.message)

    def _follow(self, port: int) -> None:
        """Listens on addresses that have come, no longer on those that are gone. *Raises* `net.cannot-listen` where one
        of them failed, after trying all."""
        wanted = {
            Address(one.host, port)
            for one in local_interfaces()
            if one.reach is not Reach.PUBLIC or self._settings.public
        }
        present = set(self._manager.listening())
        for address in present - wanted:
            self._manager.stop_listening(address)
        failed: UnavailableError | None = None
        for address in sorted(wanted - present):
            try:
                self._manager.listen(address)
            except UnavailableError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    async def _follow_interfaces(self, port: int) -> None:
        while True:
            before = self.listening()
            try:
                self._follow(port)
            except NzError as error:  # an address may vanish between the look and the bind: look again
                self._bus.emit("net.refused", error.message)
            if self.listening() != before:
                self._bus.emit("net.listening", Listening(tuple(self.listening())))
            await trio.sleep(LOOK_S)


def meant(address: Address) -> list[Address]:
    """The addresses behind one to listen on: 0.0.0.0 and [::] mean all of this machine's, of their family."""
    if address.host not in ("0.0.0.0", "::"):  # noqa: S104  (asks about it; binds nothing)
        return [address]
    six = ":" in address.host
    return [Address(one.host, address.port) for one in local_interfaces() if (":" in one.host) == six]


def advertised(addresses: Iterable[Address]) -> list[Address]:
    """Those of a node's addresses that another machine can use; loopback only where there is nothing else.

    Link-local IPv6 is left out: its scope means nothing elsewhere.
    """
    usable = [one for one in addresses if one.dialable and "%" not in one.host]
    far = [one for one in usable if reach_of(one.host) is not Reach.LOCAL]
    return far or usable
