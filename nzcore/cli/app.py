"""The tree of commands, and the last boundary, which no traceback crosses."""

import os
import sys
from collections.abc import Sequence

import click

import nzcore
from nzcore.base.errors import NzError, UnavailableError
from nzcore.cli import output
from nzcore.cli.errors import FAILED, INTERRUPTED, UNREAD, USAGE, CommandLineError, OutputClosed, exit_code
from nzcore.cli.extension import Root
from nzcore.cli.frame import Entry, in_words
from nzcore.cli.session import Session

COMMANDS = {
    "init": Entry("init", "Make a node: its identity, keys and folder."),
    "up": Entry("up", "Run the node."),
    "down": Entry("down", "Stop the node."),
    "state": Entry("state", "Show whether the node is well."),
    "status": Entry("state", "The same as state."),
    "service": Entry("service", "Services of the node: list, start, stop, restart."),
    "invite": Entry("invite", "Invite another node: a ticket, as text and QR code."),
    "join": Entry("join", "Join another node: by ticket, card, picture or phrase."),
    "peer": Entry("peer", "Peers: add by card, list, connect, ping, rename, remove."),
    "channel": Entry("channel", "Open channels: list, renew keys, close."),
    "send": Entry("send", "Send files and folders to a peer."),
    "inbox": Entry("inbox", "List the files that peers have sent, the newest last."),
    "message": Entry("message", "Short texts: send one, list those that came."),
    "pipe": Entry("pipe", "Join standard input and output with those of a peer, through both nodes."),
    "topic": Entry("topic", "Messages by topic, here and at peers: publish, follow."),
    "call": Entry("call", "Call an operation at a peer and show the answer."),
    "outbox": Entry("outbox", "Deliveries that peers have not yet kept: list, retry, drop."),
    "identity": Entry("identity", "Who this node is: sign, verify, rotate, export."),
    "seal": Entry("seal", "Seal a file for one node."),
    "unseal": Entry("unseal", "Open a file that was sealed for this node."),
    "module": Entry("module", "Modules: list, enable, disable, reload, install, write one."),
    "config": Entry("config", "Settings of the node."),
    "events": Entry("events", "Show what happens in the node, as it happens."),
    "logs": Entry("logs", "Show the node's log."),
    "doctor": Entry("doctor", "Check the node and its folder, or the way to a peer."),
    "schema": Entry("schema", "JSON Schema of what the node can be asked."),
    "explain": Entry("explain", "Say what a code means and what to try."),
    "demo": Entry("demo", "See real nodes live, meet, fail, heal and stop."),
    "completion": Entry("completion", "Print the completion script of a shell."),
    "help": Entry("help", "Show how a command is used."),
}


_TYPES = {
    "integer range": "a whole number",
    "integer": "a whole number",
    "float range": "a number",
    "float": "a number",
}
"""What click calls types, in words."""


@click.group("nzcore", cls=Root, late=COMMANDS, invoke_without_command=True, no_args_is_help=True)
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def nzcore_command(ctx: click.Context, version: bool) -> None:
    """A node of your own: identity, encrypted storage, supervised services, links to those you trust.

    Begin with `nzcore init`, then `nzcore up -d` and `nzcore state`.
    """
    if version:
        session = ctx.ensure_object(Session)
        session.show({"version": nzcore.__version__}, lambda result: [f"nzcore {result['version']}"])
        ctx.exit()
    if ctx.invoked_subcommand is None:
        ctx.fail("missing command")


def main(arguments: Sequence[str]) -> int:
    """Runs one command line; the exit code."""
    session = Session()
    try:
        _open_streams()
        result = nzcore_command.main(list(arguments), prog_name="nzcore", standalone_mode=False, obj=session)
        return result if isinstance(result, int) else 0
    except OutputClosed:
        output.drop()
        return UNREAD
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.UsageError as error:
        return _misused(error, as_json=session.json or "--json" in arguments)
    except NzError as error:
        output.fail(error, as_json=session.json)
        return exit_code(error)
    except OSError as error:  # what no command foresaw, as a path that is too long
        place = f": {error.filename}" if error.filename else ""
        what = error.strerror or type(error).__name__
        output.fail(UnavailableError("cli.system", f"the system says: {what}{place}"), as_json=session.json)
        return FAILED
    except Exception as error:  # the last boundary: a bug becomes one sentence and a file
        output.fail(_bug(error), as_json=session.json)
        return FAILED


def _misused(error: click.UsageError, *, as_json: bool) -> int:
    """Click's own complaints, in our form."""
    path = error.ctx.command_path if error.ctx else "nzcore"
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        output.say_help(error.format_message())
        return USAGE
    message = "missing command" if isinstance(error, click.exceptions.NoArgsIsHelpError) else error.format_message()
    if isinstance(error, click.BadParameter) and error.param:
        message = _in_words(message, error.param.type)
    first = message.strip().splitlines()[0].rstrip(".")
    for type_, words in _TYPES.items():
        first = first.replace(f"is not a valid {type_}", f"is not {words}")
    plain = first if first[:2].isupper() else first[:1].lower() + first[1:]
    output.fail(CommandLineError("cli.usage", plain, hint=f"{path} --help"), as_json=as_json)
    return USAGE


def _in_words(message: str, type_: object) -> str:
    said, within, _ = message.partition(" is not in the range ")
    if not within or not isinstance(type_, click.IntRange | click.FloatRange):
        return message
    return f"{said} is out of range: {in_words(type_)}"


def _bug(error: Exception) -> NzError:
    import tempfile
    import traceback

    what = f"nzcore itself failed ({type(error).__name__})"
    try:
        handle, name = tempfile.mkstemp(prefix="nzcore-bug-", suffix=".txt")  # 0600
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"nzcore {nzcore.__version__}, Python {sys.version}\n")
            traceback.print_exception(error, file=file)
    except OSError:
        return UnavailableError("cli.bug", f"{what}, and no report could be written")
    return UnavailableError("cli.bug", f"{what}; the details are in {name}", report=name)


def _open_streams() -> None:
    """A stream that we were started without exists and can't be written; text that the encoding lacks is escaped."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, encoding="utf-8"))  # noqa: SIM115  (for as long as the process lives)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
