"""Handlers by protocol name: who may open such a stream, and what then runs in a task of its own."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import trio

from nzcore.base.errors import UsageError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.kernel import Bus
from nzcore.kernel.described import describe
from nzcore.net.stream import Stream, StreamLost
from nzcore.net.wire import Spawn
from nzcore.proto.trust.view import TrustView

StreamHandler = Callable[[Stream], Awaitable[None]]
"""Serves one stream; the stream is closed when it returns or raises."""


class HandlerFailed(NamedTuple):
    """Value of the event `stream.handler-failed`: a handler raised; its stream was reset, nothing else happened."""

    protocol: str
    peer: NodeId
    error: str


class _Entry(NamedTuple):
    handler: StreamHandler
    scope: Scope


class Protocols:
    """The protocols that this node serves."""

    def __init__(self, trust: TrustView, bus: Bus, spawn: Spawn) -> None:
        """`spawn` starts handlers in the nursery that owns them."""
        self._trust = trust
        self._bus = bus
        self._spawn = spawn
        self._entries: dict[str, _Entry] = {}

    def register(self, protocol: str, handler: StreamHandler, scope: Scope) -> Callable[[], None]:
        """Serves `protocol` for peers with `scope`; call the result to stop serving new streams.

        *Raises* UsageError `net.protocol-taken`.
        """
        if protocol in self._entries:
            raise UsageError("net.protocol-taken", f"{protocol} is served already", protocol=protocol)
        self._entries[protocol] = _Entry(handler, scope)
        return lambda: self._entries.pop(protocol, None) and None

    def serve(self, stream: Stream) -> None:
        """Starts the handler of a stream that a peer opened, or refuses it with a code."""
        entry = self._entries.get(stream.protocol)
        if entry is None:
            stream.close("channel.no-protocol")
        elif not self._trust.allows(stream.peer, entry.scope):
            stream.close("channel.out-of-scope")
        else:
            self._spawn(self._run, entry.handler, stream)

    def is_allowed(self, protocol: str, scopes: frozenset[Scope]) -> bool:
        """Whether a stream of this protocol may go on under these scopes; unknown protocols are ours to open."""
        entry = self._entries.get(protocol)
        return entry is None or entry.scope in scopes

    async def _run(self, handler: StreamHandler, stream: Stream) -> None:
        code = "channel.cancelled"
        try:
            await handler(stream)
        except (StreamLost, trio.ClosedResourceError):
            pass  # the other side, or a loss of trust, ended the stream: nobody's fault here
        except Exception as error:  # the crash boundary of handlers: reported, and it ends this stream only
            code = "channel.handler-failed"
            self._bus.emit("stream.handler-failed", HandlerFailed(stream.protocol, stream.peer, describe(error)))
        finally:
            stream.close(code)
