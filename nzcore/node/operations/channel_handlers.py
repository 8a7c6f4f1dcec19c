"""Handlers of the operations on open channels."""

import trio

from nzcore.base.errors import UnavailableError
from nzcore.control import channel_ops
from nzcore.control.channel_ops import ChannelInfo
from nzcore.control.operation import Nothing
from nzcore.control.peer_ops import Ended, PeerArgs
from nzcore.ipc.connection import SendItem
from nzcore.net.links import OpenLink
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.node.operations.peer_handlers import ended


def list_channels(node: Node, args: Nothing, send: SendItem) -> list[ChannelInfo]:
    return [shown(node, one) for one in node.channels.links]


def rekey(node: Node, args: PeerArgs, send: SendItem) -> ChannelInfo:
    one = _open(node, args.peer)
    one.link.rekey()
    return shown(node, one)


def close(node: Node, args: PeerArgs, send: SendItem) -> Ended:
    one = _open(node, args.peer)
    one.link.close()
    return ended(node, one.link.peer, was_connected=True)


def shown(node: Node, one: OpenLink) -> ChannelInfo:
    figures, peer = one.link.statistics(), node.peers.get(one.link.peer)
    return ChannelInfo(
        peer=peer.petname if peer else one.link.peer.text,
        direction="out" if one.initiator else "in",
        address=one.link.remote,
        age_s=round(trio.current_time() - one.since, 3),
        streams=figures.streams,
        rekeys=figures.rekeys,
        bytes_in=figures.bytes_in,
        bytes_out=figures.bytes_out,
    )


def _open(node: Node, name: str) -> OpenLink:
    """*Raises* UsageError `node.unknown-peer` and the like; UnavailableError `net.not-connected`."""
    one = node.channels.links.get(node.peers.find(name))
    if one is None:
        raise UnavailableError("net.not-connected", f"there is no channel to {name}")
    return one


HANDLERS: dict[str, Handler] = {
    channel_ops.LIST.name: list_channels,
    channel_ops.REKEY.name: rekey,
    channel_ops.CLOSE.name: close,
}
