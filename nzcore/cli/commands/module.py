"""`nzcore module …`: plugins: find them, allow them, run them, write one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nzcore.base.errors import UsageError
from nzcore.cli import output
from nzcore.cli.asking import agree
from nzcore.cli.errors import CommandLineError
from nzcore.cli.files import is_interactive, not_empty
from nzcore.cli.frame import Group
from nzcore.cli.names import module_names
from nzcore.cli.session import Session

_CHANGE_S = 45.0  # loading, starting and stopping have their own limits below that
_COLOURS = {"running": "green", "failed": "red", "changed": "yellow"}

_name = click.argument("name", shell_complete=module_names)
_yes = click.option("--yes", "-y", is_flag=True, help="Don't ask.")


@click.group("module", cls=Group)
def command() -> None:
    """Modules: list, enable, disable, reload, install, write one.

    A module runs inside the node. What it was granted is a contract with its author, not a wall: enable only what you
    would run yourself.
    """


@command.command("list", example="nzcore module list")
@click.pass_obj
def list_modules(session: Session) -> None:
    """List all modules, wherever they were found."""
    session.show(session.call("module.list"), _table)


@command.command("show", example="nzcore module show hello")
@_name
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Show one module: what it asks for, what it adds, how it is."""
    session.show(session.call("module.show", {"name": name}), _details)


@command.command("enable", example="nzcore module enable hello --yes")
@_name
@_yes
@click.pass_obj
def enable(session: Session, name: str, yes: bool) -> None:
    """Allow a module to run, with all that it asks for, as its files are now.

    Every file is pinned: once one of them changes, the module has to be enabled again.
    """
    shown = session.call("module.show", {"name": name})
    if not yes:
        _ask(session, shown)
    args = {"name": name, "digest": shown["digest"] or None}
    session.show(session.call("module.enable", args, wait_s=_CHANGE_S), _changed)


@command.command("disable", example="nzcore module disable hello")
@_name
@click.pass_obj
def disable(session: Session, name: str) -> None:
    """Stop a module until it is enabled again."""
    session.show(session.call("module.disable", {"name": name}, wait_s=_CHANGE_S), _changed)


@command.command("reload", example="nzcore module reload hello")
@_name
@click.pass_obj
def reload(session: Session, name: str) -> None:
    """Load an enabled module anew, and start it again; everything else goes on."""
    session.show(session.call("module.reload", {"name": name}, wait_s=_CHANGE_S), _changed)


@command.command("remove", example="nzcore module remove weather --yes")
@_name
@click.option("--data", is_flag=True, help="Also delete what it has stored.")
@_yes
@click.pass_obj
def remove(session: Session, name: str, data: bool, yes: bool) -> None:
    """Disable a module and delete its folder from the home.

    What it has stored stays, unless you say --data.
    """
    if not yes:
        what = "its folder and its data" if data else "its folder"
        _confirm(session, f"delete {name}, {what}?")
    args = {"name": name, "data": data}
    session.show(session.call("module.remove", args, wait_s=_CHANGE_S), _removed)


@command.command("install", example="nzcore module install ./weather")
@click.argument("path", type=click.Path(file_okay=False), callback=not_empty)
@click.option("--replace", is_flag=True, help="Put it in the place of one of the same name.")
@click.pass_obj
def install(session: Session, path: str, replace: bool) -> None:
    """Copy a module's folder into the home. It runs once it is enabled."""
    folder = Path(path).absolute()
    _require_text(folder)
    if folder.is_dir() and not (folder / "module.toml").exists():  # before a whole home of somebody's is read
        raise UsageError("module.no-manifest", f"{folder} has no module.toml")
    args = {"path": str(folder), "replace": replace}
    session.show(session.call("module.install", args, wait_s=_CHANGE_S), lambda shown: _installed(session, shown))


@command.command("new", example="nzcore module new weather")
@click.argument("name")
@click.pass_obj
def new(session: Session, name: str) -> None:
    """Write ./NAME: a small module that works, with a test on two nodes.

    No node is needed. Then change it, and `nzcore module install` it.
    """
    from nzcore.cli.scaffold import write_module

    session.show(write_module(Path.cwd(), name), _made)


def _require_text(folder: Path) -> None:
    """*Raises* UsageError `ipc.not-text` for a path that can't be told to the node, which reads the folder."""
    try:
        str(folder).encode("utf-8")
    except UnicodeEncodeError:
        message = f"the node can't be told of {str(folder)!a}, which is not UTF-8"
        hint = "move the folder to a path in UTF-8, or copy it into the folder `modules` of the home yourself"
        raise UsageError("ipc.not-text", message, hint=hint) from None


def _ask(session: Session, shown: dict[str, Any]) -> None:
    if is_interactive(session):
        for line in _question(shown):
            output.say(line)
    _confirm(session, f"let {shown['name']} do this?")


def _confirm(session: Session, question: str) -> None:
    """Asks the person. *Raises* CommandLineError `cli.needs-yes` where nobody is there."""
    if not is_interactive(session):
        raise CommandLineError("cli.needs-yes")
    agree(question)


def _question(shown: dict[str, Any]) -> Iterator[str]:
    yield f"{shown['name']} {shown['version']} ({shown['source']}): {shown['summary']}"
    if shown["difference"]:
        yield f"since it was enabled: {shown['difference']}"
    asks = shown["asks"]
    yield "it asks to:" if asks else "it asks for nothing"
    width = max((len(one["capability"]) for one in asks), default=0)
    again = shown["enabled_at"] is not None
    for one in asks:
        mark = "  (new)" if again and one["new"] else ""
        yield f"  {one['capability']:<{width}}  {one['meaning']}{mark}"
    yield "it runs inside the node: a module that means ill can do more than this"


def _table(modules: list[dict[str, Any]]) -> Iterator[output.Block]:
    if not modules:
        yield "no module was found: `nzcore module new NAME` writes one"
        return
    yield output.Table(
        ("module", "version", "state", "source", "what"),
        [
            (
                one["name"],
                one["version"],
                output.Line(one["state"], _COLOURS.get(one["state"], "")),
                one["source"],
                one["problem"] or one["summary"],
            )
            for one in modules
        ],
    )


def _details(shown: dict[str, Any]) -> Iterator[output.Block]:
    first, *others = [f"{one['capability']}: {one['meaning']}" for one in shown["asks"]] or ["nothing"]
    yield output.pairs(
        [
            ("module", f"{shown['name']} {shown['version']}"),
            ("what", shown["summary"]),
            ("state", shown["state"]),
            ("problem", shown["problem"]),
            ("since enabled", shown["difference"]),
            ("source", f"{shown['source']}, {shown['path']}"),
            ("files", f"{shown['files']}, digest {shown['digest'][:16]}…" if shown["digest"] else ""),
            ("asks for", first),
            *(("", other) for other in others),
            ("operations", ", ".join(shown["operations"])),
            ("commands", ", ".join(f"nzcore {shown['name']} {one.replace('_', '-')}" for one in shown["commands"])),
            ("services", ", ".join(shown["services"])),
            ("requires", ", ".join(f"{name} {demand}" for name, demand in shown["requires"].items())),
            *(shown.get("facts") or {}).items(),
        ]
    )


def _changed(shown: dict[str, Any]) -> Iterator[output.Block]:
    yield output.Line(f"{shown['name']}: {shown['state']}", _COLOURS.get(shown["state"], ""))
    if shown["problem"]:
        yield shown["problem"]


def _installed(session: Session, shown: dict[str, Any]) -> Iterator[output.Block]:
    yield f"{shown['name']} {shown['version']}: {shown['state']} in {shown['path']}"
    yield f"next: {session.line('module enable ' + shown['name'])}"


def _removed(done: dict[str, Any]) -> Iterator[output.Block]:
    kept = "" if done["data_removed"] else "; what it has stored is kept"
    yield f"removed {done['name']}{kept}" if done["folder_removed"] else f"disabled {done['name']}{kept}"


def _made(made: dict[str, Any]) -> Iterator[output.Block]:
    yield f"wrote {made['path']}: {', '.join(made['files'])}"
    yield "next:"
    yield from (f"  {step}" for step in made["next"])
