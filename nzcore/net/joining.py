"""Dialling: a wire and a handshake through one of the three doors, and joining through those for strangers."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from nzcore.base.errors import NzError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.kernel import Bus, Deadlines
from nzcore.net.dialler import race
from nzcore.net.guest import Guest
from nzcore.net.link import Flusher
from nzcore.net.links import Links, OpenLink
from nzcore.net.local import Local
from nzcore.net.meeting import Met, meet
from nzcore.net.transport import Transport
from nzcore.net.wire import Spawn, Wire
from nzcore.proto.handshake.machine import HANDSHAKE_S, Initiator
from nzcore.proto.handshake.preface import Mode
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate


class Knock(NamedTuple):
    """At which door, and what is shown there."""

    target: NodeId | None
    mode: Mode = Mode.KNOWN
    ticket_secret: bytes | None = None
    instance: bytes | None = None


class Joined(NamedTuple):
    """The other side has let us in: the link, the node's certificate, and the address that worked."""

    link: OpenLink
    certificate: Certificate
    address: Address | None


class Joining:
    """The dialling half of a channel manager."""

    def __init__(
        self,
        local: Local,
        transport: Transport,
        spawn: Spawn,
        links: Links,
        bus: Bus,
        flusher: Flusher,
        deadlines: Deadlines,
        greeted: Callable[[OpenLink | None, NodeId], Awaitable[OpenLink]],
    ) -> None:
        """`greeted` waits until the other side has let us in."""
        self._local = local
        self._transport = transport
        self._spawn = spawn
        self._links = links
        self._bus = bus
        self._flusher = flusher
        self._deadlines = deadlines
        self._greeted = greeted

    async def knock(self, door: Knock, address: Address) -> tuple[Wire, Met]:
        """One address, connection and handshake; the wire is then the caller's. *Raises* NzError."""
        if not self._deadlines.are_kept:  # before a ticket is shown that nobody could redeem
            raise UnavailableError("net.not-running")
        wire = await self._transport.dial(address, self._spawn)
        try:
            local = self._local
            initiator = Initiator(local.keys(), local.boot, local.introduction, local.directory, **door._asdict())
            return wire, await meet(wire, initiator, self._deadlines, first_s=HANDSHAKE_S)
        except BaseException:
            wire.close(abort=True)
            raise

    async def join(self, target: NodeId, addresses: tuple[Address, ...], ticket_secret: bytes) -> Joined:
        """Redeems a ticket at the node that gave it; when this returns, that node has written us as its peer.

        Trust in `target` is the caller's to give before, else it is refused what it opens at once.
        *Raises* DialFailed with the refusal's code, or that of the attempt that came furthest.
        """
        worked: list[Address] = []
        wire, met = await race(
            target,
            addresses,
            partial(self.knock, Knock(target, Mode.TICKET, ticket_secret)),
            lambda address, did: worked.append(address) if did else None,
        )
        one = await self._greeted(await self._links.adopt(wire, met), target)
        return Joined(one, met.established.certificate, worked[0] if worked else None)

    async def visit(self, instance: bytes, addresses: tuple[Address, ...], protocol: str) -> Guest:
        """Goes in through the pairing window `instance`, where only `protocol` is spoken. The caller closes it.

        *Raises* DialFailed.
        """
        door = Knock(None, Mode.WINDOW, instance=instance)
        wire, met = await race(None, addresses, partial(self.knock, door), lambda address, did: None)
        return self.guest(wire, met, protocol)

    def guest(self, wire: Wire, met: Met, protocol: str) -> Guest:
        """Takes a wire of a mode 2 handshake over. *Raises* NzError, and has closed the wire then."""
        try:
            return Guest(wire, met, self._local, self._bus, self._flusher, protocol)
        except NzError:
            wire.close(abort=True)
            raise
