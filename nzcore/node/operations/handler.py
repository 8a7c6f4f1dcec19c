"""What a handler is: a function of the node and the operation's arguments, with a way to send items."""

from typing import Any, Protocol

from nzcore.ipc.connection import SendItem
from nzcore.node.node import Node


class Handler(Protocol):
    """Answers at once, or returns an awaitable of the answer; a stream sends its items through `send` and returns None.

    Errors climb: the face that called turns them into its own refusals.
    """

    def __call__(self, node: Node, args: Any, send: SendItem) -> object: ...
