"""Multicast DNS by `zeroconf`, in the asyncio thread: coroutine functions for the bridge, news by callback.

Imported late, because zeroconf takes 45 ms. Everything here runs in that thread, `tell` too. Packets have a hop limit
of 1, the unicast ones as well: whatever asks from beyond the local links, no answer leaves them.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from zeroconf import Error, IPVersion, ServiceListener, Zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.net.lan import scope_name
from nzcore.proto.discovery.sighting import MAX_HOSTS, MAX_PROPERTIES, SERVICE, VERSION, Heard, read_instance

RESOLVE_MS = 3000
"""Waited for address and port of an instance."""

MAX_RESOLVING = 16
"""Instances asked about at the same time."""

MAX_WAITING = 256
"""Instances that wait for that; more at once is a flood, and they are forgotten."""

START_S = 5.0
HOPS = 1

_log = logging.getLogger("zeroconf")
_log.addHandler(logging.NullHandler())
_log.propagate = False  # it tells of strangers' broken packets, traceback and all; ours to tell is what fails here

News: TypeAlias = Heard | str
"""What is heard, or the service name that is gone."""


class Responder(ServiceListener):
    """Announces and listens on the given interfaces from `open` to `close`, both of which the caller calls."""

    def __init__(self, interfaces: Sequence[str | int], tell: Callable[[News], None]) -> None:
        self._interfaces = list(interfaces)
        self._tell = tell
        self._zeroconf: AsyncZeroconf | None = None
        self._announced: dict[str, AsyncServiceInfo] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(MAX_RESOLVING)

    async def open(self) -> None:
        """*Raises* UnavailableError `discovery.no-multicast`."""
        try:
            self._zeroconf = AsyncZeroconf(interfaces=self._interfaces)
            await asyncio.wait_for(self._zeroconf.zeroconf.async_wait_for_start(), START_S)
            self._stay_near(self._zeroconf.zeroconf)
            await self._zeroconf.async_add_service_listener(SERVICE, self)
        except (OSError, RuntimeError, Error, TimeoutError) as error:
            await self.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnavailableError("discovery.no-multicast", f"multicast DNS does not start: {why}") from error

    async def close(self) -> None:
        """Says goodbye and closes everything; harmless when repeated."""
        zeroconf, self._zeroconf = self._zeroconf, None
        for task in self._asking.values():
            task.cancel()
        if zeroconf is not None:
            with suppress(OSError, Error, TimeoutError):
                await zeroconf.async_close()

    async def announce(self, instance: str, label: str, port: int, hosts: Sequence[str]) -> None:
        """Announces `instance`, its addresses under the host name `label`; returns once that is sent.

        *Raises* UnavailableError `discovery.no-multicast`.
        """
        info = AsyncServiceInfo(
            SERVICE,
            f"{instance}.{SERVICE}",
            port=port,
            properties={b"v": VERSION},
            server=f"{label}.local.",
            parsed_addresses=list(hosts),
        )
        try:
            await (await self._running().async_register_service(info, strict=False))
        except (OSError, Error, TimeoutError) as error:
            raise UnavailableError("discovery.no-multicast", f"cannot announce this node: {error!r}") from error
        self._announced[instance] = info

    async def withdraw(self, instance: str) -> None:
        """Says that `instance` is gone; harmless when it was not announced."""
        info = self._announced.pop(instance, None)
        if info is not None:
            with suppress(OSError, Error, TimeoutError):
                await (await self._running().async_unregister_service(info))

    async def burden(self) -> int:
        """Names that others made this machine remember."""
        return len(self._running().zeroconf.cache.cache)

    # As zeroconf calls it.

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self._ask(name)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self._ask(name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        task = self._asking.get(name)
        if task is not None:
            task.cancel()
        self._tell(name)

    def _ask(self, service: str) -> None:
        """Asks for port and addresses; only for names that can be one of ours, and each once at a time."""
        if service in self._asking or len(self._asking) >= MAX_WAITING:
            return
        try:
            read_instance(service)
        except PeerError:
            return
        task = self._asking[service] = asyncio.get_running_loop().create_task(self._resolve(service))
        task.add_done_callback(lambda _: self._asking.pop(service, None))

    async def _resolve(self, service: str) -> None:
        async with self._turns:
            info = AsyncServiceInfo(SERVICE, service)
            with suppress(OSError, Error):
                if await info.async_request(self._running().zeroconf, RESOLVE_MS):
                    self._tell(_heard(service, info))

    def _running(self) -> AsyncZeroconf:
        if self._zeroconf is None:
            raise UnavailableError("discovery.no-multicast", "multicast DNS is closed")
        return self._zeroconf

    def _stay_near(self, zeroconf: Zeroconf) -> None:
        """RFC 6762 §11 asks for 255, for the sake of responders of 2004 that checked it; no router passes a 1 on."""
        for wrapped in (*zeroconf.engine.senders, *zeroconf.engine.readers):
            sock = wrapped.transport.get_extra_info("socket")
            with suppress(OSError):  # not every socket is of both families
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOPS)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOPS)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS)


def _heard(service: str, info: AsyncServiceInfo) -> Heard:
    hosts = [scope_name(host) for host in info.parsed_scoped_addresses(IPVersion.All)[: MAX_HOSTS + 1]]
    properties = dict(list(info.properties.items())[: MAX_PROPERTIES + 1])
    return Heard(service, info.port or 0, tuple(hosts), properties)
