"""What handshakes ask of a node: whom it knows, who is retired, which doors are open."""

from collections.abc import Callable

from nzcore.base.ids import IdentityId, NodeId
from nzcore.node.peers import PeerBook
from nzcore.proto.identity.certificate import Certificate

FindTicket = Callable[[bytes], bytes | None]


class NodeDirectory:
    """Answers at once, from memory: a `handshake.Directory`."""

    def __init__(self, book: PeerBook, network_secret: bytes | None) -> None:
        """`network_secret`: 32 bytes that all nodes of a closed network share, or None."""
        self.network_secret = network_secret
        self.window: bytes | None = None
        """The mDNS instance announced while a pairing window is open."""
        self.tickets: FindTicket = lambda tid: None
        """The secret of a ticket that this node gave; whoever gives tickets puts its own in this place."""
        self._book = book

    def ticket_secret(self, tid: bytes) -> bytes | None:
        return self.tickets(tid)

    def highest(self, node: NodeId) -> Certificate | None:
        return self._book.certificate(node)

    def retired(self, node: NodeId, identity: IdentityId) -> bool:
        held = self._book.certificate(node)
        return held is not None and held.final
