"""Time as a value: machines are handed the time, they never ask for it."""

from typing import NewType

Instant = NewType("Instant", float)
"""Seconds on a monotonic clock (`trio.current_time()` in shells). Only differences mean anything."""

WallTime = NewType("WallTime", int)
"""Seconds since 1970-01-01 UTC by this machine's clock: for display and advisory ends, never for order."""
