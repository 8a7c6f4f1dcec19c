"""The list of what is measured, with its goals."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from tools.benchmarks import node, work_bus, work_ipc, work_store
from tools.benchmarks.row import Work


@contextmanager
def works() -> Iterator[list[Work]]:
    """All works; the node that some of them need is started at the first of these and stopped at the end."""
    with ExitStack() as stack:

        @cache
        def home() -> Path:
            return stack.enter_context(node.running())

        yield [
            Work("bus", "events/s", "higher", 1, "floor", lambda: work_bus.measure()["one"], floor(1_000_000)),
            Work("cli-state", "ms", "lower", 6, "python -c pass", lambda: node.state_ms(home()), node.pass_ms),
            Work("ready", "s", "lower", 1, "goal", node.seconds_to_ready, floor(1.0)),
            *_store(),
            Work("ipc", "requests/s", "higher", 1, "floor", lambda: work_ipc.measure()["sequential"], floor(5_000)),
        ]


def _store() -> list[Work]:
    """Ours and the peer's come from one measurement, which runs them one after the other on the same disk."""

    def work(name: str, goal: float, peer: str, ours: str, theirs: str) -> Work:
        latest: dict[str, float] = {}

        def measure() -> float:
            latest.update(work_store.measure())
            return latest[ours]

        return Work(name, "/s", "higher", goal, peer, measure, lambda: latest[theirs])

    return [
        work("store-put", 0.5, "sqlite3, commits of 100", "put", "plain"),
        work("store-put-single", 10, "sqlite3, commits of 1", "put", "plain_single"),
        work("store-get", 3, "one call at a time", "get", "get_single"),
    ]


def floor(figure: float) -> Callable[[], float]:
    """A peer that always gives the figure of the goal itself."""
    return lambda: figure
