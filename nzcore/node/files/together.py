"""A nursery whose tasks do one thing together: when one of them meets an error of ours, that is the error of all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from nzcore.base.errors import NzError, PeerError
from nzcore.base.groups import leaves
from nzcore.net.stream import StreamLost


@asynccontextmanager
async def together() -> AsyncIterator[trio.Nursery]:
    """*Raises* the NzError that ended it: the peer's word first, a lost stream only where nothing else is known."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        errors = list(leaves(group))
        ours = [error for error in errors if isinstance(error, NzError | trio.ClosedResourceError)]
        if not ours or len(ours) < len(errors):
            raise
        raise min(ours, key=_rank) from None


def _rank(error: BaseException) -> int:
    """The smaller, the more it tells."""
    if isinstance(error, PeerError):
        return 0
    if isinstance(error, StreamLost):
        return 2
    return 1 if isinstance(error, NzError) else 3
