"""Discovery on the local network: announces this node under names that change, finds peers, lists strangers
(spec/discovery.md).

What is heard is a hint and no more: a peer that seems to be near is dialled, and the handshake decides. Nothing that is
heard is written down, and nothing is sent beyond the machine's own links.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import trio

from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.base.groups import leaves
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.control.node_ops import Check
from nzcore.crypto.random import random_bytes
from nzcore.kernel import Bus, Service
from nzcore.net.interfaces import Reach, reach_of
from nzcore.net.lan import Lan, near_hosts
from nzcore.net.manager import ChannelManager
from nzcore.node.config import Net
from nzcore.node.discovery_keys import DiscoveryKeys
from nzcore.node.key_exchange import KeyExchange
from nzcore.node.peers import PeerBook
from nzcore.node.services import save_patiently
from nzcore.node.voice import OpenVoice, Voice
from nzcore.node.window import Found, NoFinder, Window
from nzcore.proto.discovery.pseudonym import R_BYTES, Pseudonym, recognise
from nzcore.proto.discovery.register import Register, Seen
from nzcore.proto.discovery.sighting import Heard, Sighting, check_window, read_instance, read_sighting
from nzcore.proto.identity.names import fold

SETTLE_S = 0.25
"""Seconds before anything is sent: the node becomes ready first."""

LOOK_S = 5.0
"""Seconds between looks at the machine's links and the node's addresses."""

ROTATE_S = 3600.0
"""Seconds that a name lives, a quarter more or less."""

RETRY_S = 30.0
"""Seconds until multicast that failed is tried again."""

ECHO_S = 5.0
"""Seconds within which the node must hear its own announcement, as every station on a link does."""

MAX_BURDEN = 10_000
"""Names in zeroconf's cache, which knows no limit, at which it is thrown away."""

OWN_NAMES = 16
"""Names of this node that it still knows as its own: echoes may come late."""


class Sighted(NamedTuple):
    """Value of `discovery.found` and `discovery.lost`; `peer` is None for a stranger or a pairing window."""

    instance: str
    peer: NodeId | None
    addresses: tuple[str, ...]


class DiscoveryService(Service):
    """Finds and is found. Not essential: without it, tickets and known addresses work."""

    name = "discovery"
    summary = "finds peers on the local network"

    def __init__(
        self,
        keys: DiscoveryKeys,
        book: PeerBook,
        channels: ChannelManager,
        window: Window,
        bus: Bus,
        settings: Net,
        open_voice: OpenVoice,
        *,
        look: Callable[[bool], Lan],
        requires: tuple[str, ...] = ("net", "bridge"),
        rng: random.Random | None = None,
    ) -> None:
        """`look(only_loopback)` gives the machine's links; `rng` spreads changes of names in time."""
        self.requires = requires
        self.register = Register()
        self._keys = keys
        self._book = book
        self._channels = channels
        self._pairing = window
        self._bus = bus
        self._settings = settings
        self._open = open_voice
        self._look = look
        self._rng = rng or random.Random()  # noqa: S311 - spreads names in time, guards no secret
        self._own: deque[str] = deque(maxlen=OWN_NAMES)
        self._windows: deque[str] = deque(maxlen=OWN_NAMES)
        self._window = ""
        self._instance = ""
        self._announced_at: float | None = None
        self._heard_own = False
        self._lan: Lan | None = None
        self._voice: Voice | None = None
        self._listening_since: float | None = None
        self._trouble: NzError | None = None
        self._stale = trio.Event()  # the name in use has had its time
        self._window_changed = trio.Event()
        self._exchange = KeyExchange(keys, channels)
        self._changed = trio.Event()

    # What others ask.

    async def wait_change(self) -> None:
        """Waits until something is found, lost or recognised."""
        await self._changed.wait()

    async def wait_settled(self, seconds: float) -> None:
        """Waits until there were `seconds` to hear who is there; no longer than that, and not at all afterwards."""
        since = self._listening_since
        await trio.sleep(seconds if since is None else max(0.0, since + seconds - trio.current_time()))

    def announce(self, instance: bytes) -> None:
        """Shows an open pairing window until `withdraw`, also where the node is passive: its owner asked for it.

        Returns at once. *Raises* UsageError `discovery.bad-argument`.
        """
        self._window = check_window(instance.decode(errors="surrogateescape"))
        self._windows.append(self._window)
        self._window_changed.set()

    def withdraw(self) -> None:
        """Shows no window any more; harmless when repeated."""
        self._window = ""
        self._window_changed.set()

    async def find(self, name: str) -> Found:
        """Waits for another node's window: `name` is its instance, or that without its last hyphen and what follows.

        *Raises* UsageError `discovery.ambiguous` with the fact `candidates`; UnavailableError `pair.not-found` where
        nothing can be heard.
        """
        while (seen := self._window_called(name)) is None:
            if self._trouble is not None and self._voice is None:
                raise UnavailableError("pair.not-found", self._trouble.message)
            await self._changed.wait()
        return Found(seen.instance.encode(), seen.sighting.addresses)

    def examine(self) -> Check:
        """What the doctor wants to know, with what to do about it."""
        error = self._trouble
        if error is None and self._lan is not None and self._lan.is_alone:
            error = UnavailableError("discovery.no-link")
        if error is None and self._is_deaf():
            error = UnavailableError("discovery.no-multicast", "this node does not hear its own announcement")
        if error is not None:
            return Check(check=self.name, ok=False, detail=error.message, hint=error.hint)
        return Check(check=self.name, ok=True, detail=self._told())

    def _is_deaf(self) -> bool:
        since = self._announced_at
        return since is not None and not self._heard_own and trio.current_time() > since + ECHO_S

    # As a service.

    async def init(self, ctx: object) -> None:
        await self._keys.load()

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._keys.on_own, self._keys.on_learned = self._on_own_key, self._on_learned_key
        self._book.hints = self.register.hints
        self._pairing.finder = self
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(save_patiently, self._keys.save, self._bus, "keys of discovery")
                nursery.start_soon(self._exchange.run)
                task_status.started()
                await trio.sleep(SETTLE_S)
                while True:
                    await self._try_lan()
        finally:
            self._keys.on_own = self._keys.on_learned = lambda: None
            self._book.hints = lambda node: ()
            self._pairing.finder = NoFinder()
            self.register.clear()
            self._listening_since = None

    async def check(self) -> None:
        """Asks the responder through its thread."""
        if self._voice is not None:
            await self._voice.burden()

    def status(self) -> Mapping[str, object]:
        return {
            "doing": self._told() if self._trouble is None else self._trouble.message,
            "instance": self._instance,
            "seen": len(self.register),
            "dropped": self.register.dropped,
            "keys": len(self._keys),
        }

    def _told(self) -> str:
        if self._lan is None or self._voice is None:
            return "starting"
        where = f"on {', '.join(map(str, self._lan.speak_on))}"
        what = f"announced as {self._instance}" if self._instance else "listening, not announced"
        peers = sum(seen.node is not None for seen in self.register)
        return f"{what} {where}; {peers} peers and {len(self.register) - peers} others are near"

    # Links.

    async def _try_lan(self) -> None:
        """Lives on the present links until they change or fail; then waits, where waiting is called for."""
        lan = self._look(self._is_confined())
        self._lan = lan
        if not lan.speak_on:
            self._fail(UnavailableError("discovery.no-link"))
            await trio.sleep(LOOK_S)
            return
        pause = 0.0
        try:
            async with self._open(lan) as voice:
                self._voice, self._trouble = voice, None
                self._listening_since = trio.current_time()
                await self._live(voice, lan)
        except* UnavailableError as group:
            self._fail(error := next(leaves(group)))
            pause = RETRY_S if error.code.startswith("discovery.") else LOOK_S  # the bridge is back sooner
        finally:
            self._voice = None
            self._forget_all()
        await trio.sleep(pause)

    async def _live(self, voice: Voice, lan: Lan) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, voice, lan)
            nursery.start_soon(self._announce, voice, lan)
            nursery.start_soon(self._show_window, voice, lan)
            place = self._place(lan)
            while self._look(self._is_confined()) == lan and await voice.burden() < MAX_BURDEN:
                if place != self._place(lan):
                    place = self._place(lan)
                    self._stale.set()
                    self._window_changed.set()
                await trio.sleep(LOOK_S)
            nursery.cancel_scope.cancel()

    def _is_confined(self) -> bool:
        """Whether the node listens on loopback only: then it does not show itself elsewhere either."""
        hosts = [address.host for address in self._channels.listening()]
        return bool(hosts) and all(reach_of(host) is Reach.LOCAL for host in hosts)

    def _place(self, lan: Lan) -> tuple[int, tuple[str, ...]]:
        return near_hosts(self._channels.listening(), lan)

    def _fail(self, error: NzError) -> None:
        if self._trouble is None or self._trouble.message != error.message:
            self._bus.emit("discovery.trouble", error.message)
        self._trouble = error
        self._tell_change()

    # Speaking.

    async def _announce(self, voice: Voice, lan: Lan) -> None:
        """A new name now, after every change, and hourly; the old one ends before the new one begins."""
        while True:
            self._stale = trio.Event()
            port, hosts = self._place(lan)
            pause = ROTATE_S * self._rng.uniform(0.75, 1.25)
            if port and not self._settings.mdns_passive:
                name = Pseudonym.make(self._keys.own, random_bytes(R_BYTES), port).text
                self._own.append(name)
                self._instance, self._heard_own = name, False  # the echo may come before the last packet is sent
                pause = min(pause, await self._say(voice, name, port, hosts))
                self._announced_at = trio.current_time() if self._trouble is None else None
            with trio.move_on_after(pause):
                await self._stale.wait()
            instance, self._instance, self._announced_at = self._instance, "", None
            if instance:
                await voice.withdraw(instance)

    async def _say(self, voice: Voice, name: str, port: int, hosts: tuple[str, ...]) -> float:
        """Seconds until the next try: for ever where this one succeeded."""
        try:
            await voice.announce(name, _label(), port, hosts)
        except UnavailableError as error:
            self._fail(error)
            return RETRY_S
        self._trouble = None
        return float("inf")

    async def _show_window(self, voice: Voice, lan: Lan) -> None:
        shown = ""
        while True:
            self._window_changed = trio.Event()
            if shown:
                await voice.withdraw(shown)
            shown = self._window
            port, hosts = self._place(lan)
            if not shown:
                await self._window_changed.wait()
            elif not port:
                self._fail(UnavailableError("discovery.no-place"))
                await self._window_changed.wait()
            else:
                with trio.move_on_after(await self._say(voice, shown, port, hosts)):
                    await self._window_changed.wait()

    # Hearing.

    async def _listen(self, voice: Voice, lan: Lan) -> None:
        while True:
            word = await voice.hear()
            try:
                if isinstance(word, str):
                    self._lose(read_instance(word)[0])
                else:
                    self._hear(word, lan)
            except PeerError:
                continue  # whatever strangers say; the register counts what it can't take

    def _hear(self, word: Heard, lan: Lan) -> None:
        """*Raises* PeerError `discovery.*`."""
        instance, _ = read_instance(word.service)
        if instance in self._own or instance in self._windows:
            self._heard_own = self._heard_own or instance == self._instance
            return
        now = Instant(trio.current_time())
        sighting = read_sighting(word, lan.links)
        if not self.register.admits(instance, now):
            return
        before = self.register.get(instance)
        seen = self.register.hear(sighting, self._owner(sighting), now)
        if seen is None:
            return
        if before is None or (before.node, before.sighting) != (seen.node, sighting):
            self._tell("discovery.found", seen)
        self._approach(seen)

    def _lose(self, instance: str) -> None:
        lost = self.register.lose(instance)
        if lost is not None:
            self._tell("discovery.lost", lost)

    def _owner(self, sighting: Sighting) -> NodeId | None:
        return None if sighting.pseudonym is None else recognise(sighting.pseudonym, sighting.port, self._keys)

    def _approach(self, seen: Seen) -> None:
        """Has a peer that seems to be near dialled, as often as the limits allow; the handshake shows who is there."""
        if seen.node is None or self._channels.links.get(seen.node) is not None:
            return
        if self.register.may_dial(seen, Instant(trio.current_time())):
            self._channels.nudge(seen.node)

    def _forget_all(self) -> None:
        if len(self.register):
            self.register.clear()
            self._tell_change()

    def _tell(self, topic: str, seen: Seen) -> None:
        places = tuple(address.text for address in seen.sighting.addresses)
        self._bus.emit(topic, Sighted(seen.instance, seen.node, places))
        self._tell_change()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _window_called(self, name: str) -> Seen | None:
        """*Raises* UsageError `discovery.ambiguous`."""
        windows = {fold(seen.instance): seen for seen in self.register if seen.sighting.pseudonym is None}
        exact = windows.get(fold(name))
        alike = [seen for text, seen in windows.items() if text.rpartition("-")[0] == fold(name)]
        if exact is None and len(alike) > 1:
            raise UsageError("discovery.ambiguous", candidates=[seen.instance for seen in alike])
        return exact or next(iter(alike), None)

    # Keys.

    def _on_own_key(self) -> None:
        """Somebody lost trust: the name in use must not be recognised by them any more."""
        self._stale.set()
        self._exchange.spread()
        self._on_learned_key()

    def _on_learned_key(self) -> None:
        for seen in self.register.reconsider(self._owner, Instant(trio.current_time())):
            self._tell("discovery.found", seen)
            self._approach(seen)


def _label() -> str:
    """A host name that links nothing: the machine's own would."""
    return random_bytes(R_BYTES).hex()
