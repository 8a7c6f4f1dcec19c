"""`nzcore peer …`: the nodes that this one knows."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.errors import UsageError
from nzcore.base.scopes import Scope
from nzcore.cli import output
from nzcore.cli.arriving import need_node
from nzcore.cli.asking import ask_line
from nzcore.cli.errors import FAILED
from nzcore.cli.frame import Group, Seconds
from nzcore.cli.names import peer_argument
from nzcore.cli.peers import peer_table
from nzcore.cli.ping import Pings
from nzcore.cli.session import Session

_CONNECT_S = 20.0  # how long `connect` tries, unless --timeout says otherwise
_MARGIN_S = 5.0  # for the node's own word that it gave up

_LISTEN_HELP = "Seconds that the node must have listened; 2 unless told."

_peer = peer_argument()


@click.group("peer", cls=Group)
def command() -> None:
    """Peers: add by card, list, connect, ping, rename, remove.

    PEER is a petname, or a beginning of a petname or node id that only one peer has.
    """


@command.command("add", example="nzcore peer add bob.card --name bob")
@click.argument("card", default="-")
@click.option("--name", metavar="N", help="What to call it here; without it, as it calls itself.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    metavar="SCOPE",
    help=f"What it may do here: {', '.join(Scope)}; may be repeated. Without it: all but admin.",
)
@click.pass_obj
def add(session: Session, card: str, name: str | None, scopes: tuple[str, ...]) -> None:
    """Add a peer by its card, and trust it.

    CARD is the text that `nzcore identity card` printed there, a file with it, or - for standard input. Both sides
    add each other's card; then they connect by themselves.
    """
    if card == "-":
        need_node(session)  # before anybody is asked for a card that nobody could take
    args = {"card": _card(session, card), "name": name, "scopes": list(scopes) or None}
    session.show(session.call("peer.add", args), _added)


@command.command("list", example="nzcore peer list")
@click.pass_obj
def list_peers(session: Session) -> None:
    """List all known peers."""
    session.show(session.call("peer.list"), _table)


@command.command("show", example="nzcore peer show bob")
@_peer
@click.pass_obj
def show(session: Session, peer: str) -> None:
    """Show one peer: who, where, and what it may do."""
    session.show(session.call("peer.show", {"peer": peer}), _details)


@command.command("connect", example="nzcore peer connect bob")
@_peer
@click.pass_obj
def connect(session: Session, peer: str) -> None:
    """Open a channel to a peer and keep it up."""
    patience = session.timeout or _CONNECT_S
    _announce(session, f"connecting with {peer} …")
    args = {"peer": peer, "timeout_s": min(patience, 600.0)}
    session.show(session.call("peer.connect", args, wait_s=patience + _MARGIN_S), _connected)


@command.command("disconnect", example="nzcore peer disconnect bob")
@_peer
@click.pass_obj
def disconnect(session: Session, peer: str) -> None:
    """Close the channel to a peer and keep it closed.

    Until `nzcore peer connect`, or the node's next start. Trust stays: `nzcore peer remove` ends that.
    """
    session.show(session.call("peer.disconnect", {"peer": peer}), _disconnected)


@command.command("rename", example="nzcore peer rename bob robert")
@_peer
@click.argument("name")
@click.pass_obj
def rename(session: Session, peer: str, name: str) -> None:
    """Call a peer something else; only this node sees it."""
    session.show(session.call("peer.rename", {"peer": peer, "name": name}), lambda done: [f"now called {done['name']}"])


@command.command("remove", example="nzcore peer remove robert")
@_peer
@click.pass_obj
def remove(session: Session, peer: str) -> None:
    """Take all trust in a peer back and close its channel."""
    session.show(session.call("peer.remove", {"peer": peer}), _removed)


@command.command("ping", example="nzcore peer ping bob --count 3 --interval 0.1")
@_peer
@click.option(
    "--count", type=click.IntRange(min=1), default=4, metavar="N", show_default=True, help="How many to send."
)
@click.option(
    "--interval",
    type=Seconds(min=0, max=3600),
    default=0.5,
    show_default=True,
    metavar="S",
    help="Seconds from one to the next.",
)
@click.pass_obj
def ping(session: Session, peer: str, count: int, interval: float) -> int:
    """Measure round trips on the channel to a peer.

    Ctrl-C ends it early. Exits with 1 when nothing came back. --timeout is the patience for each.
    """
    pings = Pings(session, peer)
    try:
        with session.client() as client:
            for number in range(count):
                began = time.monotonic()
                pings.send(client)
                if number + 1 < count:
                    time.sleep(max(0.0, interval - (time.monotonic() - began)))
    except KeyboardInterrupt:
        if not session.json and sys.stdout.isatty():
            output.write("\n")
    session.show(pings.result(), lambda result: [pings.summary()])
    if pings.trips:
        return 0
    pings.explain()
    return FAILED


@command.command("discover", example="nzcore peer discover")
@click.option("--watch", is_flag=True, help="Go on, and show who comes and goes, until Ctrl-C.")
@click.option("--for", "seconds", type=Seconds(min=0, max=60), default=2.0, metavar="S", help=_LISTEN_HELP)
@click.pass_obj
def discover(session: Session, watch: bool, seconds: float) -> None:
    """List the nodes that are seen on the local network.

    Peers have their names and are connected by themselves. Others are strangers, or open pairing windows, which
    `nzcore join NAME` meets. What is listed is what they announce: only a channel proves who is there.
    """
    if watch:
        for change in session.stream("peer.sightings"):
            session.show(change, _change)
        return
    found = session.call("peer.discover", {"listen_s": seconds}, wait_s=seconds + _MARGIN_S)
    session.show(found, _nearby)


def _card(session: Session, card: str) -> str:
    from nzcore.cli.files import is_interactive, text_or_file

    text = ask_line("the card") if card == "-" and is_interactive(session) else text_or_file(card, "nz")
    if text.lower().startswith("nz:"):
        raise UsageError("cli.no-card", "this is a ticket, not a card", hint=f"{session.line('join')} takes it")
    if not text:
        raise UsageError("cli.no-card", f"there is no card in {'standard input' if card == '-' else card}")
    return text


def _announce(session: Session, what: str) -> None:
    """Says what takes a while, to a person who waits for it."""
    if not session.json and sys.stderr.isatty():
        output.say(what)


def _may(scopes: list[str]) -> str:
    return ", ".join(scopes) or "nothing"


def _added(peer: dict[str, Any]) -> Iterator[output.Block]:
    yield output.Line(f"added {peer['name']}", "green")
    yield output.pairs(
        [
            ("node", peer["node"]),
            ("address", output.where(peer["addresses"]) or "none on its card: it has to dial this node"),
            ("may", _may(peer["scopes"])),
        ]
    )
    if not peer["connected"]:
        yield "they connect once that node has added this one's card too, which `nzcore identity card` prints"


def _table(peers: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not peers:
        yield "no peer is known yet: `nzcore peer add CARD` adds one"
        return
    yield peer_table(peers)


def _details(peer: dict[str, Any]) -> Iterator[output.Block]:
    link = (
        f"yes, {'dialled by it' if peer['direction'] == 'in' else 'dialled from here'}" if peer["connected"] else "no"
    )
    first, *others = peer["addresses"] or [""]
    called = peer["suggested_name"]
    yield output.pairs(
        [
            ("peer", peer["name"]),
            ("calls itself", called if called != peer["name"] else ""),
            ("node", peer["node"]),
            ("identity", peer["identity"]),
            ("epoch", peer["epoch"]),
            ("added", f"{output.when(peer['added_at'])} by {peer['how']}"),
            ("may", _may(peer["scopes"])),
            ("connected", link),
            ("version", peer["version"]),
            ("round trip", output.milliseconds(peer["rtt_ms"])),
            ("addresses", first or "none known"),
            *(("", address) for address in others),
        ]
    )


def _nearby(found: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not found:
        yield "nobody is seen on the local network; `nzcore doctor` tells whether this node can see anybody"
        return
    yield output.Table(
        ("who", "connected", "address", "announced as", "seen for"),
        [
            (_who(one), _whether(one), output.where(one["addresses"]), one["instance"], output.ago(one["first_seen_s"]))
            for one in found
        ],
    )


def _change(one: dict[str, Any]) -> Iterator[output.Block]:
    what = "gone" if one["gone"] else "connected" if one["connected"] else "seen"
    yield f"{what:<9}  {_who(one)}  {output.where(one['addresses'])}  {one['instance']}"


def _who(one: dict[str, Any]) -> str:
    return str(one["name"] or ("pairing window" if one["pairing"] else "stranger"))


def _whether(one: dict[str, Any]) -> output.Line | str:
    return output.Line("yes", "green") if one["connected"] else "no" if one["known"] else ""


def _connected(peer: dict[str, Any]) -> Iterator[output.Block]:
    yield output.Line(f"connected with {peer['name']}", "green")
    yield output.pairs(
        [
            ("address", output.where(peer["addresses"][:1])),
            ("version", peer["version"]),
            ("round trip", output.milliseconds(peer["rtt_ms"])),
        ]
    )


def _disconnected(ended: dict[str, Any]) -> Iterator[output.Block]:
    did = "closed the channel to" if ended["was_connected"] else "there was no channel to"
    yield f"{did} {ended['name']}; `nzcore peer connect {ended['name']}` opens one again"


def _removed(ended: dict[str, Any]) -> Iterator[output.Block]:
    yield f"removed {ended['name']}{' and closed its channel' if ended['was_connected'] else ''}"
