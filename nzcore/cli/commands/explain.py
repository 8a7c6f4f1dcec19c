"""`nzcore explain`: what a code means and what to try; offline, from the catalogue."""

from collections.abc import Iterator
from typing import Any

import click

from nzcore.base.errors import UsageError
from nzcore.base.reasons import catalogue, reason
from nzcore.cli import output
from nzcore.cli.frame import command as declare
from nzcore.cli.names import codes
from nzcore.cli.session import Session


@declare("explain", example="nzcore explain ipc.not-running")
@click.argument("code", required=False, shell_complete=codes)
@click.pass_obj
def command(session: Session, code: str | None) -> None:
    """Say what a code means and what to try.

    Without a code, all codes are listed.
    """
    if code is None:
        found = [{"code": name, "meaning": entry.meaning, "hint": entry.hint} for name, entry in catalogue().items()]
        session.show(found, _table)
        return
    try:
        entry = reason(code)
    except KeyError:
        raise _unknown(code) from None
    session.show({"code": code, "meaning": entry.meaning, "hint": entry.hint}, _one)


def _unknown(code: str) -> UsageError:
    from difflib import get_close_matches

    near = get_close_matches(code, catalogue(), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else ""
    return UsageError("cli.unknown-code", f"there is no code {code!r}", hint=hint)


def _one(entry: dict[str, Any]) -> Iterator[output.Block]:
    yield f"{entry['code']}: {entry['meaning']}"
    yield f"try: {entry['hint']}"


def _table(entries: list[dict[str, Any]]) -> Iterator[output.Block]:
    yield output.Table(("code", "meaning"), [(entry["code"], entry["meaning"]) for entry in entries])
