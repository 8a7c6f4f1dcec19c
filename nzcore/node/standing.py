"""How the node stands with its peers: what it tells them of itself, and what those who refuse it show
(spec/handshake.md §8)."""

from collections.abc import Callable

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.kernel import Bus
from nzcore.net.links import Alarm
from nzcore.node.discovery_keys import DiscoveryKeys
from nzcore.node.identity import LocalIdentity
from nzcore.node.network import advertised
from nzcore.proto.channel.hello import Hello
from nzcore.proto.handshake.verdict import read_evidence
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import MAX_ADDRESSES
from nzcore.proto.identity.certificate import Certificate, Order, compare


class Standing:
    """Asked whenever a channel opens, told whenever one is refused; decides nothing."""

    def __init__(
        self,
        identity: LocalIdentity,
        keys: DiscoveryKeys,
        bus: Bus,
        listening: Callable[[], list[str]],
        clock: Callable[[], float],
    ) -> None:
        """`listening` gives the addresses on which peers can reach the node; `clock` seconds since 1970."""
        self._identity = identity
        self._keys = keys
        self._bus = bus
        self._listening = listening
        self._clock = clock
        self._shown: Certificate | None = None

    def hello(self) -> Hello:
        """What a peer hears first: the time here, where to find the node, and how to recognise it nearby."""
        reachable = advertised(map(Address.parse, self._listening()))
        return Hello(
            time=int(self._clock()),
            addresses=tuple(one.text for one in reachable[:MAX_ADDRESSES]),
            dk=self._keys.greeting,
        )

    def refused(self, node: NodeId, code: str, detail: bytes) -> None:
        """A peer refuses this node and shows a certificate of it that we do not have."""
        try:
            self._shown = read_evidence(self._identity.certificate, detail)
        except PeerError as error:
            code = error.code
        self._bus.emit("peer.alarm", Alarm(node, code))

    @property
    def problems(self) -> tuple[str, ...]:
        """Says so while peers have another certificate of this node than it has itself."""
        shown = self._shown
        if shown is None or compare(self._identity.certificate, shown) not in (Order.NEWER, Order.FORKED):
            return ()
        what = "retired" if shown.final else f"given other keys (epoch {shown.epoch})"
        return (f"this node was {what} elsewhere, and its peers refuse it; see `nzcore explain handshake.older-epoch`",)
