"""`ModuleContext` as the node makes it: every way out of a module passes one check of its grants (spec/module.md §3).

A module that floods waits: what it says to the bus is metered, what it asks of others is counted.
"""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.codec.types import builtins
from nzcore.control.verdict import Principal
from nzcore.kernel import Subscription
from nzcore.module import Change, Entry, Event, Message, Overflow, Peer, Stream
from nzcore.node.modules.capability import Grants
from nzcore.node.modules.private_files import PrivateFiles
from nzcore.node.modules.surroundings import Surroundings
from nzcore.node.plain import plain

EVENTS_PER_S = 200.0
BURST = 1000
"""Events of one module that are told at once, and a second from then on: the journal writes each."""

CALLS_AT_ONCE = 64
"""Calls of one module under way at once, and calls to it."""

MIN_PAUSE_S = 0.01


class Meter:
    """So many at once, then so many a second; who is too fast waits."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._left, self._at = float(burst), -math.inf

    async def take(self) -> None:
        """Returns when one more is due; always a checkpoint."""
        now = trio.current_time()
        if self._at > -math.inf:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= 1.0
        if self._left < 0:
            await trio.sleep(-self._left / self._rate)
        else:
            await trio.lowlevel.checkpoint()


class Namespace:
    """A module's own part of the store."""

    def __init__(self, parts: Surroundings, namespace: str) -> None:
        self._parts = parts
        self._namespace = namespace

    async def get(self, name: str) -> Entry | None:
        entry = await self._parts.kv().get(self._namespace, name)
        return None if entry is None else Entry(entry.value, entry.version)

    async def put(self, name: str, value: bytes, *, expect: int | None = None) -> int:
        return await self._parts.kv().put(self._namespace, name, value, expect=expect)

    async def delete(self, name: str, *, expect: int | None = None) -> None:
        await self._parts.kv().delete(self._namespace, name, expect=expect)

    async def list(self, prefix: str = "") -> Sequence[str]:
        return await self._parts.kv().list(self._namespace, prefix)

    @asynccontextmanager
    async def watch(self, prefix: str = "") -> AsyncIterator[AsyncIterator[Change]]:
        async with self._parts.kv().watch(self._namespace, prefix, overflow="drop_oldest") as changes:
            yield (Change(*change) async for change in changes)


class FabricAccess:
    """The fabric, for topics and operations that were granted."""

    def __init__(self, parts: Surroundings, grants: Grants) -> None:
        self._parts = parts
        self._grants = grants
        self._calls = trio.CapacityLimiter(CALLS_AT_ONCE)

    async def publish(self, topic: str, body: object) -> None:
        self._grants.require("fabric", topic)
        await self._parts.fabric.publish(topic, builtins(body))

    @asynccontextmanager
    async def subscribe(self, pattern: str) -> AsyncIterator[AsyncIterator[Message]]:
        self._grants.require("fabric", pattern)
        async with self._parts.fabric.subscribe(pattern) as arriving:
            yield (Message(one.topic, one.body, one.origin, one.at) async for one in arriving)

    async def request(
        self, node: NodeId, operation: str, body: object, *, deadline_s: float = 20.0, key: str | None = None
    ) -> Any:
        self._grants.require("fabric", operation)
        async with self._calls:
            return await self._parts.fabric.request(node, operation, builtins(body), deadline_s=deadline_s, key=key)

    async def deliver(self, node: NodeId, topic: str, body: object) -> str:
        self._grants.require("fabric", topic)
        return await self._parts.fabric.deliver(node, topic, builtins(body))


class Context:
    """One module's `ModuleContext`; lives through its restarts."""

    def __init__(self, name: str, grants: Grants, parts: Surroundings) -> None:
        self._name = name
        self._grants = grants
        self._parts = parts
        self._meter = Meter(BURST, EVENTS_PER_S)
        self._calls = trio.CapacityLimiter(CALLS_AT_ONCE)
        self._fabric = FabricAccess(parts, grants)

    def __repr__(self) -> str:
        return f"<context of {self._name}>"

    @property
    def name(self) -> str:
        return self._name

    @property
    def node(self) -> NodeId:
        return self._parts.own

    def now(self) -> float:
        return self._parts.clock()

    def kv(self, namespace: str) -> Namespace:
        self._grants.require("kv", namespace)
        return Namespace(self._parts, store_namespace(self._name, namespace))

    async def publish(self, topic: str, value: object = None) -> None:
        self._grants.require("bus:publish", topic)
        await self._meter.take()
        await self._parts.bus.publish(topic, value)

    @asynccontextmanager
    async def subscribe(
        self, pattern: str, *, capacity: int = 1024, overflow: Overflow = "drop_oldest"
    ) -> AsyncIterator[AsyncIterator[Event]]:
        self._grants.require("bus:subscribe", pattern)
        subscription = self._parts.bus.subscribe(
            pattern, capacity=capacity, overflow=overflow, name=f"module {self._name}"
        )
        async with subscription as arriving:
            yield _plain_events(arriving)

    async def open_stream(self, node: NodeId, protocol: str) -> Stream:
        self._grants.require("stream", protocol)
        return await self._parts.channels.open_stream(node, protocol)

    @property
    def fabric(self) -> FabricAccess:
        if not any(one.kind == "fabric" for one in self._grants.capabilities):
            self._grants.require("fabric", f"{self._name}.**")
        return self._fabric

    async def call(self, operation: str, **arguments: object) -> Any:
        principal = Principal("module", self._name, grants=self._grants.calls)
        async with self._calls:
            outcome = self._parts.dispatch()(principal, operation, builtins(arguments), _refuse_items)
            return builtins(await outcome if hasattr(outcome, "__await__") else outcome)

    @property
    def files(self) -> PrivateFiles:
        self._grants.require("files")
        return PrivateFiles(self._parts.files / self._name, self._parts.offload())

    def peers(self) -> Sequence[Peer]:
        self._grants.require("peers")
        return self._parts.peers()

    async def sleep(self, seconds: float) -> None:
        self._grants.require("timer")
        await trio.sleep(seconds)

    async def every(self, seconds: float) -> AsyncGenerator[None, None]:
        self._grants.require("timer")
        if not seconds >= MIN_PAUSE_S:
            raise UsageError("module.bad-handler", f"every {seconds} s is too often: {MIN_PAUSE_S} s at least")
        due = trio.current_time()
        while True:
            due = max(due + seconds, trio.current_time())
            await trio.sleep_until(due)
            yield

    def sign(self, data: bytes) -> bytes:
        self._grants.require("sign")
        return self._parts.sign(self._name, data)

    def verify(self, node: NodeId, data: bytes, signature: bytes) -> bool:
        self._grants.require("sign")
        return self._parts.verify(self._name, node, data, signature)


def store_namespace(module: str, namespace: str) -> str:
    """Where in the store a module's namespace is; at most 64 bytes."""
    return f"module.{module}:{namespace}"


async def _plain_events(arriving: Subscription) -> AsyncIterator[Event]:
    async for event in arriving:
        yield Event(event.topic, plain(event.value), event.at)


async def _refuse_items(item: object) -> None:
    """Streams are for people and programs outside; a module that wants to follow something subscribes."""
    raise PeerError("module.bad-handler", "a stream can't be called from a module")
