"""The pairing window: one attempt to pair by phrase, from opening to both peers written (spec/pairing.md).

Knows no discovery: whoever finds nodes on the local network is a `Finder`, put in place by the node.
"""

from base64 import b32encode
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

import trio

from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.base.groups import leaves
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.crypto.random import random_bytes
from nzcore.net.guest import Guest
from nzcore.net.manager import ChannelManager
from nzcore.net.stream import Stream, StreamLost
from nzcore.node.directory import NodeDirectory
from nzcore.node.peers import Peer, PeerBook
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.names import unique_petname
from nzcore.proto.pairing.phrase import PROTOCOL, Event, Phrase

INSTANCE_BYTES = 63
"""Longest instance: a label of DNS."""

WRITTEN_S = 10.0
"""Seconds that we wait to hear that the other node has written us too; without it, we are done all the same."""

_READ = 64
_UNSEEING = (
    "give --address HOST:PORT as the other side shows it; or switch discovery on: `nzcore config set net.mdns true` "
    "and a restart without --no-mdns, or `nzcore service start discovery` where only that was stopped"
)


class Found(NamedTuple):
    """Another node's open window."""

    instance: bytes
    addresses: tuple[Address, ...]


class Finder(Protocol):
    """Shows this node's window to the local network, and finds others'."""

    def announce(self, instance: bytes) -> None:
        """Shows the window until `withdraw`."""

    def withdraw(self) -> None:
        """Shows it no more. Harmless when repeated."""

    async def find(self, name: str) -> Found:
        """Waits until a window of this name is seen; cancelled when the caller's window closes.

        `name` is an instance, or its part before the last hyphen. *Raises* UnavailableError `pair.not-found` or
        `discovery.off` where nothing can be found at all.
        """


class NoFinder:
    """For nodes that see nobody: windows are dialled by address."""

    def announce(self, instance: bytes) -> None:
        """Nobody hears it."""

    def withdraw(self) -> None:
        """There is nothing to withdraw."""

    async def find(self, name: str) -> Found:
        raise UnavailableError("discovery.off", hint=_UNSEEING)


class Words(NamedTuple):
    """What the owner is shown to compare."""

    words: tuple[str, ...]
    node: NodeId
    name: str
    """What the other node calls itself, made harmless."""


class Window:
    """At most one open window, at most one attempt in it."""

    def __init__(self, directory: NodeDirectory, channels: ChannelManager, book: PeerBook) -> None:
        self.finder: Finder = NoFinder()
        self._directory = directory
        self._channels = channels
        self._book = book
        self._is_open = False
        self._send_guest, self._guests = trio.open_memory_channel[Guest](1)
        self._decision: trio.MemorySendChannel[bool] | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody may still come in."""
        return self._directory.window is not None

    # What handshakes ask.

    def take(self) -> str:
        """The window's one attempt begins: "" or the code of the refusal."""
        if not self.is_open:
            return "pair.window-used"
        self._shut()
        return ""

    def host(self, guest: Guest) -> None:
        """A stranger came through the window."""
        try:
            self._send_guest.send_nowait(guest)
        except (trio.WouldBlock, trio.BrokenResourceError):
            guest.close("pair.window-used")

    # What the owner asks.

    def confirm(self, accept: bool) -> None:
        """The owner's answer to the words. *Raises* UsageError `pair.no-window`, `pair.out-of-turn`."""
        if not self._is_open:
            raise UsageError("pair.no-window")
        if self._decision is None:
            raise UsageError("pair.out-of-turn")
        decision, self._decision = self._decision, None
        decision.send_nowait(accept)

    async def pair(
        self,
        own_name: str,
        *,
        name: str,
        addresses: tuple[Address, ...],
        window_s: float,
        scopes: Iterable[Scope],
        petname: str,
        opened: Callable[[str], Awaitable[None]],
        words: Callable[[Words], Awaitable[None]],
    ) -> tuple[NodeId, Peer]:
        """One window, one attempt, from the opening to the new peer.

        `name`: whom to meet; empty to wait for whoever comes. `addresses`: where to dial it. `opened` is told the
        instance, `words` what to compare; then `confirm` decides.
        *Raises* UsageError `pair.busy`; UnavailableError `pair.timed-out`, `pair.not-found`, `discovery.off`,
        DialFailed; PeerError `pair.denied`, `pair.*`. Cancelled, it tells the other side.
        """
        if self._is_open:
            raise UsageError("pair.busy")
        if name and not addresses and isinstance(self.finder, NoFinder):  # before a window opens that leads nowhere
            raise UnavailableError("discovery.off", hint=_UNSEEING)
        with self._opened(make_instance(own_name)) as instance:
            with trio.move_on_after(window_s):
                await opened(instance.decode())
                guest = await self._meet(instance, name, addresses)
                try:
                    dialled = (Address.parse(guest.remote),) if guest.initiator else ()
                    return await self._converse(guest, words, scopes, petname, dialled)
                finally:
                    guest.close("pair.denied")
            raise UnavailableError("pair.timed-out")

    @contextmanager
    def _opened(self, instance: bytes) -> Iterator[bytes]:
        self._is_open = True
        self._directory.window = instance
        self.finder.announce(instance)
        try:
            yield instance
        finally:
            self._shut()
            self._is_open = False
            self._decision = None
            while self._guests.statistics().current_buffer_used:
                self._guests.receive_nowait().close("pair.timed-out")

    def _shut(self) -> None:
        """Nobody comes in any more; what goes on in the window goes on."""
        self._directory.window = None
        self.finder.withdraw()

    async def _meet(self, own: bytes, name: str, addresses: tuple[Address, ...]) -> Guest:
        """The other node: dialled, or come by itself; the smaller instance dials."""
        if addresses:
            return await self._visit(Found(name.encode(), addresses))
        if not name:
            return await self._guests.receive()
        met: list[Guest | Found] = []
        with _only_error():
            async with trio.open_nursery() as nursery:

                async def arrive() -> None:
                    met.append(await self._guests.receive())
                    nursery.cancel_scope.cancel()

                nursery.start_soon(arrive)
                found = await self.finder.find(name)
                if own < found.instance:
                    met.append(found)
                    nursery.cancel_scope.cancel()
        first = met[0]  # a guest who came in the very tick in which a window was found comes first
        return await self._visit(first) if isinstance(first, Found) else first

    async def _visit(self, found: Found) -> Guest:
        self._shut()  # this is the attempt
        return await self._channels.joining.visit(found.instance, found.addresses, PROTOCOL)

    async def _converse(
        self,
        guest: Guest,
        show: Callable[[Words], Awaitable[None]],
        scopes: Iterable[Scope],
        petname: str,
        addresses: tuple[Address, ...],
    ) -> tuple[NodeId, Peer]:
        with _refusals():
            talk = _Talk(await guest.stream(), Phrase(guest.handshake_hash, initiator=guest.initiator))
            code = "pair.denied"
            try:
                await talk.until(Event.WORDS)
                send, decision = trio.open_memory_channel[bool](1)
                self._decision = send
                await show(Words(talk.machine.words, guest.node, unique_petname(guest.certificate.name, [])))
                await talk.agree(decision)
                peer = await self._book.add(guest.certificate, addresses, scopes=scopes, petname=petname, how="phrase")
                code = ""
                await talk.say_written()
            except PeerError as error:
                code = code and error.code
                raise
            finally:
                talk.end(code)
                guest.close(code or "channel.closed")
        return guest.node, peer


class _Talk:
    """The machine on its stream; events are remembered, as several may come at once."""

    def __init__(self, stream: Stream, machine: Phrase) -> None:
        self.machine = machine
        self._stream = stream
        self._seen: set[Event] = set()

    async def until(self, awaited: Event) -> None:
        """Talks until something has happened. *Raises* StreamLost, PeerError `pair.*`."""
        await self._flush()
        while awaited not in self._seen:
            data = await self._stream.receive_some(_READ)
            if not data:
                raise PeerError("pair.denied")
            self._seen.update(self.machine.receive(data))
            await self._flush()

    async def agree(self, decision: trio.MemoryReceiveChannel[bool]) -> None:
        """Until both people have confirmed. *Raises* PeerError `pair.denied`, StreamLost."""
        with _only_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.until, Event.ACCEPTED)
                if not await decision.receive():
                    raise PeerError("pair.denied", "the words were not confirmed here")
                self.machine.accept()
                await self._flush()

    async def say_written(self) -> None:
        """Tells the other side, and hears the same of it, if it has time: we are done either way."""
        self.machine.written()
        with trio.move_on_after(WRITTEN_S), suppress(StreamLost):
            await self.until(Event.WRITTEN)

    def end(self, code: str) -> None:
        if code:
            self._stream.reset(code)
        else:
            self._stream.close()

    async def _flush(self) -> None:
        if data := self.machine.outgoing():
            await self._stream.send_all(data)


@contextmanager
def _refusals() -> Iterator[None]:
    """What the other side said when it left, as our own error."""
    try:
        yield
    except StreamLost as error:
        if error.code.startswith("pair."):
            raise PeerError(error.code) from error
        raise


@contextmanager
def _only_error() -> Iterator[None]:
    """Takes the one error of ours out of a nursery's group: its tasks raise one at a time."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = list(leaves(group))
        if not all(isinstance(error, NzError) for error in errors):
            raise
        raise errors[0] from None


def make_instance(name: str) -> bytes:
    """The node's name, as a petname would be, and four random symbols: a label of DNS."""
    ending = "-" + b32encode(random_bytes(3)).decode()[:4].lower()
    plain = unique_petname(name, []).encode()[: INSTANCE_BYTES - len(ending)].decode(errors="ignore").rstrip("-_.")
    return (plain + ending).encode()
