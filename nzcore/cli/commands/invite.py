"""`nzcore invite`: a ticket for one more node, as text and QR code; then waits until somebody has joined."""

import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.errors import NzError, UsageError
from nzcore.base.scopes import Scope
from nzcore.cli import output, qr
from nzcore.cli.arriving import need_node
from nzcore.cli.files import FILE, write_new
from nzcore.cli.frame import command as declare
from nzcore.cli.names import ticket_ids
from nzcore.cli.session import Session

_TTL_S = 600
_TEXT_LINES = 8  # around a QR code on a terminal
_WORKS = {
    "machine": "on this machine only",
    "network": "on the local network",
    "internet": "from the internet, as far as routers and firewalls let it",
}
_ONLY_HERE = "the node listens nowhere else: see `nzcore config get net.listen`, or say --advertise HOST:PORT"
_TICKET = re.compile("[0-9a-f]{16}")


@declare("invite", example="nzcore invite --no-wait")
@click.option("--ttl", type=click.IntRange(1, 30 * 86_400), default=_TTL_S, metavar="S", help="Seconds it lives; 600.")
@click.option("--uses", type=click.IntRange(1, 1000), default=1, metavar="N", help="How many nodes may join; 1.")
@click.option("--qr", "show_qr", is_flag=True, help="Show the QR code also where this is no terminal.")
@click.option("--qr-png", type=FILE, metavar="F", help="Write the QR code to a new picture, readable by you only.")
@click.option("--no-wait", is_flag=True, help="Don't wait until somebody has joined.")
@click.option(
    "--advertise",
    multiple=True,
    metavar="HOST:PORT",
    callback=lambda ctx, param, value: [address_of(ctx, param, text) for text in value],
    help="Another address at which the node is reached; may be repeated.",
)
@click.option("--no-sync", is_flag=True, help="Don't let them see whom you trust with what.")
@click.option("--list", "list_all", is_flag=True, help="List the tickets that are remembered.")
@click.option("--cancel", metavar="TID", shell_complete=ticket_ids, help="Take a ticket back.")
@click.pass_obj
def command(session: Session, /, **options: Any) -> None:
    """Invite another node: a ticket, as text and QR code.

    Whoever has it can become a peer until it expires, so hand it over with care. The other side types `nzcore join`,
    or scans the QR code.
    """
    if options["list_all"]:
        session.show(session.call("pair.list"), _table)
        return
    if options["cancel"] is not None:
        if not _TICKET.fullmatch(options["cancel"]):
            raise UsageError("ticket.unknown", f"no ticket is called {options['cancel']!r}")
        cancelled = session.call("pair.cancel", {"tid": options["cancel"]})
        session.show(cancelled, lambda ticket: [f"ticket {ticket['tid']} is taken back"])
        return
    need_node(session)
    invitation = session.call("pair.invite", _asked(options))
    if options["qr_png"]:
        _save(session, invitation, options["qr_png"])
    terminal = sys.stdout.isatty() and not session.json
    session.show(invitation, lambda made: _human(made, terminal=terminal, qr_code=options["show_qr"] or terminal))
    if terminal and not options["no_wait"]:
        _wait(session, invitation, options["uses"])
    elif not (terminal or session.json):  # on a terminal it stands with the ticket
        output.say(_note(invitation))


def address_of(ctx: click.Context, param: click.Parameter, text: str) -> str:
    """An address of the command line, with or without `tcp://`."""
    from nzcore.proto.identity.address import Address

    try:
        return Address.parse(text if "://" in text else f"tcp://{text}").text
    except NzError as error:
        raise click.BadParameter(f"{text!r} is {error.message}: write HOST:PORT", ctx, param) from None


def scopes_without_sync() -> list[str]:
    """What pairing grants, but for `sync`."""
    return [scope.value for scope in Scope if scope not in (Scope.SYNC, Scope.ADMIN)]


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "ttl_s": options["ttl"],
        "uses": options["uses"],
        "addresses": options["advertise"],
        "scopes": scopes_without_sync() if options["no_sync"] else None,
    }


def _save(session: Session, invitation: dict[str, Any], path: str) -> None:
    """The picture; where it can't be written, the ticket is taken back: nobody would learn of it."""
    try:
        write_new(path, qr.png(invitation["ticket"].upper()), mode=0o600)
    except NzError:
        session.call("pair.cancel", {"tid": invitation["tid"]})
        raise


def _human(made: dict[str, Any], *, terminal: bool, qr_code: bool) -> Iterator[output.Block]:
    text, code = made["ticket"].upper(), ""
    columns, lines = shutil.get_terminal_size()
    if qr_code and (not terminal or qr.width(text) <= columns):
        code = qr.drawn(text)
    elif qr_code:
        output.say("the terminal is too narrow for the QR code: widen it, or say --qr-png F")
    first = not terminal or code.count("\n") + _TEXT_LINES <= lines  # else the text would push it off the screen
    if first:
        output.write(code)
    yield made["ticket"]
    if terminal:
        yield ""
        yield _note(made)
        yield f"the other side: nzcore join {made['ticket'][:12]}…   (or scan the code)"
    if not first:
        output.write(code)


def _note(made: dict[str, Any]) -> str:
    where = ", ".join(made["addresses"]) or "no address"
    note = f"works for {_span(made['expires_s'])} {_WORKS[made['reach']]}: {where}"
    return f"{note}; {_ONLY_HERE}" if made["reach"] == "machine" else note


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else output.ago(seconds)


def _wait(session: Session, invitation: dict[str, Any], uses: int) -> None:
    """Each newcomer in a line, until the ticket is used up or over; Ctrl-C leaves the ticket as it is."""
    output.say("waiting … (Ctrl-C stops waiting, the ticket stays)")
    joined = 0
    try:
        for newcomer in session.stream("pair.wait", {"tid": invitation["tid"]}):
            joined += 1
            text = f"{newcomer['name']} joined ({newcomer['seconds']:.1f} s, post-quantum)"
            output.show([output.Line(text, "green")])
    except KeyboardInterrupt:
        take_back = session.line(f"invite --cancel {invitation['tid']}")
        output.say(f"the ticket stays; take it back with: {take_back}")
        raise
    if not joined:
        output.say("nobody joined in time: the ticket is over")
    elif joined < uses:
        output.say(f"{joined} of {uses} joined; the ticket is over")


def _table(tickets: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not tickets:
        yield "no tickets"
        return
    rows = [
        (one["tid"], one["state"], _span(one["expires_s"]), f"{len(one['nodes'])} of {one['uses']}") for one in tickets
    ]
    yield output.Table(("ticket", "state", "time left", "joined"), rows)
