"""Handlers of the operations on what is seen on the local network."""

from typing import Any

import trio

from nzcore.base.errors import UnavailableError
from nzcore.control import discovery_ops
from nzcore.control.discovery_ops import DiscoverArgs, Nearby, Sighting
from nzcore.control.operation import Nothing
from nzcore.ipc.connection import SendItem
from nzcore.node.discovery import DiscoveryService
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.proto.discovery.register import Seen


async def discover(node: Node, args: DiscoverArgs, send: SendItem) -> list[Nearby]:
    """Peers first, then windows, then strangers; each kind by name."""
    service = _service(node)
    await service.wait_settled(args.listen_s)
    found = [Nearby(**_facts(node, seen)) for seen in service.register]
    return sorted(found, key=lambda one: (not one.known, not one.pairing, one.name or one.instance))


async def sightings(node: Node, args: Nothing, send: SendItem) -> None:
    """Compares what is seen with what was sent, so that a flood of changes costs no queue."""
    service = _service(node)
    sent: dict[str, tuple[Seen, bool]] = {}
    while True:
        now = {seen.instance: (seen, _is_connected(node, seen)) for seen in service.register}
        for instance, (seen, _) in [*sent.items()]:
            if instance not in now:
                del sent[instance]
                await send(Sighting(**_facts(node, seen), gone=True))
        for instance, state in now.items():
            if sent.get(instance) != state:
                sent[instance] = state
                await send(Sighting(**_facts(node, state[0]), gone=False))
        await _either_changes(node, service)


def _service(node: Node) -> DiscoveryService:
    if node.discovery is None:
        raise UnavailableError("discovery.off")
    return node.discovery


def _is_connected(node: Node, seen: Seen) -> bool:
    return seen.node is not None and node.channels.links.get(seen.node) is not None


def _facts(node: Node, seen: Seen) -> dict[str, Any]:
    peer = None if seen.node is None else node.peers.get(seen.node)
    return {
        "instance": seen.instance,
        "name": peer.petname if peer else None,
        "node": seen.node.text if seen.node is not None and peer else None,
        "addresses": [address.text for address in seen.sighting.addresses],
        "known": peer is not None,
        "pairing": seen.sighting.pseudonym is None,
        "connected": _is_connected(node, seen),
        "first_seen_s": round(trio.current_time() - seen.first, 3),
    }


async def _either_changes(node: Node, service: DiscoveryService) -> None:
    async with trio.open_nursery() as nursery:

        async def links() -> None:
            await node.channels.links.wait_change()
            nursery.cancel_scope.cancel()

        nursery.start_soon(links)
        await service.wait_change()
        nursery.cancel_scope.cancel()


HANDLERS: dict[str, Handler] = {
    discovery_ops.DISCOVER.name: discover,
    discovery_ops.SIGHTINGS.name: sightings,
}
