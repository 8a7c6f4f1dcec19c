"""Requests per second over the unix socket: the blocking client here, a Trio server in another process.

The dispatcher answers at once, so what is measured is the way there and back. Pipelined means 32 on the way at once.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trio

from nzcore.ipc.client import Client
from nzcore.ipc.connection import SendItem, Trouble
from nzcore.ipc.server import serve

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = 200  # requests before the clock starts
PIPELINE = 320  # requests in one measured burst


def measure(seconds: float = 1.0) -> dict[str, float]:
    """Requests per second on one connection: `sequential` and `pipelined`, each over half of the seconds."""
    with tempfile.TemporaryDirectory(prefix="nz-bench-") as folder:
        path = Path(folder) / "run" / "nzcore.sock"
        command = [sys.executable, "-m", "tools.benchmarks.work_ipc", str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            try:
                with Client(path) as client:
                    return _measure_with(client, seconds / 2)
            finally:
                server.terminate()


def _measure_with(client: Client, seconds: float) -> dict[str, float]:
    args = {"pattern": "**"}
    burst = [("node.events", args)] * PIPELINE

    def one() -> int:
        client.call("node.events", args)
        return 1

    def many() -> int:
        return len(client.call_many(burst))

    for _ in range(WARM_UP):
        one()
    return {"sequential": _rate(one, seconds), "pipelined": _rate(many, seconds)}


def _rate(ask: Callable[[], int], seconds: float) -> float:
    begun, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        done += ask()
    return done / spent


def _answer(principal: object, operation: str, args: object, send_item: SendItem) -> object:
    return {"operation": operation, "args": args, "healthy": True}


async def _serve(path: Path) -> None:
    def report(trouble: Trouble) -> None:
        print(trouble, file=sys.stderr)

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: serve(path, _answer, report=report, task_status=task_status))
        print("ready", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trio.run(_serve, Path(sys.argv[1]))
    else:
        print(measure())
