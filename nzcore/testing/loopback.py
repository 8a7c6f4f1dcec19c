"""Whole nodes of one process over real TCP on the loopback interface: a `World` with real sockets and real time.

For what a memory network can't show: the system's sockets, their buffers and descriptors. Everything else is as in
`World`; waiting is by events, because here time is real.
"""

import trio

from nzcore.net.tcp import TcpTransport
from nzcore.proto.identity.address import Address
from nzcore.testing.world import World, WorldNode


class LoopbackWorld(World):
    """Nodes at 127.0.0.1, each at a port of its own. Partitions and silent crashes are not to be had here."""

    def transport(self, host: str) -> TcpTransport:
        return TcpTransport()

    def place(self, number: int) -> Address:
        return Address("127.0.0.1", 0)

    async def introduce(self, one: WorldNode, other: WorldNode) -> None:
        """Each knows the other with its address, as by cards; cards themselves leave loopback addresses out."""
        for knower, known in ((one, other), (other, one)):
            addresses = tuple(Address.parse(text) for text in known.node.listening())
            await knower.node.peers.add(known.identity.certificate, addresses, petname=known.name)
            knower.node.channels.keep(known.id)

    async def until_connected(self, *pairs: tuple[WorldNode, WorldNode], within_s: float = 20.0) -> float:
        """Waits until each pair has a channel that was greeted at both ends."""
        began = trio.current_time()
        with trio.fail_after(within_s):
            for one, other in pairs:
                for near, far in ((one, other), (other, one)):
                    while not near.is_connected(far):
                        link = near.node.channels.links.get(far.id)
                        await (link.link.greeted.wait() if link else near.node.channels.links.wait_change())
                        await trio.lowlevel.checkpoint()
        return trio.current_time() - began
