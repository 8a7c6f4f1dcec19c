"""One request and its reply on a stream of their own: what both sides of `ChannelManager.call` share."""

from collections.abc import Callable, Iterable

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.net.protocols import StreamHandler
from nzcore.net.stream import Stream

REPLY_BYTES = 1 << 20
"""Largest reply that `call` takes, unless told otherwise."""


async def read_all(stream: Stream, max_bytes: int) -> bytes:
    """Everything up to the other side's END. *Raises* PeerError `net.reply-too-long`, StreamLost."""
    data = bytearray()  # not a list of what came: a byte at a time, its objects would take fifty times as much
    while chunk := await stream.receive_some():
        if len(data) + len(chunk) > max_bytes:
            raise PeerError("net.reply-too-long", limit=max_bytes)
        data += chunk
    return bytes(data)


def answering(
    answer: Callable[[NodeId, bytes], Iterable[bytes] | bytes], max_bytes: int = REPLY_BYTES
) -> StreamHandler:
    """A handler for `call`: reads one request, sends what `answer(peer, request)` returns."""

    async def handle(stream: Stream) -> None:
        request = await read_all(stream, max_bytes)
        reply = answer(stream.peer, request)
        for part in [reply] if isinstance(reply, bytes) else reply:
            await stream.send_all(part)
        await stream.send_eof()

    return handle
