"""Commands that running modules add: `nzcore NAME …`, made from what the node says of their operations.

The command line never imports a module's code: it asks the node `module.commands`, and only when a name is none of its
own, or when help and completion list what there is. Without a node there are no such commands, and nothing is slower;
a name that is a module's is told from a slip by the folders where modules lie.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.cli import output
from nzcore.cli.frame import Command, Group, no_such_command
from nzcore.cli.session import ANSWER_S, Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_WAIT_S = 0.5  # a person waits for a help page
_TIMES = (1e9, 1e10)  # what is taken for seconds since 1970: of this century and the next two
_OTHER_WORDS = {"up": ("start", "run"), "down": ("stop", "quit"), "state": ("info",), "--version": ("version",)}
_STATES = {"found": "not enabled", "enabled": "enabled, but does not run"}
_MARGIN_S = 5.0  # for the node's own word that an operation took too long

Described = dict[str, Any]


class Root(Group):
    """The root of all commands: its own, then those of modules."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self._of_module(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self.late or name.startswith("-"):
            return super().resolve_command(ctx, args)
        _note_home(ctx, args)
        if ctx.resilient_parsing:  # completion: whoever waits at the prompt is told no errors
            return super().resolve_command(ctx, args)
        described = self._described(ctx, ANSWER_S)
        command = self._of_module(ctx, name)
        if command is not None:
            return name, command, args[1:]
        session = ctx.find_object(Session) or Session()
        session.json = session.json or "--json" in args  # an error comes before they are read
        if described.get("error"):
            _refuse_without_node(session, name, described["error"])
        else:
            _refuse_stopped(session, name)
        modules = described["modules"] or _modules_on_disk(session)
        raise click.UsageError(no_such_command(name, [*self.late, *modules], self._meant(ctx, name)), ctx)

    def _meant(self, ctx: click.Context, name: str) -> Iterator[str]:
        """What others call by this name, and commands of groups that are called so."""
        yield from (ours for ours, words in _OTHER_WORDS.items() if name in words)
        for entry in self.late:
            group = super().get_command(ctx, entry)
            if isinstance(group, Group) and name in group.list_commands(ctx):
                yield f"{entry} {name}"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries().items()))
        described = self._described(ctx)
        if modules := described["modules"]:
            with formatter.section("Commands of modules"):
                formatter.write_dl([(output.clean(name), output.clean(text)) for name, text in modules.items()])
        elif getattr(described.get("error"), "code", "") == "ipc.not-running":
            with formatter.section("Commands of modules"):
                formatter.write_text("need the running node: nzcore up -d")
        Command.format_options(self, ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        from click.shell_completion import CompletionItem

        modules = self._described(ctx)["modules"].items()
        ours = super().shell_complete(ctx, incomplete)
        return [*ours, *(CompletionItem(name, help=text) for name, text in modules if name.startswith(incomplete))]

    def _of_module(self, ctx: click.Context, name: str) -> click.Command | None:
        described = self._described(ctx)
        commands = [one for one in described["commands"] if one["module"] == name]
        if not commands:
            return None
        group = Group(name, help=described["modules"].get(name, ""))
        for one in commands:
            group.add_command(_command(one), one["name"])
        return group

    def _described(self, ctx: click.Context, wait_s: float = _WAIT_S) -> Described:
        """What the node says; nothing where none answers, and `error`, why."""
        session = ctx.find_object(Session) or Session()
        known: dict[str, Described] = ctx.find_root().meta.setdefault(__name__, {})  # asked once a command line
        home = str(session.home.path)
        if home not in known:
            try:
                session.home.require()  # imports nothing to learn that there is none
                known[home] = session.call("module.commands", wait_s=wait_s)
            except NzError as error:
                known[home] = {"modules": {}, "commands": [], "error": error}
        return known[home]


def _note_home(ctx: click.Context, args: Sequence[str]) -> None:
    """`--home` may stand behind the name of the command that only that home's node knows."""
    session = ctx.find_object(Session)
    for index, word in enumerate(args):
        value = word.partition("=")[2] if word.startswith("--home=") else ""
        if word == "--home" and index + 1 < len(args):
            value = args[index + 1]
        if value and session is not None:
            session.home_path = value


def _refuse_without_node(session: Session, name: str, error: NzError) -> None:
    """*Raises* the error where the name is a module's, as far as can be seen without a node."""
    if name not in _modules_on_disk(session):
        return
    if error.code not in ("ipc.not-running", "node.no-home"):
        raise error
    message = f"{name} is a module, and commands of modules need the running node: {error.message}"
    raise UnavailableError(error.code, message, hint=error.hint) from error


def _modules_on_disk(session: Session) -> list[str]:
    from nzcore.node.modules.search import names

    return names(session.home.modules)


def _refuse_stopped(session: Session, name: str) -> None:
    """*Raises* UsageError `cli.module-stopped` where the name is a module's that does not run."""
    try:
        shown = session.call("module.show", {"name": name[:64]})
    except NzError:
        return
    if shown["commands"]:
        state = _STATES.get(shown["state"], shown["state"])
        if shown["problem"].startswith("not started"):  # of one that was started and failed, its service tells more
            raise UsageError("module.held", f"the module {name} is enabled, but {shown['problem']}")
        how = f"service show module-{name}" if shown["state"] == "enabled" else f"module enable {name}"
        again = "" if shown["state"] == "failed" else session.line(how)
        raise UsageError("cli.module-stopped", f"the module {name} is {state}", hint=again)


def _command(described: Described) -> Command:
    """One command, its parameters as click has them."""
    required = [one for one in described["parameters"] if one["required"]]
    example = " ".join(["nzcore", described["module"], described["name"], *(one["name"].upper() for one in required)])

    def run(**given: Any) -> None:
        session = click.get_current_context().find_object(Session) or Session()
        args = {name: value for name, value in given.items() if value is not None}
        if described["stream"]:
            for item in session.stream(described["operation"], args):
                session.show(item, _line)
        else:
            wait_s = described["deadline_s"] + _MARGIN_S
            session.show(session.call(described["operation"], args, wait_s=wait_s), _blocks)

    return Command(
        described["name"],
        params=[
            _parameter(one, last=one is required[-1]) if one["required"] else _option(one)
            for one in _ordered(described)
        ],
        callback=run,
        help=output.clean(described["summary"]),
        example=example,
    )


def _ordered(described: Described) -> list[Described]:
    return sorted(described["parameters"], key=lambda one: not one["required"])


def _parameter(one: Described, *, last: bool) -> click.Parameter:
    """What must be given: by position, except for flags, and lists that are not the last."""
    if one["type"] == "flag" or (one["type"] == "texts" and not last):
        return _option(one)
    many = one["type"] == "texts"
    return click.Argument([one["name"]], type=_type(one), nargs=-1 if many else 1, required=True, callback=_read(one))


def _option(one: Described) -> click.Option:
    flag = f"--{one['name'].replace('_', '-')}"
    text = output.clean(one["summary"]) or None
    if one["type"] == "flag":
        both = f"{flag}/--no-{flag[2:]}"
        return click.Option([one["name"], both], default=one["default"], required=one["required"], help=text)
    shown = one["default"] not in (None, "", [], {})
    if one["type"] == "texts":
        return click.Option(
            [one["name"], flag], multiple=True, required=one["required"], help=text, callback=_read(one)
        )
    return click.Option(
        [one["name"], flag],
        type=_type(one),
        default=None if one["type"] == "json" else one["default"],
        required=one["required"],
        show_default=shown and one["type"] != "json",
        callback=_read(one),
        help=text,
    )


def _type(one: Described) -> Any:
    if one["choices"]:
        return click.Choice(one["choices"])
    return {"integer": int, "number": float}.get(one["type"], str)


def _read(one: Described) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Lists as lists, JSON as what it says."""

    def read(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if isinstance(value, tuple):
            return list(value) or None
        if one["type"] != "json" or value is None:
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise click.BadParameter("it is not JSON", ctx, param) from None

    return read


def _line(item: Any) -> Iterator[output.Block]:
    """One of a stream's items: of several facts their values alone, so that each item is a line."""
    if isinstance(item, dict) and len(item) > 1:
        yield "  ".join(cell for name, value in item.items() if (cell := _cell(value, name)))
    else:
        yield from _blocks(item)


def _blocks(result: Any) -> Iterator[output.Block]:
    """Any result as a person may read it: text as it is, maps as pairs, lists of maps as tables."""
    if result is None:
        return
    if isinstance(result, dict):
        yield output.pairs((name, _cell(value, name)) for name, value in result.items())
    elif isinstance(result, list) and result and all(isinstance(one, dict) for one in result):
        columns = list(dict.fromkeys(name for one in result for name in one))
        yield output.Table(columns, [[_cell(one.get(name), name) for name in columns] for one in result])
    elif isinstance(result, list):
        yield from (_cell(one) for one in result)
    else:
        yield _cell(result)


def _cell(value: Any, name: str = "") -> str:
    """A value; a number that is called a time, as `at` and `said_at` are, as one."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if name.rpartition("_")[2] == "at" and isinstance(value, int | float) and _TIMES[0] <= value < _TIMES[1]:
        return output.when(value)
    return output.json_line(value).rstrip("\n")
