"""What the network must know of this node: handed in by the node, asked for anew whenever it is needed."""

from collections.abc import Callable
from typing import NamedTuple

from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.channel.hello import Hello
from nzcore.proto.handshake.payload import Introduction
from nzcore.proto.handshake.verdict import Directory
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.trust.view import TrustView


class Local(NamedTuple):
    """This node as its channels see it. `keys` is a function because keys rotate while the node runs."""

    keys: Callable[[], NodeKeys]
    boot: bytes
    """16 random bytes of this process."""
    introduction: Introduction
    directory: Directory
    trust: TrustView
    hello: Callable[[], Hello]
    channels: ChannelConfig
