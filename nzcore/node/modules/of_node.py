"""The modules of a node: which of its parts their contexts are made from."""

from collections.abc import Callable

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.kernel import Bus, Supervisor
from nzcore.module import Peer
from nzcore.net.manager import ChannelManager
from nzcore.node.home import Home
from nzcore.node.identity import LocalIdentity
from nzcore.node.modules.beginnings import Beginnings
from nzcore.node.modules.registry import Modules
from nzcore.node.modules.surroundings import MessageFabric, Surroundings
from nzcore.node.peers import PeerBook
from nzcore.store.kv import KV

SIGNATURE = "NZ-MODULE-01 signature"


def modules_of(
    home: Home,
    identity: LocalIdentity,
    peers: PeerBook,
    channels: ChannelManager,
    bus: Bus,
    fabric: MessageFabric,
    *,
    kv: Callable[[], KV],
    clock: Callable[[], float],
    supervisor: Callable[[], Supervisor],
) -> Modules:
    """The modules of the node that these are parts of. `clock` gives seconds since 1970."""

    def known() -> list[Peer]:
        return [Peer(node, peer.petname, channels.links.get(node) is not None) for node, peer in peers.all()]

    notary = _Notary(identity, peers)
    parts = Surroundings(
        bus=bus,
        kv=kv,
        channels=channels,
        fabric=fabric,
        dispatch=lambda: modules.dispatch,
        own=identity.certificate.node,
        clock=clock,
        peers=known,
        sign=notary.sign,
        verify=notary.verify,
        files=home.module_files,
        offload=lambda: modules.offload,
        beginnings=Beginnings(home.run),
    )
    modules = Modules(parts, home.modules, supervisor)
    return modules


class _Notary:
    """Signs for modules with the node's key, and verifies what modules of known nodes signed."""

    def __init__(self, identity: LocalIdentity, peers: PeerBook) -> None:
        self._identity = identity
        self._peers = peers

    def sign(self, module: str, data: bytes) -> bytes:
        return self._identity.sign(SIGNATURE, _framed(module), data)

    def verify(self, module: str, author: NodeId, data: bytes, signature: bytes) -> bool:
        own = self._identity.certificate
        certificate = own if author == own.node else self._peers.certificate(author)
        if certificate is None:
            return False
        try:
            self._identity.verify(certificate, signature, SIGNATURE, _framed(module), data)
        except PeerError:
            return False
        return True


def _framed(module: str) -> bytes:
    """A module's name before what it signs: its length first, so that no name is another's beginning."""
    name = module.encode("ascii")
    return bytes([len(name)]) + name
