"""`nzcore demo`: real processes in a temporary folder, cleared away however it ends."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from nzcore.cli import output
from nzcore.cli.errors import FAILED
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session


@declare("demo", example="nzcore demo")
@click.option("--keep", is_flag=True, help="Leave the folder, and say how to play on.")
@click.pass_obj
def command(session: Session, keep: bool) -> int:
    """See real nodes live, meet, fail, heal and stop.

    All of it happens in a temporary folder, with processes of its own; nothing is left behind.
    """
    from nzcore.cli.demo.play import Outcome, play
    from nzcore.cli.demo.stage import Stage
    from nzcore.cli.demo.steps import STEPS

    _interrupt_once()
    with Stage(keep=keep) as stage, _display(session, [(step.name, step.summary) for step in STEPS]) as show:
        result = play(stage, STEPS, lambda outcomes: show([Outcome(*outcome) for outcome in outcomes]))
    if keep:
        result["folder"] = str(stage.folder)
    if session.json:
        output.write(output.json_line(result))
    else:
        output.show(_end(result))
    return 0 if result["ok"] else FAILED


def _interrupt_once() -> None:
    """Ctrl-C, SIGTERM and a closed terminal end the play alike; once it ends, none of them disturbs the clearing up.

    What the process was started to ignore, as under nohup, stays ignored.
    """

    def interrupt(*_: object) -> None:
        for number in heeded:
            signal.signal(number, lambda *_: None)  # SIG_IGN would be inherited, and complains of one on its way
        raise KeyboardInterrupt

    every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in every if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, interrupt)


@contextmanager
def _display(session: Session, steps: list[tuple[str, str]]) -> Iterator[Callable[[list[Any]], None]]:
    """Shows the play as it goes on: a live table on a terminal, a line a step elsewhere, nothing with --json."""
    if session.json:
        yield lambda outcomes: None
    elif sys.stdout.isatty():
        from rich.live import Live

        with Live(_drawn(steps, []), refresh_per_second=10) as live:
            yield lambda outcomes: live.update(_drawn(steps, outcomes), refresh=True)
    else:
        yield lambda outcomes: output.show([_line(outcomes[-1])])


def _line(outcome: Any) -> output.Line:
    mark = "ok" if outcome.ok else "FAILED"
    return output.Line(f"{mark:<6}  {outcome.name:<8}  {outcome.seconds:6.2f} s  {outcome.detail}")


def _drawn(steps: list[tuple[str, str]], outcomes: list[Any]) -> Any:
    rows = []
    for index, (name, summary) in enumerate(steps):
        if index < len(outcomes):
            done = outcomes[index]
            rows.append([name, "ok" if done.ok else "FAILED", f"{done.seconds:.2f} s", output.clean(done.detail)])
        else:
            running = index == len(outcomes) and all(done.ok for done in outcomes)
            rows.append([name, "…" if running else "", "", summary])
    return output.rich_table(("step", "", "time", "what came of it"), rows)


def _end(result: dict[str, Any]) -> Iterator[output.Block]:
    yield ""
    if result["ok"]:
        yield output.Line("all steps went well", "green")
    else:
        yield output.Line(f"failed: {result['steps'][-1]['detail']}", "red")
    if folder := result.get("folder"):
        yield f"play on:  nzcore --home {folder}/alice up -d"
        yield f"          nzcore --home {folder}/bob up -d"
        yield f"          nzcore --home {folder}/alice peer ping bob"
        yield f"          nzcore --home {folder}/alice state"
        yield f"clear up: nzcore --home {folder}/alice down"
        yield f"          nzcore --home {folder}/bob down"
        yield f"          rm -r {folder}"
