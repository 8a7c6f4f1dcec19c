"""The modules of a node: which of its parts their contexts are made from."""

from typing import TYPE_CHECKING

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.ipc.connection import Dispatch
from nzcore.module import Peer
from nzcore.node.modules.registry import Modules
from nzcore.node.modules.surroundings import Surroundings

if TYPE_CHECKING:
    from nzcore.node.node import Node

SIGNATURE = "NZ-MODULE-01 signature"


def modules_of(node: "Node") -> Modules:
    """Made with the node; finds its other parts when they are needed, because some are made later, some anew."""

    def dispatch() -> Dispatch:
        from nzcore.node.dispatch import Dispatcher  # it stands on the node, so it can only be had afterwards

        return Dispatcher(node)

    def peers() -> list[Peer]:
        return [
            Peer(peer_id, peer.petname, node.channels.links.get(peer_id) is not None)
            for peer_id, peer in node.peers.all()
        ]

    def sign(module: str, data: bytes) -> bytes:
        return node.identity.sign(SIGNATURE, _framed(module), data)

    def verify(module: str, author: NodeId, data: bytes, signature: bytes) -> bool:
        own = node.identity.certificate
        certificate = own if author == own.node else node.peers.certificate(author)
        if certificate is None:
            return False
        try:
            node.identity.verify(certificate, signature, SIGNATURE, _framed(module), data)
        except PeerError:
            return False
        return True

    parts = Surroundings(
        bus=node.bus,
        kv=lambda: node.kv(),
        channels=node.channels,
        fabric=lambda: node.fabric,
        dispatch=dispatch,
        own=lambda: node.identity.certificate.node,
        clock=node.wall_clock,
        peers=peers,
        sign=sign,
        verify=verify,
        files=node.home.module_files,
        offload=lambda: modules.offload,
    )
    modules = Modules(parts, node.home.modules, lambda: node.supervisor)
    return modules


def _framed(module: str) -> bytes:
    """A module's name before what it signs: its length first, so that no name is another's beginning."""
    name = module.encode("ascii")
    return bytes([len(name)]) + name
