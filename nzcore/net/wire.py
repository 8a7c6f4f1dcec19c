"""What a channel needs of whatever carries its bytes: TCP, memory, later a circuit.

Calls and callbacks instead of a stream with tasks, so that a channel over a channel costs no task either. Everything
happens in one Trio run; callbacks never wait.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from nzcore.net.reader import SocketReader

Buffer = bytes | memoryview


class WireUser(Protocol):
    """Whoever uses a wire: a handshake first, then the channel."""

    def on_bytes(self, data: memoryview) -> None:
        """Bytes arrived. `data` is the wire's own buffer: it is overwritten after the call."""

    def on_writable(self) -> None:
        """The wire takes bytes again after it had left some over."""

    def on_end(self, error: OSError | None) -> None:
        """Nothing more will come: the other side closed (None), or the connection broke. The last callback."""


class Wire(Protocol):
    """An ordered, reliable stream of bytes both ways, without awaits.

    Whoever made it closes it, or hands it on to somebody who does.
    """

    @property
    def remote(self) -> str:
        """The other end, as a person would read it."""

    @property
    def reader(self) -> SocketReader | None:
        """By which a task that waits for bytes may read them itself; None where they come without being read."""

    def attach(self, user: WireUser) -> None:
        """Sends all further callbacks to `user`; nothing arrives before `read_until` or `resume`."""

    async def read_until(self, is_done: Callable[[], bool]) -> None:
        """Calls back out of the calling task, without a turn of another between, until `is_done` or the wire's end.

        For who waits for what comes first, after `attach` and before `resume`; afterwards nothing arrives again. Nobody
        pauses meanwhile. No checkpoint where `is_done` at once.
        """

    def send(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        """Takes as much as the medium has room for, in order; returns what is left, for after `on_writable`.

        An error is not raised here: it comes as `on_end`.
        """

    def pause(self) -> None:
        """No more `on_bytes` until `resume`; the medium's own back-pressure does the rest."""

    def resume(self) -> None:
        """Begins to call back, or goes on after `pause`; harmless when repeated."""

    def close(self, *, abort: bool = False, rest: Sequence[Buffer] = ()) -> None:
        """Ends the connection: after what was taken, and then `rest`, has been sent, as long as the medium's patience
        lasts; or at once. No callback follows. Idempotent."""


Spawn = Callable[..., None]
"""`nursery.start_soon` of whoever owns the tasks that a wire needs."""
