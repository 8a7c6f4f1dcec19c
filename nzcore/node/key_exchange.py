"""New discovery keys for peers that are connected, over `/nz/discovery/1` (spec/discovery.md §7).

HELLO carries the key when a channel opens; this is for channels that are open when the key changes.
"""

import trio

from nzcore.base.errors import NzError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.crypto.secrets import KEY_BYTES
from nzcore.net.manager import ChannelManager
from nzcore.net.requests import answering
from nzcore.node.discovery_keys import DiscoveryKeys
from nzcore.proto.discovery.pseudonym import DiscoveryKey

PROTOCOL = "/nz/discovery/1"

TELL_S = 10.0
"""Seconds that a connected peer has to take a new key; else it gets it when it next connects."""


class KeyExchange:
    """Gives the own key and takes those of others, while `run` runs."""

    def __init__(self, keys: DiscoveryKeys, channels: ChannelManager) -> None:
        self._keys = keys
        self._channels = channels
        self._changed = trio.Event()

    def spread(self) -> None:
        """The own key has changed: connected peers get it at once, because when the channel ends, they may need it to
        find this node."""
        self._changed.set()

    async def run(self) -> None:
        """Gives and takes keys until cancelled."""
        end = self._channels.serve(PROTOCOL, answering(self._take, KEY_BYTES), Scope.CONNECT)
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._changed = trio.Event()
                    for one in self._channels.links:
                        if self._keys.owes(one.link.peer):
                            nursery.start_soon(self._give, one.link.peer, self._keys.own)
                    await self._changed.wait()
        finally:
            end()

    def _take(self, peer: NodeId, key: bytes) -> bytes:
        """*Raises* PeerError `discovery.bad-key`, which resets the stream."""
        self._keys.learn(peer, key)
        return b""

    async def _give(self, peer: NodeId, key: DiscoveryKey) -> None:
        try:
            await self._channels.call(peer, PROTOCOL, key.reveal(), timeout_s=TELL_S, max_bytes=0)
        except NzError:  # gone, or of a version that knows HELLO only: then its next HELLO has it
            return
        self._keys.note_told(peer, key.reveal())
