"""What the channel manager must know of peers; the node keeps it, because it is a matter of the store and of trust."""

from typing import Protocol

from nzcore.base.ids import NodeId
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate


class Book(Protocol):
    """Looked up at once; what is noted is written by whoever keeps the book, in its own time."""

    def addresses(self, node: NodeId) -> tuple[Address, ...]:
        """What to dial for a node, the most promising first."""

    def note_dial(self, node: NodeId, address: Address, *, worked: bool) -> None:
        """How dialling an address went."""

    def learn(self, certificate: Certificate) -> None:
        """A verified certificate of a node; to be kept where the node is known and this one newer."""
