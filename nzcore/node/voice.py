"""Multicast DNS as the Trio side speaks and hears it: what a service needs of it, and the real one behind the bridge.

The real one lives in the asyncio thread (`net/mdns.py`); what it hears comes by a bounded queue that drops the oldest.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias

import trio

from nzcore.base.errors import NzError
from nzcore.net.lan import Lan
from nzcore.proto.discovery.sighting import Heard
from nzcore.store.bridge import AsyncioBridge

if TYPE_CHECKING:
    from nzcore.net.mdns import Responder

HEARD_WAITING = 512
"""Words that wait for a busy node."""

GOODBYE_S = 2.0
"""Seconds for saying goodbye and closing, while the node may be stopping."""


class Voice(Protocol):
    """The local links from entering to leaving. Names that are announced are withdrawn on leaving."""

    async def announce(self, instance: str, label: str, port: int, hosts: Sequence[str]) -> None:
        """Announces `instance` at `hosts`, their name `label`. *Raises* UnavailableError `discovery.no-multicast`."""
        ...

    async def withdraw(self, instance: str) -> None:
        """Says that `instance` is gone; harmless when it was not announced."""
        ...

    async def hear(self) -> Heard | str:
        """The next word: an announcement, or the service name that is gone."""
        ...

    async def burden(self) -> int:
        """How many names others make this machine remember. *Raises* UnavailableError when nothing works any more."""
        ...


OpenVoice: TypeAlias = Callable[[Lan], AbstractAsyncContextManager[Voice]]
"""*Raises* UnavailableError `discovery.no-multicast` on entering."""


def mdns_over(bridge: Callable[[], AsyncioBridge]) -> OpenVoice:
    """Voices by zeroconf, which is loaded with the first of them."""

    @asynccontextmanager
    async def open_voice(lan: Lan) -> AsyncIterator[Voice]:
        inbox = _Inbox()
        now = bridge()
        responder = await trio.to_thread.run_sync(_make, lan, inbox)
        try:
            await now.run(responder.open)
            yield _BridgedVoice(now, responder, inbox)
        finally:
            with trio.move_on_after(GOODBYE_S, shield=True), suppress(NzError):  # the bridge may be gone
                await now.run(responder.close)

    return open_voice


def _make(lan: Lan, inbox: "_Inbox") -> "Responder":
    from nzcore.net.mdns import Responder  # zeroconf: 45 ms, in a thread so that the node goes on meanwhile

    return Responder(lan.speak_on, inbox.put)


class _Inbox:
    """From any thread to Trio; made in Trio."""

    def __init__(self) -> None:
        self._words: deque[Heard | str] = deque(maxlen=HEARD_WAITING)
        self._token = trio.lowlevel.current_trio_token()
        self._ready = trio.Event()

    def put(self, word: Heard | str) -> None:
        self._words.append(word)
        with suppress(trio.RunFinishedError):  # nobody is left to tell
            self._token.run_sync_soon(self._wake, idempotent=True)  # one wake-up in the queue, however many words

    async def get(self) -> Heard | str:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._ready = trio.Event()  # before the look, so that no wake-up is missed
            if self._words:
                return self._words.popleft()
            await self._ready.wait()

    def _wake(self) -> None:
        self._ready.set()


class _BridgedVoice:
    def __init__(self, bridge: AsyncioBridge, responder: "Responder", inbox: _Inbox) -> None:
        self._bridge = bridge
        self._responder = responder
        self._inbox = inbox

    async def announce(self, instance: str, label: str, port: int, hosts: Sequence[str]) -> None:
        await self._bridge.run(self._responder.announce, instance, label, port, hosts)

    async def withdraw(self, instance: str) -> None:
        await self._bridge.run(self._responder.withdraw, instance)

    async def hear(self) -> Heard | str:
        return await self._inbox.get()

    async def burden(self) -> int:
        return await self._bridge.run(self._responder.burden)
