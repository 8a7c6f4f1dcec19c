"""Dialling a peer: its addresses race, the first that leads to the very node wins (RFC 8305 in spirit).

A dead address costs `STAGGER_S`, not its whole time-out; what worked last is tried first.
"""

from collections.abc import Awaitable, Callable

import trio

from nzcore.base.errors import NzError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.net.meeting import Met
from nzcore.net.wire import Wire
from nzcore.proto.identity.address import Address

STAGGER_S = 0.25
"""Seconds after which the next address is tried beside those under way."""

ADDRESS_S = 12.0
"""Seconds for one address, connection and handshake together."""

MAX_RACERS = 8
"""Addresses of one peer tried in one go."""

Attempt = Callable[[Address], Awaitable[tuple[Wire, Met]]]
"""Connects to one address and shakes hands. *Raises* NzError."""

Note = Callable[[Address, bool], None]
"""Told of each address that was decided: whether it worked."""


class DialFailed(UnavailableError):
    """No address led to the peer; `facts["attempts"]` maps each to what went wrong."""


async def race(node: NodeId | None, addresses: tuple[Address, ...], attempt: Attempt, note: Note) -> tuple[Wire, Met]:
    """The first wire on which a handshake with `node` succeeded; the other attempts are cancelled.

    *Raises* DialFailed `net.no-address`, or with the code of the attempt that came furthest.
    """
    if not addresses:
        raise DialFailed("net.no-address", node=node)
    dial = _Race(attempt, note)
    try:
        async with trio.open_nursery() as nursery:
            for address in addresses[:MAX_RACERS]:
                failed = trio.Event()
                nursery.start_soon(dial.run, address, failed, nursery.cancel_scope)
                with trio.move_on_after(STAGGER_S):
                    await failed.wait()
    except BaseException:
        dial.give_up()
        raise
    if dial.won is not None:
        return dial.won
    raise dial.failure(node)


class _Race:
    def __init__(self, attempt: Attempt, note: Note) -> None:
        self.won: tuple[Wire, Met] | None = None
        self._attempt = attempt
        self._note = note
        self._errors: dict[Address, NzError] = {}

    async def run(self, address: Address, failed: trio.Event, scope: trio.CancelScope) -> None:
        try:
            with trio.fail_after(ADDRESS_S):
                won = await self._attempt(address)
        except (NzError, trio.TooSlowError) as error:
            self._errors[address] = (
                error if isinstance(error, NzError) else UnavailableError("net.too-slow", f"{address.text} is silent")
            )
            self._note(address, False)
            failed.set()
            return
        if self.won is not None:  # two arrived in the same tick
            won[0].close(abort=True)
            return
        self.won = won
        self._note(address, True)
        scope.cancel()

    def give_up(self) -> None:
        """Cancelled: also a wire that had won by then is nobody's."""
        if self.won is not None:
            self.won[0].close(abort=True)

    def failure(self, node: NodeId | None) -> DialFailed:
        """The error of whoever came furthest: a handshake that failed tells more than a silent address."""
        attempts = {address.text: error.message for address, error in self._errors.items()}
        told = [error for error in self._errors.values() if not error.code.startswith("net.")]
        first = (told or list(self._errors.values()))[0]
        return DialFailed(first.code, first.message, hint=first.hint, node=node, attempts=attempts)
