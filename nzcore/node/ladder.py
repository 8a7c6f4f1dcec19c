"""Why a peer is not connected: name, address, TCP, handshake, trust, scope, up to the step that fails."""

import trio

from nzcore.base.errors import NzError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.control.node_ops import Check
from nzcore.node.node import Node
from nzcore.proto.identity.address import Address

STEP_S = 5.0
"""Seconds that one address or the handshake may take here: a person is waiting."""


async def climb(node: Node, name: str) -> list[Check]:
    """The checks in order; the last one is the culprit where it is not ok."""
    checks: list[Check] = []
    try:
        peer_id = node.peers.find(name)
        checks.append(_ok("name", peer_id.text))
        checks.append(_ok("address", _addresses(node, peer_id)))
        checks.append(_ok("tcp", await _tcp(node, peer_id)))
        checks.append(_ok("handshake", await _handshake(node, peer_id)))
        checks.append(_ok("trust", _trust(node, peer_id)))
        checks.append(_ok("scope", _scope(node, peer_id)))
    except NzError as error:
        step = ("name", "address", "tcp", "handshake", "trust", "scope")[len(checks)]
        checks.append(Check(check=step, ok=False, detail=error.message, hint=error.hint))
    return checks


def _ok(step: str, detail: str) -> Check:
    return Check(check=step, ok=True, detail=detail)


def _addresses(node: Node, peer_id: NodeId) -> str:
    known = node.peers.addresses(peer_id)
    if known:
        return ", ".join(address.text for address in known)
    if node.channels.links.get(peer_id) is not None:
        return "none known, but it has dialled this node"
    raise UnavailableError("net.no-address")


async def _tcp(node: Node, peer_id: NodeId) -> str:
    """Whether anything answers at any of the addresses; the wire is closed at once."""
    link = node.channels.links.get(peer_id)
    if link is not None:
        return f"connected with {link.link.remote}"
    failures: list[str] = []
    for address in node.peers.addresses(peer_id):
        try:
            await _knock(node, address)
        except NzError as error:
            failures.append(error.message)
        else:
            return f"something answers at {address.text}"
    raise UnavailableError("net.unreachable", "; ".join(failures))


async def _knock(node: Node, address: Address) -> None:
    """*Raises* UnavailableError of the dial, or `net.too-slow`; outside the nursery, which would wrap it in a group."""
    failure: NzError = UnavailableError("net.too-slow", f"{address.text} is silent")
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(STEP_S):
            try:
                wire = await node.transport.dial(address, nursery.start_soon)
            except NzError as error:
                failure = error
            else:
                wire.close(abort=True)
                return
    raise failure


async def _handshake(node: Node, peer_id: NodeId) -> str:
    if not node.trust.allows(peer_id, Scope.CONNECT):
        return "not tried, because of the next step"
    one = node.channels.links.get(peer_id) or await node.channels.connect(peer_id, timeout_s=2 * STEP_S)
    return f"channel open for {trio.current_time() - one.since:.0f} s, version {one.version}"


def _trust(node: Node, peer_id: NodeId) -> str:
    if not node.trust.allows(peer_id, Scope.CONNECT):
        raise UnavailableError("node.no-trust")
    return "both sides let each other connect"


def _scope(node: Node, peer_id: NodeId) -> str:
    return f"it may {', '.join(sorted(node.trust.scopes(peer_id)))} here"
