"""Supervision policy as data (spec/core.md §5): restart types, strategies, back-off.

The words and their meaning are those of Erlang/OTP's supervisor, except where the specification says otherwise.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class Restart(StrEnum):
    """When an ended service is started again."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # only after an abnormal end
    TEMPORARY = "temporary"  # never


class Strategy(StrEnum):
    """Who is restarted with a service that is restarted."""

    ONE_FOR_ONE = "one_for_one"  # nobody
    ONE_FOR_ALL = "one_for_all"  # everybody
    REST_FOR_ONE = "rest_for_one"  # those after it in start order, so its dependants too


class Backoff(NamedTuple):
    """Seconds before the n-th restart in a row: `initial_s · factor^(n−1)`, at most `max_s`, spread by ± `jitter`."""

    initial_s: float = 0.1
    factor: float = 2.0
    max_s: float = 30.0
    jitter: float = 0.2

    def delay(self, streak: int, rng: Callable[[], float]) -> float:
        """Seconds to wait before restart number `streak` (from 1); `rng` gives floats in [0, 1)."""
        if self.factor > 1 and self.initial_s > 0:
            streak = min(streak, 1100)  # keeps the power within a float; the maximum rules long before
            try:
                plain = min(self.max_s, self.initial_s * self.factor ** (streak - 1))
            except OverflowError:
                plain = self.max_s
        else:
            plain = min(self.max_s, self.initial_s)
        return plain * (1 + self.jitter * (2 * rng() - 1))
