"""`nzcore config …`: typed settings, whether the node runs or not."""

from collections.abc import Iterator
from typing import Any

import click

from nzcore.cli import output
from nzcore.cli.files import one_at_a_time
from nzcore.cli.frame import Group
from nzcore.cli.names import setting_names
from nzcore.cli.session import Session

_key = click.argument("key", shell_complete=setting_names)


@click.group("config", cls=Group)
def command() -> None:
    """Settings of the node."""


@command.command("list", example="nzcore config list")
@click.pass_obj
def list_settings(session: Session) -> None:
    """List all settings with their values."""
    session.show(session.ask("config.list", otherwise=lambda: _offline(session)), _table)


@command.command("get", example="nzcore config get log.level")
@_key
@click.pass_obj
def get_setting(session: Session, key: str) -> None:
    """Show the value of one setting."""
    setting = session.ask("config.get", {"name": key}, otherwise=lambda: _offline(session, key))
    session.show(setting, lambda found: [_text(found["value"])])


@command.command("set", example="nzcore config set log.level debug")
@_key
@click.argument("value")
@click.pass_obj
def set_setting(session: Session, key: str, value: str) -> None:
    """Change one setting in the home's config.toml."""
    args = {"name": key, "value": value}
    session.show(session.ask("config.set", args, otherwise=lambda: _offline(session, key, value)), _changed)


def _offline(session: Session, key: str | None = None, value: str | None = None) -> Any:
    """The same three operations on the home's file alone: settings are not secret, so its vault stays closed."""
    from nzcore.codec.types import builtins
    from nzcore.node.config import find, load, settings, store

    path = session.home.config
    if key is None:
        return builtins(settings(load(path)))
    if value is None:
        return builtins(find(load(path), key))
    with one_at_a_time(path.parent):  # each writes the whole file anew
        return builtins(find(store(path, key, value), key))


def _table(settings: list[dict[str, Any]]) -> Iterator[output.Block]:
    yield output.Table(
        ("setting", "value", "type", "what"),
        [(s["name"], _text(s["value"]), s["type"], s["summary"]) for s in settings],
    )


def _changed(setting: dict[str, Any]) -> Iterator[output.Block]:
    later = " when the node is started again" if setting.get("applies") == "restart" else ""
    yield f"{setting['name']} = {_text(setting['value'])}{later}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
