"""`nzcore events`: what happens in the node, as it happens."""

import click

from nzcore.cli.commands.up import event_line
from nzcore.cli.frame import Seconds
from nzcore.cli.frame import command as declare
from nzcore.cli.session import Session


@declare("events", example='nzcore events "service.**" --for 0.1')
@click.argument("pattern", default="**")
@click.option("--for", "seconds", type=Seconds(min=0, min_open=True), metavar="S", help="End after S seconds.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.pass_obj
def command(session: Session, pattern: str, seconds: float | None, count: int | None) -> None:
    """Show what happens in the node, as it happens.

    Goes on until Ctrl-C. PATTERN picks topics: * is one word, ** any number of them.
    """
    events = session.stream("node.events", {"pattern": pattern}, for_s=seconds)
    for seen, event in enumerate(events, 1):
        session.show(
            event, lambda item: [event_line({"event": item["topic"], "at": item["at"], "value": item["value"]})]
        )
        if seen == count:
            break
    events.close()
