"""One line of the bench table, and how it is reached."""

from collections.abc import Callable
from statistics import median
from typing import Literal, NamedTuple

Better = Literal["higher", "lower"]


class Figure(NamedTuple):
    """What one round gave, and the CPU time of all processes that took part, for one unit of the work."""

    value: float
    cpu: float


Measure = Callable[[], float | Figure]


class PeerMissing(Exception):
    """The peer is not installed here; says how to get it."""


class Work(NamedTuple):
    """Something to measure. The goal bounds ours / theirs; a floor is a peer that always gives the same figure."""

    name: str
    unit: str
    better: Better
    goal: float
    peer: str
    ours: Measure
    theirs: Measure
    cpu_unit: str = ""
    """What `Figure.cpu` is in, where figures come with it."""


class Row(NamedTuple):
    """What came out. Figures are medians in `unit`.

    `theirs`, `ratio` and `met` are None when the peer is missing; `note` says why.
    """

    work: str
    ours: float
    theirs: float | None
    unit: str
    peer: str
    better: Better
    ratio: float | None
    goal: float
    met: bool | None
    note: str = ""
    cpu_unit: str = ""
    ours_cpu: float | None = None
    theirs_cpu: float | None = None
    """CPU time beside the wall-clock that the ratio is of: what is left of a figure on a busy machine."""


def measure(work: Work, rounds: int) -> Row:
    """Ours and theirs in turn, `rounds` times each: what disturbs the machine disturbs both."""
    ours: list[float | Figure] = []
    theirs: list[float | Figure] = []
    note = ""
    for _ in range(rounds):
        ours.append(work.ours())
        if not note:
            try:
                theirs.append(work.theirs())
            except PeerMissing as missing:
                note = str(missing)
    mine = median(map(_value, ours))
    row = Row(work.name, mine, None, work.unit, work.peer, work.better, None, work.goal, None, note)
    row = row._replace(cpu_unit=work.cpu_unit, ours_cpu=_cpu(ours))
    if note:
        return row
    other = median(map(_value, theirs))
    ratio = mine / other
    met = ratio >= work.goal if work.better == "higher" else ratio <= work.goal
    return row._replace(theirs=other, ratio=round(ratio, 3), met=met, theirs_cpu=_cpu(theirs))


def _value(figure: float | Figure) -> float:
    return figure.value if isinstance(figure, Figure) else figure


def _cpu(figures: list[float | Figure]) -> float | None:
    known = [figure.cpu for figure in figures if isinstance(figure, Figure)]
    return median(known) if known else None
