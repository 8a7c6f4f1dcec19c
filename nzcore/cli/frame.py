"""The frame of every command: options that are accepted anywhere, examples in the help, late loading.

`--json`, `--home` and `--timeout` are parameters of each command and group, added in one place; whichever stands
on the line, before or after the command's name, is written into the one `Session`. A group knows names and
summaries of its commands and imports a command's module only when that command is called.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nzcore.cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NAMES = {"help_option_names": ["-h", "--help"]}
_SUGGESTED = 3  # commands offered in the place of one that there is not


class Entry(NamedTuple):
    """A command of a group: the module that holds it as `command`, and its summary."""

    module: str
    summary: str


class Seconds(click.FloatRange):
    """A number of seconds within bounds; NaN, which every comparison lets through, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


def in_words(bounds: click.IntRange | click.FloatRange) -> str:
    """What a number may be: click's own `0<x<=86400` is for programmers."""
    low, high = bounds.min, bounds.max
    if low is not None and high is not None and not (bounds.min_open or bounds.max_open):
        return f"{low} to {high}"
    lower = "" if low is None else f"more than {low}" if bounds.min_open else f"{low} or more"
    upper = "" if high is None else f"less than {high}" if bounds.max_open else f"up to {high}"
    return ", ".join(filter(None, (lower, upper)))


def _record(param: click.Parameter, ctx: click.Context) -> tuple[str, str] | None:
    """A line of the help, its range in words."""
    record = param.get_help_record(ctx)
    if (
        not record
        or not isinstance(param, click.Option)
        or not isinstance(param.type, click.IntRange | click.FloatRange)
    ):
        return record
    shown = param.get_help_extra(ctx).get("range", "")
    text, bracket, extra = record[1].rpartition("[")
    return record[0], text + bracket + (extra.replace(shown, in_words(param.type)) if shown else extra)


def _note(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Writes an option that was really given into the session: an inner default never undoes an outer option."""
    session = ctx.find_object(Session)
    if session and param.name and ctx.get_parameter_source(param.name) is click.ParameterSource.COMMANDLINE:
        if value == "":
            raise click.BadParameter("it is empty", ctx, param)
        setattr(session, param.name, value)


def _everywhere(*names: str, **settings: Any) -> click.Option:
    return click.Option(names, expose_value=False, is_eager=True, callback=_note, **settings)


EVERYWHERE = (
    _everywhere("--json", "json", is_flag=True, help="Answer with JSON: one compact value a line."),
    _everywhere(
        "--home",
        "home_path",
        type=click.Path(file_okay=False, readable=False),  # another user's: what needs it says so better
        metavar="DIR",
        help="The node's folder (also NZCORE_HOME).",
    ),
    _everywhere(
        "--timeout",
        "timeout",
        type=Seconds(min=0, min_open=True, max=86_400),
        metavar="S",
        help="Seconds to wait for an answer.",
    ),
)


class Command(click.Command):
    """A command with the options of all commands and an example that a test runs."""

    def __init__(self, *args: Any, example: str = "", **settings: Any) -> None:
        super().__init__(*args, **{"context_settings": _NAMES, **settings})
        self.example = example

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *EVERYWHERE]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # of an option without its value, click forgets whose it is
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.example:
            with formatter.section("Example"):
                for line in self.example.strip().splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")
        own = [_record(p, ctx) for p in super().get_params(ctx) if isinstance(p, click.Option)]
        shared = [_record(p, ctx) for p in EVERYWHERE]
        for title, records in (("Options", own), ("Options of every command", shared)):
            rows = [record for record in records if record]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(Command, click.Group):
    """Commands under one name; those in `late` are imported when called."""

    command_class = Command

    def __init__(self, *args: Any, late: Mapping[str, Entry] | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.late = late or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.late, *self.commands]  # as declared: the order of a node's life, not of the alphabet

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.late.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        command = import_module(f"nzcore.cli.commands.{entry.module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] in known or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise click.UsageError(no_such_command(args[0], known), ctx)

    def summaries(self) -> dict[str, str]:
        """Name and summary of each command, without importing any."""
        own = {name: command.get_short_help_str(200) for name, command in self.commands.items()}
        return {name: entry.summary for name, entry in self.late.items()} | own

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries().items()))
        super().format_options(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        from click.shell_completion import CompletionItem

        matching = [(name, text) for name, text in self.summaries().items() if name.startswith(incomplete)]
        items = [CompletionItem(name, help=text) for name, text in matching]
        return items + click.Command.shell_complete(self, ctx, incomplete)


def no_such_command(name: str, known: Iterable[str], meant: Iterable[str] = ()) -> str:
    """Says so, and what else could be: what is `meant` by the name, else the known ones that it resembles."""
    from difflib import get_close_matches

    near = list(meant)[:_SUGGESTED] or get_close_matches(name, list(known), _SUGGESTED)
    return f"no such command {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def command(name: str, *, example: str, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Declares a command that stands alone; its docstring is the help."""
    return click.command(name, cls=Command, example=example, **settings)
