"""Everything that `tools/test` checks, in order, each step with its time; later steps run even when one fails."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
COVERAGE = (sys.executable, "-m", "coverage")
PYTHON_CODE = ("nzcore", "modules", "tools", "tests")
TESTS = ("pytest", "-q", "--durations=5", "-n", "2", "--dist", "loadfile")  # tests of one file share nodes


class Step(NamedTuple):
    """Named commands, run until one fails; `live` ones write to the terminal, others are shown only when they fail."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    live: bool = False
    after: str = ""  # the step without which this one says nothing


STEPS = (
    Step("format", ((str(BIN / "ruff"), "format", "--check", *PYTHON_CODE),)),
    Step("lint", ((str(BIN / "ruff"), "check", *PYTHON_CODE),)),
    Step("types", ((str(BIN / "mypy"),),)),  # strict; its files are named in pyproject.toml
    Step("floors", ((str(BIN / "lint-imports"),),)),
    Step("tests", ((*COVERAGE, "erase"), (*COVERAGE, "run", "-m", *TESTS)), live=True),
    Step("coverage", ((*COVERAGE, "combine", "-q"), (*COVERAGE, "report")), after="tests"),
)


def run(step: Step) -> bool:
    """Runs a step and prints its line. Returns whether it passed."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    start = time.perf_counter()
    if step.live:
        print(f"      {step.name} …", flush=True)
    pipe = None if step.live else subprocess.PIPE
    errors = None if step.live else subprocess.STDOUT
    passed = True
    for command in step.commands:
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=pipe, stderr=errors)
        if done.returncode != 0:
            print(done.stdout or "", end="")
            passed = False
            break
    print(f"{'ok  ' if passed else 'FAIL'}  {step.name:<10} {time.perf_counter() - start:6.1f} s", flush=True)
    return passed


def main() -> int:
    """Exit status 0 when every step passed."""
    start = time.perf_counter()
    failed: list[str] = []
    for step in STEPS:
        if step.after in failed:
            print(f"skip  {step.name:<10} says nothing while {step.after} fail")
        elif not run(step):
            failed.append(step.name)
    verdict = f"failed: {', '.join(failed)}" if failed else "all passed"
    print(f"{verdict} ({time.perf_counter() - start:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
