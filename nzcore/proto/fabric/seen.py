"""Which deliveries of an origin are kept already (spec/fabric.md §6): numbers in ranges above a floor.

A value without memory of bodies: what it costs grows with gaps, and gaps only stand for what still waits elsewhere.
"""

from bisect import bisect_right
from typing import Any, NamedTuple

from nzcore.base.errors import UnavailableError
from nzcore.proto.fabric.limits import MAX_NUMBER, OUTBOX_BYTES

RANGES = 1024
"""Gaps that are remembered of one outbox: as many as may wait in one."""

OUTBOXES = 4
"""Numberings that are remembered of one origin: a new one follows a restored or lost store."""


class Numbers(NamedTuple):
    """Numbers that were kept: everything below `floor`, and the ranges (both ends included), ascending, apart."""

    floor: int = 1
    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        at = bisect_right(self.ranges, (number, MAX_NUMBER)) - 1
        return number < self.floor or (at >= 0 and self.ranges[at][0] <= number <= self.ranges[at][1])

    def raised(self, floor: int) -> "Numbers":
        """With a higher floor, and without the ranges that it covers."""
        if floor <= self.floor:
            return self
        kept = tuple((max(first, floor), last) for first, last in self.ranges if last >= floor)
        return Numbers(floor, kept)._settled()

    def with_number(self, number: int) -> "Numbers":
        """With one number more."""
        if number in self:
            return self
        at = bisect_right(self.ranges, (number, MAX_NUMBER))
        first = last = number
        before, after = self.ranges[:at], self.ranges[at:]
        if before and before[-1][1] == number - 1:
            first, before = before[-1][0], before[:-1]
        if after and after[0][0] == number + 1:
            last, after = after[0][1], after[1:]
        return Numbers(self.floor, (*before, (first, last), *after))._settled()

    @property
    def is_full(self) -> bool:
        return len(self.ranges) >= RANGES

    def _settled(self) -> "Numbers":
        """A range that begins at the floor is below it."""
        if self.ranges and self.ranges[0][0] <= self.floor:
            return Numbers(self.ranges[0][1] + 1, self.ranges[1:])
        return self


class Seen:
    """What was kept of one origin, by outbox, the latest used last."""

    def __init__(self, outboxes: dict[bytes, Numbers] | None = None) -> None:
        self._outboxes = dict(outboxes or {})

    def copy(self) -> "Seen":
        return Seen(self._outboxes)

    def note_floor(self, outbox: bytes, floor: int) -> None:
        """The origin will send nothing below `floor` any more."""
        self._use(outbox, self._outboxes.get(outbox, Numbers()).raised(floor))

    def has(self, outbox: bytes, number: int) -> bool:
        return number in self._outboxes.get(outbox, Numbers())

    def is_full(self, outbox: bytes) -> bool:
        """Whether no further gap can be remembered."""
        return self._outboxes.get(outbox, Numbers()).is_full

    def add(self, outbox: bytes, number: int) -> None:
        self._use(outbox, self._outboxes.get(outbox, Numbers()).with_number(number))

    def plain(self) -> list[Any]:
        """As plain values, for the store."""
        return [
            [outbox, numbers.floor, [end for ends in numbers.ranges for end in ends]]
            for outbox, numbers in self._outboxes.items()
        ]

    @classmethod
    def of(cls, value: object) -> "Seen":
        """*Raises* UnavailableError `store.damaged-row` for what `plain` did not make."""
        try:
            return cls(dict(map(_numbers, value)))  # type: ignore[call-overload]  # whatever is wrong shows
        except (TypeError, ValueError) as error:
            raise UnavailableError("store.damaged-row") from error

    def _use(self, outbox: bytes, numbers: Numbers) -> None:
        self._outboxes.pop(outbox, None)
        self._outboxes[outbox] = numbers
        if len(self._outboxes) > OUTBOXES:
            del self._outboxes[next(iter(self._outboxes))]


def _numbers(row: Any) -> tuple[bytes, Numbers]:
    outbox, floor, ends = row
    if type(outbox) is not bytes or len(outbox) != OUTBOX_BYTES or type(floor) is not int:
        raise ValueError
    ranges = tuple(zip(ends[::2], ends[1::2], strict=True))
    order = [floor, *(end for ends in ranges for end in ends)]
    if any(type(end) is not int for end in order) or order != sorted(order):
        raise ValueError
    return outbox, Numbers(floor, ranges)
