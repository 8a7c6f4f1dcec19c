"""Proofs that are tests: those marked `long`, which `tools/test` leaves out.

A slice of each runs with every change, beside it in the same file. These take minutes, or need what few machines have.
"""

import re
import subprocess
import sys
from pathlib import Path

from tools.proofs.report import Report

ROOT = Path(__file__).resolve().parents[2]


def prove(name: str, *paths: str) -> list[Report]:
    """One report of the long tests in `paths`. A proof of which nothing could run does not hold."""
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-m", "long", *paths]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [_report(name, done.returncode, done.stdout)]


def _report(name: str, status: int, said: str) -> Report:
    """What the words of pytest come to."""
    *_, last = said.strip().splitlines() or [""]
    counted = re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", last)
    facts: dict[str, object] = {outcome: int(number) for number, outcome in counted}
    held = status == 0 and "passed" in facts and "skipped" not in facts
    if not held:
        reasons = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR", "SKIPPED"))]
        facts["error"] = "; ".join(reasons) or last
    return Report(name, held, facts)
