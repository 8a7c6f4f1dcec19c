"""`nzcore doctor`: checks the folder, and the node itself if it runs; or climbs the way to a peer step by step."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import click

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.cli import output
from nzcore.cli.errors import FAILED
from nzcore.cli.frame import command as declare
from nzcore.cli.names import peer_argument
from nzcore.cli.session import Session

_LADDER_S = 120.0  # each address of a peer may keep the node waiting for seconds


@declare("doctor", example="nzcore doctor")
@peer_argument(required=False)
@click.pass_obj
def command(session: Session, peer: str | None) -> int:
    """Check the node and its folder, or the way to a peer.

    With PEER: name, address, TCP, handshake, trust and scope, up to the step that fails. Exits with 1 if anything is
    wrong, and says what to try.
    """
    if peer is None:
        checks = _examine(session)
        if len(checks) > 1 and session.home.exists():  # one check alone: there is no home to be seen
            said = {check["detail"] for check in checks if not check["ok"]}  # the node finds some of it, too
            more = [*_examine_unit(session), *_ask_node(session)]
            checks += [check for check in more if check["ok"] or check["detail"] not in said]
        session.show(checks, _findings)
    else:
        checks = _climb(session, peer)
        session.show(checks, lambda climbed: _ladder(peer, climbed))
    return 0 if all(check["ok"] for check in checks) else FAILED


def _climb(session: Session, peer: str) -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = session.call("peer.doctor", {"peer": peer}, wait_s=_LADDER_S)
    return checks


def _examine(session: Session) -> list[dict[str, Any]]:
    """What can be seen of the folder from outside."""
    from nzcore.codec.types import builtins
    from nzcore.node.doctor import check_home

    found = builtins(check_home(session.home))
    assert isinstance(found, list)
    return found


def _examine_unit(session: Session) -> list[dict[str, Any]]:
    """Whether the unit that starts the node at login can, where one is installed."""
    from nzcore.cli.unit import unit_fault, unit_path

    unit = unit_path(session.home.path)
    if not unit.exists():
        return []
    if fault := unit_fault(session, partial(_opens, session)):
        return [{"check": "unit", "ok": False, "detail": fault.message, "hint": fault.hint}]
    return [{"check": "unit", "ok": True, "detail": str(unit), "hint": ""}]


def _opens(session: Session, passphrase: str) -> bool:
    """Takes 0.3 s. What is wrong with the vault itself is another check's finding."""
    from nzcore.store.vault import Vault

    try:
        Vault.open(session.home.vault, passphrase=passphrase).wipe()
    except UsageError:
        return False
    except UnavailableError:
        return True
    return True


def _ask_node(session: Session) -> list[dict[str, Any]]:
    """What the node says of itself; that it does not run is a finding, not a fault of its folder."""
    try:
        answer: list[dict[str, Any]] = session.call("node.doctor")
    except UnavailableError as error:
        asleep = error.code == "ipc.not-running" and "pid" not in error.facts
        found = {"check": "node answers", "ok": asleep, "detail": error.message, "hint": error.hint}
        return [found, *_examine_start(session)]
    return [{"check": "node answers", "ok": True, "detail": "it runs and answers", "hint": ""}, *answer]


def _examine_start(session: Session) -> list[dict[str, Any]]:
    """Whether the node that does not answer got stuck in a module's code, or ended there."""
    from nzcore.cli.spawn import lock_owner
    from nzcore.node.modules.beginnings import Beginnings, spoken

    names = Beginnings(session.home.run).left()
    if not names:
        return []
    pid = lock_owner(session.home.lock)
    first = "if it does so again" if pid is None else f"kill -9 {pid} ends it; then"
    hint = f"{first}: {session.line('up -d --no-modules')}, and then: {session.line(f'module disable {names[0]}')}"
    detail = f"it got no further than {spoken(names)}"
    return [{"check": "last start", "ok": False, "detail": detail, "hint": hint}]


def _findings(checks: list[dict[str, Any]]) -> Iterator[output.Block]:
    bad = [check for check in checks if not check["ok"]]
    asleep = any(check["ok"] and check["hint"] for check in checks)  # a node that does not run is no fault
    well = "all well, as far as a folder shows; the node is not running" if asleep else "all well"
    yield output.Line(f"{len(bad)} of {len(checks)} checks failed", "red") if bad else output.Line(well, "green")
    yield from _lines(checks)


def _ladder(peer: str, checks: list[dict[str, Any]]) -> Iterator[output.Block]:
    if checks[-1]["ok"]:
        yield output.Line(f"nothing stands between this node and {peer}", "green")
    else:
        yield output.Line(f"the way to {peer} ends at: {checks[-1]['check']}", "red")
    yield from _lines(checks)


def _lines(checks: list[dict[str, Any]]) -> Iterator[output.Block]:
    """A line for each check, and under a failed one what to try."""
    width = max(len(check["check"]) for check in checks)
    for check in checks:
        mark = "ok" if check["ok"] else "FAIL"
        yield output.Line(f"{mark:<4} {check['check']:<{width}}  {check['detail']}", "" if check["ok"] else "red")
        if check["hint"]:
            yield f"{'':<{5 + width}}  try: {check['hint']}"
