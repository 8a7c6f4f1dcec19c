"""Command line of `tools/prove`."""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Mapping

from tools.proofs import fuzz, long, soak, vectors
from tools.proofs.report import Report

CRASHES = 200
FAULTS = 1000
KILLS = 50


def _fuzz(options: argparse.Namespace) -> list[Report]:
    return fuzz.prove(seconds=options.seconds, seed=options.seed, names=options.target)


def _crash(options: argparse.Namespace) -> list[Report]:
    return _in_this_process("crash", options.count or CRASHES, options.seed)


def _faults(options: argparse.Namespace) -> list[Report]:
    return _in_this_process("faults", options.count or FAULTS, options.seed)


def _fabric(options: argparse.Namespace) -> list[Report]:
    return _in_this_process("fabric", options.count or KILLS, options.seed)


def _vectors(_options: argparse.Namespace) -> list[Report]:
    return vectors.prove()


def _soak(options: argparse.Namespace) -> list[Report]:
    return soak.prove(options.count or soak.CONNECTS)


def _world(_options: argparse.Namespace) -> list[Report]:
    return long.prove("world", "tests/world")


def _mdns(_options: argparse.Namespace) -> list[Report]:
    return long.prove("mdns", "tests/node/test_discovery_real.py")


def _first_use(_options: argparse.Namespace) -> list[Report]:
    return long.prove("first-use", "tests/ground/test_environments.py")


PROOFS: Mapping[str, tuple[str, Callable[[argparse.Namespace], list[Report]]]] = {
    "vectors": ("every vector comes out the same when it is made again", _vectors),
    "crash": ("the store is killed at its writes and opens with what it had committed", _crash),
    "faults": ("seeded faults in services and subscribers; the node serves on", _faults),
    "fabric": ("two nodes are killed while one delivers to the other; nothing is lost, nothing handled twice", _fabric),
    "world": ("a hundred whole nodes; more seeds of chance; cancellation at every single step", _world),
    "mdns": ("nodes find each other by multicast in network namespaces, IPv4 and IPv6 (needs root)", _mdns),
    "first-use": ("an environment is made and mended with the installer's own venv and pip", _first_use),
    "soak": ("thousands of connects leave no task, no descriptor and no memory behind", _soak),
    "fuzz": ("any bytes into any parser end in a value or PeerError", _fuzz),
}


def _in_this_process(name: str, count: int, seed: int) -> list[Report]:
    """A proof whose module's `prove(count, seed)` returns its figures and raises when it fails; imported only where it
    is asked for, because whole nodes come along."""
    prove: Callable[[int, int], dict[str, object]] = importlib.import_module(f"tools.proofs.{name}").prove
    try:
        return [Report(name, True, prove(count, seed))]
    except AssertionError as broken:
        return [Report(name, False, {"error": str(broken)})]


def main(arguments: list[str]) -> int:
    """Prints a line a proof as it ends; exit status 1 when one does not hold."""
    about = "\n".join(f"  {name:<9} {text}" for name, (text, _) in PROOFS.items())
    parser = argparse.ArgumentParser(
        prog="tools/prove",
        description="Runs the long proofs, all of them or those named.",
        epilog=f"proofs:\n{about}\n\nexample: tools/prove fuzz --seconds 60 --target cbor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="a proof; none means all")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed gives the same inputs and faults (default 1)"
    )
    parser.add_argument("--seconds", type=float, default=30, help="fuzz: time for each target (default 30)")
    defaults = f"{CRASHES}, {FAULTS}, {KILLS}, {soak.CONNECTS}"
    parser.add_argument("--count", type=int, help=f"how many crashes, faults, kills or connects (default {defaults})")
    parser.add_argument("--target", action="append", default=[], help="fuzz: only this target; repeatable")
    options = parser.parse_args(arguments)
    for name in options.name:
        if name not in PROOFS:
            parser.error(f"there is no proof {name!r}; there are {', '.join(PROOFS)}")
    held = True
    for name in options.name or PROOFS:
        start = time.perf_counter()
        reports = PROOFS[name][1](options)
        seconds = round(time.perf_counter() - start, 1)
        for report in reports:
            timed = report if len(reports) > 1 else report._replace(facts={**report.facts, "seconds": seconds})
            print(timed.line(as_json=options.json), flush=True)
            held &= report.ok
    return 0 if held else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
