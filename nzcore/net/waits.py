"""Tasks that wait for something of a link: for a PONG, for room to open a stream. Whoever waits may be cancelled."""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


class Ping:
    """One task's wait."""

    __slots__ = ("answered", "nonce", "rtt")

    def __init__(self, nonce: int) -> None:
        self.nonce = nonce
        self.answered = trio.Event()
        self.rtt: float | None = None


class Pings:
    """Tasks that wait for PONGs."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Ping] = []

    def expect(self, nonce: int) -> Ping:
        """To be called before the ping goes out, since sending may end the link; then `wait` for it."""
        ping = Ping(nonce)
        self._waiting.append(ping)
        return ping

    async def wait(self, ping: Ping) -> float | None:
        """Seconds that it took; None where nobody will answer it any more."""
        try:
            await ping.answered.wait()
        finally:
            if ping in self._waiting:
                self._waiting.remove(ping)
        return ping.rtt

    def answered(self, nonce: int, rtt: float) -> None:
        """An answer to a later ping answers the earlier ones: one PONG is owed at most."""
        answered = [one for one in self._waiting if one.nonce <= nonce]
        self._waiting = [one for one in self._waiting if one.nonce > nonce]
        for ping in answered:
            ping.rtt = rtt
            ping.answered.set()

    def end(self) -> None:
        for ping in self._waiting:
            ping.answered.set()


class _Turn:
    __slots__ = ("come",)

    def __init__(self) -> None:
        self.come = trio.Event()


class Turns:
    """Tasks that wait for a place, first come, first served."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[_Turn] = deque()

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._queue)

    async def take(self, attempt: Callable[[], T | None]) -> T:
        """What `attempt` gives, as soon as it is this task's turn and it gives anything. *Raises* what it raises."""
        turn = _Turn()
        self._queue.append(turn)
        try:
            while True:
                await turn.come.wait()
                turn.come = trio.Event()
                place = attempt()
                if place is not None:
                    return place
        finally:
            self._queue.remove(turn)
            self.wake()

    def wake(self) -> None:
        """There may be a place: lets the first try."""
        if self._queue:
            self._queue[0].come.set()

    def wake_all(self) -> None:
        for turn in self._queue:
            turn.come.set()
