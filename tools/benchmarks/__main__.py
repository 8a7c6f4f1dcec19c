"""Command line of `tools/bench`: a table for people, one JSON array for programs."""

import argparse
import json
import sys

from tools.benchmarks import peers
from tools.benchmarks.row import PeerMissing, Row, measure
from tools.benchmarks.works import works

ROUNDS = 5


def main(arguments: list[str]) -> int:
    """Exit status 0 when everything was measured, whether or not goals are met; 1 when a work does not run."""
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Measures nzcore beside its peers, in turn, in one run."
    )
    parser.add_argument("--only", action="append", metavar="WORK", help="measure this one; repeatable")
    parser.add_argument("--json", action="store_true", help="one array of rows")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"figures that a median is of (default {ROUNDS})")
    parser.add_argument("--with-peers", action="store_true", help="first install the peers into .venv-peers")
    options = parser.parse_args(arguments)
    if options.with_peers:
        try:
            peers.install()
        except PeerMissing as missing:
            print(f"{missing}; measuring without them", file=sys.stderr)
    rows: list[Row] = []
    failed = False
    with works() as known:
        unknown = set(options.only or ()) - {work.name for work in known}
        if unknown:
            parser.error(
                f"there is no work {', '.join(sorted(unknown))}; there are {', '.join(work.name for work in known)}"
            )
        for work in known:
            if options.only and work.name not in options.only:
                continue
            try:
                rows.append(measure(work, max(1, options.rounds)))
            except (RuntimeError, OSError, ImportError) as error:
                print(f"{work.name} does not run: {error}", file=sys.stderr)
                failed = True
            else:
                if not options.json:
                    print(human(rows[-1]), flush=True)
    if options.json:
        print(json.dumps([row._asdict() for row in rows]))
    return 1 if failed else 0


def human(row: Row) -> str:
    """One line: what, ours, theirs, ratio against the goal."""
    figures = f"{row.work:<26} {_number(row.ours):>12} {row.unit:<11}"
    if row.theirs is None or row.ratio is None:
        return f"{figures} {row.peer}: {row.note}"
    sign = "≥" if row.better == "higher" else "≤"
    verdict = "met" if row.met else "MISSED"
    ratio = f"{row.ratio:>8.2f} ×  {sign} {row.goal:g} ×  {verdict:<6}"
    return f"{figures} {_number(row.theirs):>12} {row.peer:<28} {ratio}{_cpu(row)}"


def _cpu(row: Row) -> str:
    """CPU time of both processes for one unit, ours and theirs."""
    times = [_number(time) for time in (row.ours_cpu, row.theirs_cpu) if time is not None]
    return f"  cpu {' : '.join(times)} {row.cpu_unit}" if times else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
