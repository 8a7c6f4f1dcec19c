"""`nzcore service …`: the supervised parts of a node, and the node as a service of systemd."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.cli import output
from nzcore.cli.frame import Group
from nzcore.cli.names import service_names
from nzcore.cli.session import Session
from nzcore.cli.unit import unit_path, unit_text

_CHANGE_S = 30.0  # a service may take its start and stop timeouts

_DOOR, _POLL_S = "ipc", 0.05  # the service by which we speak to the node; how often we knock while it restarts

_name = click.argument("name", shell_complete=service_names)
_force = click.option("--force", is_flag=True, help="Also where the node can't do without it.")


@click.group("service", cls=Group)
def command() -> None:
    """Services of the node: list, start, stop, restart."""


@command.command("list", example="nzcore service list")
@click.pass_obj
def list_services(session: Session) -> None:
    """List all services."""
    session.show(session.call("service.list"), _table)


@command.command("show", example="nzcore service show monitor")
@_name
@click.pass_obj
def show_service(session: Session, name: str) -> None:
    """Show one service: its policy, what it requires, its last error."""
    session.show(session.call("service.show", {"name": name}), _details)


@command.command("start", example="nzcore service start monitor")
@_name
@click.pass_obj
def start_service(session: Session, name: str) -> None:
    """Start a stopped or failed service and wait until it is ready."""
    _change(session, "service.start", {"name": name})


@command.command("stop", example="nzcore service stop monitor")
@_name
@_force
@click.pass_obj
def stop_service(session: Session, name: str, force: bool) -> None:
    """Stop a service and what depends on it."""
    _change(session, "service.stop", {"name": name, "force": force})


@command.command("restart", example="nzcore service restart monitor")
@_name
@_force
@click.pass_obj
def restart_service(session: Session, name: str, force: bool) -> None:
    """Stop a service and start it again."""
    try:
        _change(session, "service.restart", {"name": name, "force": force})
    except NzError as error:
        if error.code != "ipc.stopping" or name != _DOOR:
            raise
        session.show(_through_new_door(session), _one_line)


@command.command("kill", example="nzcore service kill monitor")
@_name
@_force
@click.pass_obj
def kill_service(session: Session, name: str, force: bool) -> None:
    """Crash a service on purpose, to see it heal."""
    _change(session, "service.kill", {"name": name, "force": force})


@command.command("install", example="nzcore service install --force")
@click.option("--passphrase-file", metavar="F", help="Passphrase file that systemd hands to the node at its start.")
@click.option("--force", is_flag=True, help="Overwrite a unit that is there already.")
@click.pass_obj
def install(session: Session, passphrase_file: str | None, force: bool) -> None:
    """Write a systemd user unit that starts this node at login.

    On a machine that nobody logs in to, `loginctl enable-linger` lets it start with the machine.
    """
    home = session.home
    home.require()
    if home.needs_passphrase() and not passphrase_file:
        raise UsageError("cli.passphrase-needed", hint="--passphrase-file F: systemd has nobody to ask")
    unit = unit_path(home.path)
    if unit.exists() and not force:
        raise UsageError("cli.file-exists", f"{unit} is already there", hint="--force overwrites it")
    text = unit_text(home.path, Path(passphrase_file).absolute() if passphrase_file else None)
    try:
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnavailableError("cli.unwritable", f"cannot write {unit}: {error.strerror}") from error
    steps = ["systemctl --user daemon-reload", f"systemctl --user enable --now {unit.name}"]
    session.show({"unit": str(unit), "next": steps}, lambda made: [f"wrote {made['unit']}", "next:", *made["next"]])


def _change(session: Session, operation: str, args: dict[str, Any]) -> None:
    session.show(session.call(operation, args, wait_s=_CHANGE_S), _one_line)


def _through_new_door(session: Session) -> dict[str, Any]:
    """What the node says of its door once that is there again: a restart of it ends the connection that asked."""
    deadline = time.monotonic() + _CHANGE_S
    while True:
        try:
            shown: dict[str, Any] = session.call("service.show", {"name": _DOOR})
            return shown
        except NzError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_S)


def _table(services: list[dict[str, Any]]) -> Iterator[output.Block]:
    columns = ["service", "state", "since", "restarts", "what"]
    rows = [[s["name"], s["state"], output.ago(s["since_s"]), s["restarts"], s["summary"]] for s in services]
    if any(s.get("last_error") for s in services):  # else its empty column would squeeze the others
        columns.append("last error")
        rows = [[*row, s.get("last_error")] for row, s in zip(rows, services, strict=True)]
    yield output.Table(columns, rows)


def _one_line(service: dict[str, Any]) -> Iterator[output.Block]:
    yield f"{service['name']}: {service['state']}"


def _details(service: dict[str, Any]) -> Iterator[output.Block]:
    yield output.pairs(
        [
            ("service", service["name"]),
            ("what", service["summary"]),
            ("state", f"{service['state']} for {output.ago(service['since_s'])}"),
            ("restarts", str(service["restarts"])),
            ("last error", service.get("last_error")),
            ("essential", "yes" if service["essential"] else "no"),
            ("requires", ", ".join(service["requires"])),
            ("restart", service["restart"]),
            ("strategy", service["strategy"]),
            *((name, _fact(value)) for name, value in (service.get("facts") or {}).items()),
        ]
    )


def _fact(value: object) -> str:
    """A service's own fact in a line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
