"""What is done with a peer ends in the instant in which this node takes its trust in it back, and says so.

The channel that is cut then tells the peer that it is trusted no more; told to whoever waits here, the same words would
accuse the wrong side. And what waits for a peer to come back would wait for one that nobody dials any more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from nzcore.base.errors import UnavailableError
from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.node.node import Node


@contextmanager
def while_trusted(node: Node, peer: NodeId) -> Iterator[None]:
    """Cancels its block when `peer` may connect no more. *Raises* UnavailableError `net.no-trust` then."""
    is_lost = False

    def listen(who: NodeId, before: frozenset[Scope], after: frozenset[Scope]) -> None:
        nonlocal is_lost
        if who == peer and Scope.CONNECT in before - after:
            is_lost = True
            scope.cancel()

    unsubscribe = node.trust.subscribe(listen)
    try:
        with trio.CancelScope() as scope:
            yield
        if not scope.cancelled_caught:
            return  # it was done already when trust ended
    except UnavailableError as error:  # of the channel that was cut, where that was heard first
        if is_lost:
            raise _withdrawn(peer) from error
        raise
    finally:
        unsubscribe()
    raise _withdrawn(peer)


def _withdrawn(peer: NodeId) -> UnavailableError:
    return UnavailableError("net.no-trust", "this node has taken its trust in the peer back", node=peer)
