"""Completion of names that only a node, its folder or the catalogue knows; silent where they can't be had."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from nzcore.base.errors import NzError
from nzcore.cli.session import Session

_WAIT_S = 0.5  # a person waits at the prompt

Function = TypeVar("Function", bound=Callable[..., Any])
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(find: Callable[[Session], dict[str, str]]) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            found = find(ctx.find_object(Session) or Session())
        except NzError:
            return []
        return [CompletionItem(name, help=text) for name, text in found.items() if name.startswith(incomplete)]

    return complete


def _services(session: Session) -> dict[str, str]:
    listed: list[dict[str, Any]] = session.call("service.list", wait_s=_WAIT_S)
    return {service["name"]: service["state"] for service in listed}


def _peers(session: Session) -> dict[str, str]:
    listed: list[dict[str, Any]] = session.call("peer.list", wait_s=_WAIT_S)
    return {peer["name"]: "connected" if peer["connected"] else "not connected" for peer in listed}


def _channels(session: Session) -> dict[str, str]:
    listed: list[dict[str, Any]] = session.call("channel.list", wait_s=_WAIT_S)
    return {channel["peer"]: channel["address"] for channel in listed}


def _modules(session: Session) -> dict[str, str]:
    listed: list[dict[str, Any]] = session.call("module.list", wait_s=_WAIT_S)
    return {module["name"]: module["state"] for module in listed}


def _settings(session: Session) -> dict[str, str]:
    from nzcore.node.config import load, settings

    return {setting.name: setting.summary for setting in settings(load(session.home.config))}


def _codes(_: Session) -> dict[str, str]:
    from nzcore.base.reasons import catalogue

    return {code: reason.meaning for code, reason in catalogue().items()}


def _operations(session: Session) -> dict[str, str]:
    from nzcore.control.table import OPERATIONS

    found = {name: operation.summary for name, operation in OPERATIONS.items()}
    try:
        of_modules: list[dict[str, str]] = session.call("module.operations", wait_s=_WAIT_S)
    except NzError:
        return found
    return found | {one["name"]: "of a module" for one in of_modules}


def _tickets(session: Session) -> dict[str, str]:
    listed: list[dict[str, Any]] = session.call("pair.list", wait_s=_WAIT_S)
    return {ticket["tid"]: ticket["state"] for ticket in listed if ticket["state"] == "open"}


def _deliveries(session: Session) -> dict[str, str]:
    listed: list[dict[str, Any]] = list(session.stream("outbox.list", {"peer": None}, for_s=_WAIT_S))
    return {one["id"]: f"{one['topic']} for {one['name']}" for one in listed}


def peers_and_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Petnames; where none begins like that, the shell's own files."""
    return peer_names(ctx, param, incomplete) or [CompletionItem(incomplete, type="file")]


channel_names = _completer(_channels)
peer_names = _completer(_peers)
ticket_ids = _completer(_tickets)
delivery_ids = _completer(_deliveries)
MAX_NAME = 128


def _checked(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 0 < len(value) <= MAX_NAME:
        raise click.BadParameter("it is empty" if not value else "it is too long", ctx, param)
    return value


def peer_argument(
    complete: Completer = peer_names, *, required: bool = True, name: str = "peer", metavar: str | None = None
) -> Callable[[Function], Function]:
    """The argument PEER: a petname, or a beginning that only one peer's name or node id has."""
    return click.argument(name, required=required, metavar=metavar, shell_complete=complete, callback=_checked)


service_names = _completer(_services)
module_names = _completer(_modules)
setting_names = _completer(_settings)
codes = _completer(_codes)
operation_names = _completer(_operations)
