"""Where blocking work is done: in a thread, so that the node goes on, or at once under a virtual clock."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import trio

T = TypeVar("T")


class Offload(Protocol):
    """Runs blocking work so that the node goes on: in a thread, except under a virtual clock."""

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T: ...


async def in_thread(function: Callable[..., T], /, *args: Any) -> T:
    """Work in a thread; cancelled, it is waited for, so that no thread writes on after its owner has ended."""
    return await trio.to_thread.run_sync(function, *args)


async def in_spare_thread(function: Callable[..., T], /, *args: Any) -> T:
    """Work in a thread; cancelled, it is left to itself: strangers' code may never end."""
    return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=True)


async def inline(function: Callable[..., T], /, *args: Any) -> T:
    """Work at once, for runs under a virtual clock, which would not wait for a thread."""
    await trio.lowlevel.checkpoint()
    return function(*args)
