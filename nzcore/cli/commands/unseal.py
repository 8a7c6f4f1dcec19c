"""`nzcore unseal`: opens what was sealed for this node, and says who sealed it."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from nzcore.base.units import size
from nzcore.cli import frame
from nzcore.cli.errors import CommandLineError
from nzcore.cli.files import passphrase_option
from nzcore.cli.session import Session

_MODE = 0o600
_WORD = {
    True: "",
    False: "not among your peers: the name is its own word",
    None: "the name is its own word; with the node up, your peers would be asked",
}


@frame.command(
    "unseal",
    example="""
    nzcore unseal words.txt.sealed -o opened.txt
    """,
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "-o", "--output", "out", metavar="OUT", help="New file (default: FILE without .sealed; - for standard output)."
)
@passphrase_option("For a home with a passphrase whose node is not running: file with it (- for stdin).")
@click.pass_obj
def command(session: Session, file: str, out: str | None, passphrase_file: str | None) -> None:
    """Open a file that was sealed for this node.

    Says who sealed FILE. Nothing is left of what it held unless all of it is proven: that nothing is missing
    or changed, and who signed it. What was sealed for keys that this node has replaced can't be opened any more.
    """
    from nzcore.cli.sealing import Keys, blocks, check_streams, released, report
    from nzcore.proto.envelope.opener import Opener

    target = out or _target(file)
    check_streams(session, file, target, passphrase_file)
    keys = Keys(session, passphrase_file)
    opener = Opener(keys.open_head)
    total = 0
    with released(target, mode=_MODE) as write, closing(blocks(file, "unsealing", quiet=session.json)) as source:
        for block in source:
            for piece in opener.feed(block):
                write(piece)
                total += len(piece)
        certificate = opener.finish().certificate
        sender = keys.ask("envelope.sender", {"certificate": certificate.text})
    result = {
        "file": str(Path(target).absolute()),
        "from": {name: sender[name] for name in ("node", "name", "identity", "known")},
        "bytes": total,
    }
    report(session, target, result, _facts(target, sender, total))


def _facts(target: str, sender: dict[str, Any], total: int) -> dict[str, object]:
    return {
        "unsealed": target,
        "from": f"{sender['name']}  {sender['node']}",
        "": _WORD[sender["known"]],
        "size": size(total),
    }


def _target(file: str) -> str:
    """The name that it had before it was sealed."""
    from nzcore.cli.sealing import SUFFIX

    if Path(file).name.endswith(SUFFIX) and Path(file).name != SUFFIX:
        return file[: -len(SUFFIX)]
    raise CommandLineError("cli.usage", f"{file} has no name that ends in {SUFFIX}", hint="-o OUT")
