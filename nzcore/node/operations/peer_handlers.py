"""Handlers of the operations on peers."""

from typing import Any

import trio

from nzcore.base.errors import UnavailableError
from nzcore.base.ids import NodeId
from nzcore.control import peer_ops
from nzcore.control.node_ops import Check
from nzcore.control.operation import Nothing
from nzcore.control.peer_ops import (
    Ended,
    PeerAddArgs,
    PeerArgs,
    PeerCertificate,
    PeerConnectArgs,
    PeerDetails,
    PeerInfo,
    PeerPingArgs,
    PeerRenameArgs,
    Pong,
)
from nzcore.ipc.connection import SendItem
from nzcore.node.ladder import climb
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.node.operations.trusted import while_trusted
from nzcore.node.peers import Peer
from nzcore.proto.identity.card import Card
from nzcore.proto.trust.view import PAIRING


def list_peers(node: Node, args: Nothing, send: SendItem) -> list[PeerInfo]:
    return [PeerInfo(**_facts(node, peer_id, peer)) for peer_id, peer in node.peers.all()]


def show(node: Node, args: PeerArgs, send: SendItem) -> PeerDetails:
    return details(node, node.peers.find(args.peer))


async def add(node: Node, args: PeerAddArgs, send: SendItem) -> PeerDetails:
    card = Card.parse_text(args.card)
    if card.node == node.identity.certificate.node:
        raise UnavailableError("node.own-card")
    scopes = PAIRING if args.scopes is None else args.scopes
    await node.peers.add(card.certificate, card.addresses, scopes=scopes, petname=args.name or "")
    node.bus.emit("peer.added", card.node.text)
    node.channels.keep(card.node)
    node.channels.nudge(card.node)
    return details(node, card.node)


async def connect(node: Node, args: PeerConnectArgs, send: SendItem) -> PeerDetails:
    peer_id = node.peers.find(args.peer)
    node.channels.resume(peer_id)
    await node.channels.connect(peer_id, timeout_s=args.timeout_s)
    return details(node, peer_id)


def disconnect(node: Node, args: PeerArgs, send: SendItem) -> Ended:
    peer_id = node.peers.find(args.peer)
    return ended(node, peer_id, was_connected=node.channels.disconnect(peer_id))


async def rename(node: Node, args: PeerRenameArgs, send: SendItem) -> PeerDetails:
    peer_id = node.peers.find(args.peer)
    await node.peers.rename(peer_id, args.name)
    return details(node, peer_id)


async def remove(node: Node, args: PeerArgs, send: SendItem) -> Ended:
    """Trust ends first: that closes the channel, by the view's own listener."""
    peer_id = node.peers.find(args.peer)
    result = ended(node, peer_id, was_connected=node.channels.links.get(peer_id) is not None)
    node.channels.release(peer_id)
    await node.peers.remove(peer_id)
    node.bus.emit("peer.removed", peer_id.text)
    return result


async def ping(node: Node, args: PeerPingArgs, send: SendItem) -> Pong:
    peer_id = node.peers.find(args.peer)
    with while_trusted(node, peer_id), trio.move_on_after(args.timeout_s):
        return Pong(rtt_ms=round(await node.channels.ping(peer_id) * 1000, 3))
    raise UnavailableError("net.too-slow", f"{args.peer} did not answer within {args.timeout_s:g} s")


async def doctor(node: Node, args: PeerArgs, send: SendItem) -> list[Check]:
    return await climb(node, args.peer)


def certificate(node: Node, args: PeerArgs, send: SendItem) -> PeerCertificate:
    peer_id = node.peers.find(args.peer)
    known, peer = node.peers.certificate(peer_id), node.peers.get(peer_id)
    assert known is not None
    assert peer is not None
    return PeerCertificate(node=peer_id.text, name=peer.petname, certificate=known.text)


def details(node: Node, peer_id: NodeId) -> PeerDetails:
    """Everything about one peer that the book finds. *Raises* UsageError `node.unknown-peer` where it was removed."""
    peer, known, link = node.peers.get(peer_id), node.peers.certificate(peer_id), node.channels.links.get(peer_id)
    if peer is None or known is None:
        raise UnavailableError("node.unknown-peer", node=peer_id)
    return PeerDetails(
        **_facts(node, peer_id, peer),
        suggested_name=known.name,
        epoch=known.epoch,
        added_at=peer.added_at,
        how=peer.how,
        direction=link.direction if link else None,
        version=link.version if link else None,
    )


def ended(node: Node, peer_id: NodeId, *, was_connected: bool) -> Ended:
    peer = node.peers.get(peer_id)
    return Ended(node=peer_id.text, name=peer.petname if peer else "", was_connected=was_connected)


def _facts(node: Node, peer_id: NodeId, peer: Peer) -> dict[str, Any]:
    link = node.channels.links.get(peer_id)
    rtt = link.link.statistics().rtt_s if link else None
    return {
        "node": peer_id.text,
        "identity": node.peers.identity(peer_id).text,
        "name": peer.petname,
        "connected": link is not None,
        "addresses": [address.text for address in peer.best_addresses],
        "rtt_ms": None if rtt is None else round(rtt * 1000, 3),
        "scopes": list(peer.scopes),
    }


HANDLERS: dict[str, Handler] = {
    peer_ops.LIST.name: list_peers,
    peer_ops.SHOW.name: show,
    peer_ops.ADD.name: add,
    peer_ops.CONNECT.name: connect,
    peer_ops.DISCONNECT.name: disconnect,
    peer_ops.RENAME.name: rename,
    peer_ops.REMOVE.name: remove,
    peer_ops.PING.name: ping,
    peer_ops.DOCTOR.name: doctor,
    peer_ops.CERTIFICATE.name: certificate,
}
