"""A local network in memory, for discovery: what is announced on it is heard by all, at once and in order.

lan = MemoryLan()
await lan.join(alice)      # a `WorldNode`; its discovery then runs as a service of its own
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

import trio

from nzcore.base.errors import UnavailableError
from nzcore.net.lan import Lan
from nzcore.node.config import Net
from nzcore.node.discovery import DiscoveryService
from nzcore.proto.discovery.sighting import SERVICE, VERSION, Heard, Links
from nzcore.testing.world import WorldNode

WAITING = 4096
"""Words that wait for a voice; a test that floods more finds out by an error."""


class MemoryLan:
    """One link. What goes wrong on it is set from outside."""

    def __init__(self, network: str = "10.0.0.0/8") -> None:
        self.lan = Lan(Links((ip_network(network),)), (network,))
        """What every node on it sees of its links; another value is noticed at the next look."""
        self.announced: dict[str, Heard] = {}
        """By service name, what is announced now."""
        self.said: list[Heard] = []
        """Everything that nodes announced, in order."""
        self.broken = False
        """Whether multicast fails with an error."""
        self.lost = False
        """Whether what carries multicast has ended, as when the asyncio thread dies."""
        self.deaf = False
        """Whether nothing that is said is heard."""
        self._voices: list[_Voice] = []

    async def join(self, node: WorldNode, *, passive: bool = False) -> DiscoveryService:
        """Gives a running node discovery on this link; returns when the service runs."""
        inner = node.node
        inner.discovery = DiscoveryService(
            inner.discovery_keys,
            inner.peers,
            inner.channels,
            inner.pairing.window,
            inner.bus,
            Net(mdns_passive=passive),
            self._open,
            look=lambda only_loopback: self.lan,
            requires=("net",),
        )
        inner.supervisor.add(inner.discovery)
        await inner.supervisor.start_service(inner.discovery.name)
        return inner.discovery

    def say(self, instance: str, port: int, hosts: Sequence[str], **properties: str) -> None:
        """Announces whatever somebody may announce; `v=1` unless `properties` say otherwise."""
        text = {key.encode(): value.encode() for key, value in properties.items()} or {b"v": VERSION}
        self.put(Heard(f"{instance}.{SERVICE}", port, tuple(hosts), dict(text)))

    def put(self, heard: Heard) -> None:
        """All hear this."""
        self.announced[heard.service] = heard
        self._tell(heard)

    def drop(self, instance: str) -> None:
        """All hear that it is gone; harmless when it was not there."""
        service = f"{instance}.{SERVICE}"
        if self.announced.pop(service, None) is not None:
            self._tell(service)

    def _tell(self, word: Heard | str) -> None:
        if not self.deaf:
            for voice in self._voices:
                voice.words.send_nowait(word)

    @asynccontextmanager
    async def _open(self, lan: Lan) -> AsyncIterator["_Voice"]:
        if self.broken:
            raise UnavailableError("discovery.no-multicast")
        if self.lost:
            raise UnavailableError("node.service-down")
        voice = _Voice(self)
        self._voices.append(voice)
        try:
            for heard in [] if self.deaf else self.announced.values():
                voice.words.send_nowait(heard)
            yield voice
        finally:
            self._voices.remove(voice)
            for instance in [*voice.own]:
                await voice.withdraw(instance)


class _Voice:
    def __init__(self, lan: MemoryLan) -> None:
        self._lan = lan
        self.words, self._heard = trio.open_memory_channel[Heard | str](WAITING)
        self.own: set[str] = set()

    async def announce(self, instance: str, label: str, port: int, hosts: Sequence[str]) -> None:
        if self._lan.broken:
            raise UnavailableError("discovery.no-multicast")
        self.own.add(instance)
        self._lan.said.append(Heard(f"{instance}.{SERVICE}", port, tuple(hosts), {b"v": VERSION}))
        self._lan.put(self._lan.said[-1])

    async def withdraw(self, instance: str) -> None:
        self.own.discard(instance)
        self._lan.drop(instance)

    async def hear(self) -> Heard | str:
        return await self._heard.receive()

    async def burden(self) -> int:
        if self._lan.lost:
            raise UnavailableError("store.bridge-down")
        return len(self._lan.announced)
