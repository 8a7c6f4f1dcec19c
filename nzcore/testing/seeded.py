"""Runs that repeat: virtual time, and a scheduler whose choices come from a seed.

Trio shuffles tasks that are ready at once, on purpose. Its own hooks for tests make that order depend on a seed; they
are private, so this module is the only place that touches them. Randomness that the cryptography draws can't be seeded
and must not be compared.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio
import trio._core._run as _run  # the hooks that Trio keeps for this purpose
from trio.testing import MockClock

T = TypeVar("T")


@contextmanager
def seeded_scheduling(seed: int) -> Iterator[None]:
    """Inside, tasks that are ready at once run in an order that `seed` decides. For one Trio run at a time."""
    hooks = vars(_run)
    before = hooks["_r"], hooks["_ALLOW_DETERMINISTIC_SCHEDULING"]
    hooks["_r"], hooks["_ALLOW_DETERMINISTIC_SCHEDULING"] = random.Random(seed), True  # noqa: S311 - no secret
    try:
        yield
    finally:
        hooks["_r"], hooks["_ALLOW_DETERMINISTIC_SCHEDULING"] = before


def run_seeded(seed: int, main: Callable[[], Awaitable[T]]) -> T:
    """What `main` returns, run under a clock that jumps over all waiting, in an order that `seed` decides."""
    with seeded_scheduling(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0))
