"""The channel manager: dials, accepts, keeps channels up, and opens streams on them.

The face of the network to the rest of the node. Owns the one nursery in which every task of the network runs: readers,
handlers, dials, keepers; nothing outlives `run`.
"""

import random
from collections.abc import Callable
from functools import partial

import trio

from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.base.scopes import Scope
from nzcore.kernel import Backoff, Bus, Deadlines
from nzcore.kernel.described import describe
from nzcore.net.admission import Admission, TrustAdmission
from nzcore.net.book import Book
from nzcore.net.dialler import DialFailed, race
from nzcore.net.doorkeeper import Doorkeeper, DoorSettings
from nzcore.net.joining import Joining, Knock
from nzcore.net.link import Flusher
from nzcore.net.links import Links, NetTrouble, OpenLink, Refused, Unreachable, refuse
from nzcore.net.local import Local
from nzcore.net.meeting import Met, meet
from nzcore.net.protocols import Protocols, StreamHandler
from nzcore.net.requests import REPLY_BYTES, read_all
from nzcore.net.stream import Stream
from nzcore.net.transport import Listener, Transport
from nzcore.net.wire import Wire
from nzcore.proto.handshake.machine import HANDSHAKE_S, Established, Responder
from nzcore.proto.handshake.preface import Mode
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.pairing.phrase import PROTOCOL

RECONNECT = Backoff(initial_s=0.5, factor=2.0, max_s=60.0, jitter=0.5)
"""Pauses between dials of a peer that is to be kept connected; the jitter keeps two nodes from dialling in step."""

STEADY_S = 10.0
"""Seconds that a channel must have lived for the next dial to come at once."""

CONNECT_S = 20.0
"""Seconds that somebody waits for a channel before giving up."""


class _Flight:
    """A dial under way; whoever wants the same peer waits for it."""

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.scope = trio.CancelScope()
        self.link: OpenLink | None = None
        self.error: NzError | None = None


class _Keeper:
    """The task that keeps a channel to one peer up."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.nudged = trio.Event()


class ChannelManager:
    """All channels of a node. Made once; `run` is entered anew after every restart of its service."""

    def __init__(
        self,
        local: Local,
        book: Book,
        transport: Transport,
        bus: Bus,
        *,
        door: DoorSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._local = local
        self._book = book
        self._transport = transport
        self._bus = bus
        self._door = Doorkeeper(door or DoorSettings())
        self._rng = rng or random.Random()  # noqa: S311 - spreads dials in time, guards no secret
        self._flusher = Flusher()
        self._deadlines = Deadlines()
        self.protocols = Protocols(local.trust, bus, self._spawn)
        self.links = Links(local, self.protocols, bus, self._flusher)
        self.links.on_changed = self.nudge
        self.links.barred = self._barred
        self.joining = Joining(
            local, transport, self._spawn, self.links, bus, self._flusher, self._deadlines, self._greeted
        )
        """How strangers become peers: by ticket, or through the pairing window."""
        self.admission: Admission = TrustAdmission(local.trust)
        """Who is let in; whoever gives tickets puts its own in this place."""
        self._nursery: trio.Nursery | None = None
        self._flights: dict[NodeId, _Flight] = {}
        self._keepers: dict[NodeId, _Keeper] = {}
        self._paused: set[NodeId] = set()
        self._listeners: list[Listener] = []

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; then every channel is closed in good order."""
        unsubscribe = self._local.trust.subscribe(lambda node, before, after: self.links.cut(node, after))
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._flusher.run)
                nursery.start_soon(self.links.tick)
                await nursery.start(self._deadlines.run)
                task_status.started()
        finally:
            unsubscribe()
            self.links.close_all("channel.going-away")
            for listener in self._listeners:
                listener.close()
            self._listeners.clear()
            self._keepers.clear()
            self._flights.clear()
            self._nursery = None

    # Listening.

    def listen(self, address: Address) -> Address:
        """Accepts channels on `address` (port 0: any); the real one. *Raises* UnavailableError `net.cannot-listen`."""
        listener = self._transport.listen(address, self._spawn)
        self._listeners.append(listener)
        self._spawn(listener.accept, self._on_wire)
        return listener.address

    def listening(self) -> list[Address]:
        """Where the node accepts channels now."""
        return [listener.address for listener in self._listeners]

    def stop_listening(self, address: Address) -> None:
        """Accepts no more on an address; channels that came by it live on."""
        for listener in [one for one in self._listeners if one.address == address]:
            listener.close()
            self._listeners.remove(listener)

    # Channels.

    async def connect(self, node: NodeId, *, timeout_s: float = CONNECT_S) -> OpenLink:
        """The channel to a peer, dialled where there is none yet.

        *Raises* DialFailed with the reason and each attempt's, `net.kept-closed`; UnavailableError `net.too-slow`.
        """
        if node in self._paused:
            raise DialFailed("net.kept-closed", node=node)
        one = self.links.get(node)
        if one is not None:
            await trio.lowlevel.checkpoint()
            return one
        flight = self._flights.get(node)
        if flight is None:
            flight = _Flight()
            self._spawn(self._fly, node, flight)
            self._flights[node] = flight
        with trio.move_on_after(timeout_s) as patience:
            await flight.landed.wait()
        if patience.cancelled_caught:
            raise DialFailed("net.too-slow", node=node)
        if flight.link is None:
            raise flight.error or DialFailed("net.too-slow", node=node)
        return flight.link

    def disconnect(self, node: NodeId, code: str = "channel.disconnected") -> bool:
        """Closes the channel to a peer and keeps it closed, whoever dials, until `resume`; whether there was one."""
        self._paused.add(node)
        flight = self._flights.get(node)
        if flight is not None:
            flight.error = DialFailed(code, node=node)
            flight.scope.cancel()
        one = self.links.get(node)
        if one is not None:
            one.link.close(code)
        return one is not None

    def resume(self, node: NodeId) -> None:
        """Ends what `disconnect` began: the owner's to say, not that of whoever has something to send."""
        self._paused.discard(node)
        self.nudge(node)

    def keep(self, node: NodeId) -> None:
        """Keeps a channel to this peer up, as far as it can be reached. Harmless when repeated."""
        if node not in self._keepers:
            keeper = _Keeper()
            self._spawn(self._keep, node, keeper)
            self._keepers[node] = keeper

    def release(self, node: NodeId) -> None:
        """Ends `keep`, and `disconnect` too; an open channel stays."""
        self._paused.discard(node)
        keeper = self._keepers.pop(node, None)
        if keeper is not None:
            keeper.scope.cancel()

    def nudge(self, node: NodeId) -> None:
        """Something about a kept peer has changed: if it has no channel, it is dialled now rather than later."""
        keeper = self._keepers.get(node)
        if keeper is not None:
            keeper.nudged.set()
            keeper.nudged = trio.Event()

    # Streams.

    def serve(self, protocol: str, handler: StreamHandler, scope: Scope) -> Callable[[], None]:
        """Serves `protocol` for peers with `scope`; call the result to end that. *Raises* UsageError
        `net.protocol-taken`."""
        return self.protocols.register(protocol, handler, scope)

    async def open_stream(self, node: NodeId, protocol: str, *, timeout_s: float = CONNECT_S) -> Stream:
        """A stream to a peer, over the channel there is or a new one; the caller closes it.

        *Raises* as `connect`; StreamLost when the channel ends meanwhile; PeerError `channel.bad-protocol`.
        """
        one = self.links.get(node) or await self.connect(node, timeout_s=timeout_s)
        return await one.link.open_stream(protocol)

    async def call(
        self, node: NodeId, protocol: str, request: bytes, *, timeout_s: float = CONNECT_S, max_bytes: int = REPLY_BYTES
    ) -> bytes:
        """Sends one request on a stream of its own and returns the whole reply.

        *Raises* as `open_stream`; UnavailableError `net.too-slow` after `timeout_s`; PeerError `net.reply-too-long`.
        """
        with trio.move_on_after(timeout_s):
            async with await self.open_stream(node, protocol, timeout_s=timeout_s) as stream:
                await stream.send_all(request)
                await stream.send_eof()
                return await read_all(stream, max_bytes)
        raise UnavailableError("net.too-slow", node=node, protocol=protocol)

    async def ping(self, node: NodeId) -> float:
        """Seconds for a round trip. *Raises* UnavailableError `net.not-connected`, StreamLost."""
        one = self.links.get(node)
        if one is None:
            raise UnavailableError("net.not-connected", node=node)
        return await one.link.ping()

    # Tasks.

    def _spawn(self, function: Callable[..., object], *args: object) -> None:
        if self._nursery is None:
            raise UnavailableError("net.not-running")
        self._nursery.start_soon(function, *args)  # type: ignore[arg-type]  # coroutine functions, by contract

    def _on_wire(self, wire: Wire, host: str) -> None:
        now = Instant(trio.current_time())
        try:
            network = self._door.enter(host, now)
        except PeerError:
            wire.close(abort=True)  # not told on the bus: a flood would flood it too
            return
        self._spawn(self._welcome, wire, host, network)

    async def _welcome(self, wire: Wire, host: str, network: str) -> None:
        """One incoming connection, until it is a link or gone."""
        proved = False
        try:
            local = self._local
            met = await meet(
                wire,
                Responder(local.keys(), local.boot, local.introduction, local.directory, policy=self._policy),
                self._deadlines,
            )
            proved = await self._settle(wire, met, host)
        except NzError as error:
            wire.close(abort=True)
            self._tell_refused(host, error.code)
        except Exception as error:  # a crash boundary: a fault of ours in one connection is no other's
            wire.close(abort=True)
            self._bus.emit("net.trouble", NetTrouble("an incoming connection failed", describe(error)))
        except BaseException:
            wire.close(abort=True)
            raise
        finally:
            self._door.leave(network, Instant(trio.current_time()), proved=proved)

    async def _settle(self, wire: Wire, met: Met, host: str) -> bool:
        """Lets in or refuses; whether the door may favour the host from now on: as a peer's, not as a guest's."""
        fresh = met.established
        refusal = fresh.refusal or await self._redeem(fresh)
        if refusal:
            refuse(wire, met, self._local, refusal)
            self._tell_refused(host, refusal)
            if fresh.certificate.final:
                self._book.learn(fresh.certificate)
            return False
        if fresh.mode is Mode.WINDOW:
            self.admission.host(self.joining.guest(wire, met, PROTOCOL))
            return False
        self._book.learn(fresh.certificate)
        await self.links.adopt(wire, met)
        return True

    def _tell_refused(self, host: str, code: str) -> None:
        if (untold := self._door.tell(Instant(trio.current_time()))) is not None:
            self._bus.emit("channel.refused", Refused(host, code, untold))

    async def _redeem(self, fresh: Established) -> str:
        """Bounded: a disk that hangs must not keep a place at the door."""
        with trio.move_on_after(HANDSHAKE_S):
            return await self.admission.redeem(fresh)
        raise UnavailableError("net.too-slow")

    def _policy(self, certificate: Certificate, mode: Mode, tid: bytes) -> str:
        if mode is not Mode.WINDOW and certificate.node in self._paused:
            return "channel.disconnected"
        return self.admission.policy(certificate, mode, tid)

    def _barred(self, fresh: Established) -> str:
        return "channel.disconnected" if fresh.certificate.node in self._paused and not fresh.initiator else ""

    async def _fly(self, node: NodeId, flight: _Flight) -> None:
        """One dial, for everybody who waits for it."""
        try:
            if not self._local.trust.allows(node, Scope.CONNECT):
                raise DialFailed("net.no-trust", node=node)  # else a keeper would undo what a loss of trust has cut
            with flight.scope:
                wire, met = await race(
                    node,
                    self._book.addresses(node),
                    partial(self.joining.knock, Knock(node)),
                    lambda address, worked: self._book.note_dial(node, address, worked=worked),
                )
                self._book.learn(met.established.certificate)
                flight.link = await self._greeted(await self.links.adopt(wire, met), node)
        except NzError as error:
            flight.error = error
        except Exception as error:  # a crash boundary, as in _welcome
            self._bus.emit("net.trouble", NetTrouble("a dial failed", describe(error)))
        finally:
            self._flights.pop(node, None)
            flight.landed.set()

    async def _greeted(self, one: OpenLink | None, node: NodeId) -> OpenLink:
        """The link once the other side has let us in; where two dials crossed, the one that both sides keep.

        *Raises* DialFailed with what the other side said instead.
        """
        code = "channel.lost"
        with trio.move_on_after(HANDSHAKE_S):
            one = one or self.links.get(node)
            while one is not None:
                await one.link.greeted.wait()
                if not one.link.is_over:
                    return one
                code = one.link.closed_by
                one = self.links.get(node)  # the loser of two that cross may be cut before it hears why
                while one is None and code == "net.duplicate":
                    await self.links.wait_change()
                    one = self.links.get(node)
        if one is not None and not one.link.is_over:
            one.link.close(code := "channel.dead")
        raise DialFailed(code, node=node)

    async def _keep(self, node: NodeId, keeper: _Keeper) -> None:
        """Dials whenever there is no channel, at growing intervals while that fails."""
        streak = 0
        with keeper.scope:
            while True:
                held = self.links.get(node)
                while self.links.get(node) is not None or node in self._paused:
                    held = self.links.get(node) or held
                    await keeper.nudged.wait()
                if held is not None and trio.current_time() - held.since >= STEADY_S:
                    streak = 0  # else a peer that lets us in and closes at once would be dialled without a pause
                elif held is not None:
                    streak += 1
                with trio.move_on_after(
                    RECONNECT.delay(streak, self._rng.random) if streak else self._rng.random() / 4
                ):
                    await keeper.nudged.wait()
                if self.links.get(node) is not None or node in self._paused:
                    continue
                try:
                    await self.connect(node)
                except NzError as error:
                    streak += 1
                    if streak == 1:
                        self._bus.emit("peer.unreachable", Unreachable(node, error.code))
