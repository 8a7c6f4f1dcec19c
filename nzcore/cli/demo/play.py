"""Plays the steps one after the other; the first failure ends the play, whatever runs is cleared away."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nzcore.base.errors import NzError
from nzcore.cli.demo.stage import Stage
from nzcore.cli.demo.steps import Step


class Outcome(NamedTuple):
    """What came of a step."""

    name: str
    ok: bool
    seconds: float
    detail: str


def play(stage: Stage, steps: Sequence[Step], on_change: Callable[[list[Outcome]], None]) -> dict[str, Any]:
    """Plays all steps; `{ok, steps, pids}`. `on_change` sees the outcomes so far after each."""
    outcomes: list[Outcome] = []
    for step in steps:
        began = time.monotonic()
        try:
            detail, ok = step.act(stage), True
        except NzError as error:
            detail, ok = error.message, False
        outcomes.append(Outcome(step.name, ok, round(time.monotonic() - began, 3), detail))
        on_change(outcomes)
        if not ok:
            break
    return {"ok": all(o.ok for o in outcomes), "steps": [o._asdict() for o in outcomes], "pids": stage.pids}
