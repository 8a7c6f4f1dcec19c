"""`nzcore topic …`: what services publish, here and at connected peers."""

import json
from typing import Any

import click

from nzcore.cli.frame import Group, Seconds
from nzcore.cli.output import json_line
from nzcore.cli.session import Session


@click.group("topic", cls=Group)
def command() -> None:
    """Messages by topic, here and at peers: publish, follow."""


@command.command("pub", example="""nzcore topic pub kitchen.tea '{"ready": true}'""")
@click.argument("topic")
@click.argument("body", required=False)
@click.pass_obj
def publish(session: Session, topic: str, body: str | None) -> None:
    """Publish a message to whoever follows its topic, here and at connected peers.

    BODY is JSON; what is not, is taken as text; without it, the message is null. A message reaches each follower at
    most once, and nobody who comes later.
    """
    session.call("topic.pub", {"topic": topic, "body": None if body is None else _read(body)})
    session.show({}, lambda _: [f"published on {topic}"])


@command.command("sub", example='nzcore topic sub "kitchen.**" --for 0.1')
@click.argument("pattern", default="**")
@click.option("--for", "seconds", type=Seconds(min=0, min_open=True), metavar="S", help="End after S seconds.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N messages.")
@click.pass_obj
def follow(session: Session, pattern: str, seconds: float | None, count: int | None) -> None:
    """Show what is published here and by connected peers, as it comes.

    Goes on until Ctrl-C. PATTERN picks topics: * is one word, ** any number of them. With --json, one message a line.
    """
    messages = session.stream("topic.sub", {"pattern": pattern}, for_s=seconds)
    for seen, message in enumerate(messages, 1):
        session.show(message, lambda one: [f"{one['name'] or 'here'}  {one['topic']}  {json_line(one['body'])}"])
        if seen == count:
            break
    messages.close()


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
