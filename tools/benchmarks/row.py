"""One line of the bench table, and how it is reached."""

from collections.abc import Callable
from statistics import median
from typing import Literal, NamedTuple

Better = Literal["higher", "lower"]
Measure = Callable[[], float]


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


def measure(work: Work, rounds: int) -> Row:
    """Ours and theirs in turn, `rounds` times each: what disturbs the machine disturbs both."""
    ours: list[float] = []
    theirs: list[float] = []
    note = ""
    for _ in range(rounds):
        ours.append(work.ours())
        if not note:
            try:
                theirs.append(work.theirs())
            except PeerMissing as missing:
                note = str(missing)
    mine = median(ours)
    if note:
        return Row(work.name, mine, None, work.unit, work.peer, work.better, None, work.goal, None, note)
    other = median(theirs)
    ratio = mine / other
    met = ratio >= work.goal if work.better == "higher" else ratio <= work.goal
    return Row(work.name, mine, other, work.unit, work.peer, work.better, round(ratio, 3), work.goal, met)
