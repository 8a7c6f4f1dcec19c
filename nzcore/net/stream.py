"""A stream of a channel as applications use it: Trio's half-closeable stream, with a protocol's name.

Differs from Trio's rule in one point, for speed: `send_all` and `receive_some` yield to other tasks only when they
must wait; otherwise they only check for cancellation, and a `send_all` of bytes that fit the record being packed does
not even that. Credit and queue bound how long a task can go on like that.
"""

from collections import deque
from collections.abc import Callable
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING

import trio

from nzcore.base.errors import UnavailableError
from nzcore.base.ids import NodeId

if TYPE_CHECKING:
    from nzcore.net.link import Link


SMALL = 1024
"""Bytes below which unread pieces are joined: else two bytes cost fifty, and credit would not bound memory."""

_JOINED = 16 * 1024  # bytes of joined pieces, beyond which another piece begins
_CANCELLED = "channel.cancelled"


class StreamLost(UnavailableError, trio.BrokenResourceError):
    """The stream ended without its END: reset by the other side, or its channel is gone. `code` says why."""


class Stream(trio.abc.HalfCloseableStream):
    """One ordered, flow-controlled byte stream, opened for one protocol. Close it with `aclose` or `async with`.

    One task may send while another receives. `aclose` ends sending in good order when `send_eof` was not called, and
    tells the other side to stop; what it had still sent is dropped. An exception that leaves the `async with` resets
    the stream instead: the other side must not take half an answer for a whole one.
    """

    __slots__ = (
        "_chunks",
        "_closed",
        "_ended",
        "_error",
        "_extend",
        "_fault",
        "_leads",
        "_link",
        "_reader",
        "_receiver",
        "_receiving",
        "_sender",
        "_sending",
        "_sent_end",
        "_sink",
        "_was_woken",
        "id",
        "is_remote",
        "protocol",
    )

    def __init__(self, link: "Link", stream_id: int, protocol: str, *, is_remote: bool) -> None:
        """Made by the link; `is_remote`: the other side opened it."""
        self.is_remote = is_remote
        self.id = stream_id
        self.protocol = protocol
        self._link = link
        self._extend = link.extend
        self._chunks: deque[bytes | bytearray | memoryview] = deque()
        self._sending = self._receiving = False  # a task waits, or is about to go on
        self._receiver: trio.lowlevel.Task | None = None  # parked, and not reading the wire itself
        self._reader = link.reader
        self._leads = False  # the receiving task reads the wire itself
        self._was_woken = False
        self._sender: trio.lowlevel.Task | None = None
        self._ended = False  # the other side has sent all
        self._sent_end = False
        self._closed = False
        self._error = ""  # code with which the stream was lost
        self._sink: Callable[[bytes], None] | None = None
        self._fault: Exception | None = None  # of the sink

    @property
    def peer(self) -> NodeId:
        """Who is at the other end."""
        return self._link.peer

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends `data`, waiting for credit and for the wire; cancelled, part of it may have been sent.

        *Raises* StreamLost, trio.ClosedResourceError after `aclose` or `send_eof`, trio.BusyResourceError.
        """
        if type(data) is bytes and not self._sending and self._extend(self.id, data):
            return
        self._check_idle_sender()
        self._check_sendable()
        await trio.lowlevel.checkpoint_if_cancelled()
        fixed = data if type(data) is bytes else bytes(data)  # the caller may change its buffer afterwards
        sent = self._link.write(self.id, fixed)
        if sent == len(fixed):
            return
        rest = memoryview(fixed)[sent:]
        self._sending = True
        try:
            while rest:
                await self._wait_sendable()
                rest = rest[self._link.write(self.id, rest) :]
        finally:
            self._sending = False

    def send_nowait(self, data: bytes) -> int:
        """Sends as much as credit and room allow now; how much. The rest is for `send_all`. *Raises* as it does."""
        if not self._sending and self._extend(self.id, data):
            return len(data)
        self._check_idle_sender()
        self._check_sendable()
        return self._link.write(self.id, data)

    async def wait_send_all_might_not_block(self) -> None:
        """Returns when there is credit and room. *Raises* as `send_all`."""
        self._check_idle_sender()
        self._check_sendable()
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            while not self._link.can_write(self.id):
                await self._wait_sendable()
        finally:
            self._sending = False

    async def send_eof(self) -> None:
        """Says that nothing more will be sent; receiving goes on. Harmless when repeated."""
        self._check_idle_sender()
        await trio.lowlevel.checkpoint()
        self._check_idle_sender()
        if self._closed:
            raise trio.ClosedResourceError
        if not self._sent_end:
            if self._error:
                raise StreamLost(self._error, stream=self.id)
            self._sent_end = True
            self._link.end(self.id)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes, as they arrived; b"" after the other side's END.

        *Raises* StreamLost, trio.ClosedResourceError, trio.BusyResourceError, ValueError for `max_bytes` < 1.
        """
        if max_bytes is not None and index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this stream")
        if self._closed:
            raise trio.ClosedResourceError
        if self._chunks:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            self._receiving = True
            try:
                if not await self._wait_chunk():
                    return b""
            finally:
                self._receiving = False
        chunk = self._chunks.popleft()
        if max_bytes is not None and len(chunk) > max_bytes:
            view = memoryview(bytes(chunk) if type(chunk) is bytearray else chunk)
            self._chunks.appendleft(view[max_bytes:])
            chunk = view[:max_bytes]
        self._link.consume(self.id, len(chunk))
        return chunk if type(chunk) is bytes else bytes(chunk)

    async def feed(self, sink: Callable[[bytes], None]) -> None:
        """Hands each piece to `sink` as it arrives, without a task's turn in between, until the other side's END.

        `sink` must not wait; it runs inside the wire's callback. What it raises ends the feed and is *raised* here;
        otherwise as `receive_some`.
        """
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this stream")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint()
            while self._chunks and not self._closed:
                chunk = self._chunks.popleft()
                self._link.consume(self.id, len(chunk))
                sink(bytes(chunk))
            self._sink = sink
            while not (self._closed or self._fault or self._ended or self._error):
                self._receiver = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort_receiver)
        finally:
            self._sink, self._receiving = None, False
        if self._fault is not None:
            raise self._fault
        if self._closed:
            raise trio.ClosedResourceError
        if not self._ended:
            raise StreamLost(self._error, stream=self.id)

    async def read_until(self, is_done: Callable[[], bool]) -> None:
        """Reads the wire in the calling task while nobody else does; for who waits for what a `feed` will bring.

        Returns when `is_done`, and at any time before: at once where somebody reads already, or after `interrupt`.
        """
        if self._reader is not None and self._reader.is_free:
            await self._reader.lead(is_done)

    def note_woken(self) -> None:
        """To be called where a task that was not reading is woken by what a `feed` brought, and soon waits again."""
        if self._reader is not None:
            self._reader.woken += 1

    def interrupt(self) -> None:
        """Makes a task that is in `read_until` look whether it is done."""
        if self._reader is not None:
            self._reader.interrupt()

    async def aclose(self) -> None:
        """Ends the stream both ways; waits for nothing but other tasks' turn. Idempotent."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self, code: str = _CANCELLED) -> None:
        """As `aclose`, at once; with any other `code` as `reset`."""
        self._close(code, in_order=code == _CANCELLED)

    def reset(self, code: str = _CANCELLED) -> None:
        """Gives the stream up at once, both ways: the other side learns `code`, and that what it got is not all."""
        self._close(code, in_order=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.reset("channel.handler-failed" if issubclass(kind, Exception) else _CANCELLED)
        await self.aclose()

    # Called by the link.

    def on_data(self, chunk: bytes) -> None:
        if self._closed:
            return
        if self._sink is not None:
            self._pour(chunk)
            return
        if self._chunks and len(chunk) < SMALL:
            self._join(chunk)
        else:
            self._chunks.append(chunk)
        if self._receiver is not None:
            self._wake_receiver()
            if self._was_woken:  # who was never may want one answer only: to wait for it costs a tick
                self.note_woken()
            self._was_woken = True

    def on_ended(self) -> None:
        self._ended = True
        self._wake_receiver()

    def on_lost(self, code: str) -> None:
        """The stream is gone; what had arrived can still be read."""
        if not self._error:
            self._error = code
        self._wake_receiver()
        self._wake_sender()

    def on_sendable(self) -> None:
        self._wake_sender()

    @property
    def has_sent_end(self) -> bool:
        return self._sent_end

    @property
    def has_received_end(self) -> bool:
        return self._ended

    @property
    def is_lost(self) -> bool:
        return bool(self._error)

    # Small print.

    def _close(self, code: str, *, in_order: bool) -> None:
        if self._closed:
            return
        self._closed = True
        self._chunks.clear()
        self._link.finish(self, code, in_order=in_order)
        self._wake_receiver()
        self._wake_sender()

    def _pour(self, chunk: bytes) -> None:
        """Hands a piece to the sink; the crash boundary of that: the link has nothing to do with its faults."""
        assert self._sink is not None
        self._link.consume(self.id, len(chunk))
        try:
            self._sink(chunk)
        except Exception as error:
            self._sink, self._fault = None, error
            self._wake_receiver()

    def _join(self, chunk: bytes) -> None:
        """Adds a small piece to the last one, where that is small or was joined itself."""
        last = self._chunks[-1]
        if type(last) is bytearray and len(last) < _JOINED:
            last += chunk
        elif len(last) < SMALL:
            self._chunks[-1] = bytearray(last) + chunk
        else:
            self._chunks.append(chunk)

    def _check_idle_sender(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")

    def _check_sendable(self) -> None:
        if self._closed or self._sent_end:
            raise trio.ClosedResourceError
        if self._error:
            raise StreamLost(self._error, stream=self.id)

    async def _wait_sendable(self) -> None:
        self._check_sendable()  # or nobody would wake us
        self._sender = trio.lowlevel.current_task()
        self._link.await_room(self)
        await trio.lowlevel.wait_task_rescheduled(self._abort_sender)
        self._check_sendable()

    async def _wait_chunk(self) -> bool:
        """Waits for data; false at the other side's END."""
        while not self._chunks:
            if self._ended:
                await trio.lowlevel.checkpoint()
                return False
            if self._error:
                raise StreamLost(self._error, stream=self.id)
            reader = self._reader
            if reader is not None and reader.is_free:
                self._leads = True
                try:
                    await reader.lead(self._is_heard)
                finally:
                    self._leads = False
            else:
                self._receiver = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort_receiver)
            if self._closed:
                raise trio.ClosedResourceError
        return True

    def _is_heard(self) -> bool:
        return bool(self._chunks or self._ended or self._error or self._closed)

    def _abort_sender(self, _: object) -> trio.lowlevel.Abort:
        self._sender = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _abort_receiver(self, _: object) -> trio.lowlevel.Abort:
        self._receiver = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake_receiver(self) -> None:
        task, self._receiver = self._receiver, None
        if task is not None:
            trio.lowlevel.reschedule(task)
        elif self._leads and self._reader is not None:
            self._reader.interrupt()

    def _wake_sender(self) -> None:
        task, self._sender = self._sender, None
        if task is not None:
            trio.lowlevel.reschedule(task)
