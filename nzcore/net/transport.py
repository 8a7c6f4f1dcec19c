"""How wires come to be: dialled or accepted. TCP in a node, memory in tests; a circuit later."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from nzcore.net.wire import Spawn, Wire
from nzcore.proto.identity.address import Address

OnWire = Callable[[Wire, str], None]
"""Called with each accepted wire and the host at its other end; takes the wire over, does not wait."""


class Listener(Protocol):
    """Something that accepts until it is closed."""

    @property
    def address(self) -> Address:
        """Where it listens, with the real port."""

    async def accept(self, on_wire: OnWire) -> None:
        """Accepts until cancelled or closed. *Raises* UnavailableError `net.listener-failed`."""

    def close(self) -> None:
        """Accepts no more; wires that were accepted live on. Idempotent."""


class Transport(Protocol):
    """Makes wires. `spawn` starts whatever tasks they need, in the caller's nursery."""

    def dial(self, address: Address, spawn: Spawn) -> Awaitable[Wire]:
        """A wire to `address`; the caller bounds the time. *Raises* UnavailableError `net.unreachable`."""

    def listen(self, address: Address, spawn: Spawn) -> Listener:
        """Listens at once. *Raises* UnavailableError `net.cannot-listen`."""
