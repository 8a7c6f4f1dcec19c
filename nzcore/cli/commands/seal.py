"""`nzcore seal`: a file for one node, to be sent by whatever way there is."""

from contextlib import closing
from pathlib import Path

import click

from nzcore.base.units import size
from nzcore.cli import frame
from nzcore.cli.errors import CommandLineError
from nzcore.cli.files import passphrase_option
from nzcore.cli.names import peers_and_files
from nzcore.cli.session import Session

_MODE = 0o644


@frame.command(
    "seal",
    example="""
    nzcore identity card > card.txt
    nzcore seal --to card.txt words.txt
    """,
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "--to",
    "to",
    metavar="PEER|CARD",
    required=True,
    shell_complete=peers_and_files,
    help="A peer, a card's text, or a file with a card.",
)
@click.option("-o", "--output", "out", metavar="OUT", help="New file (default: FILE.sealed; - for standard output).")
@passphrase_option("For a home with a passphrase whose node is not running: file with it (- for stdin).")
@click.pass_obj
def command(session: Session, file: str, to: str, out: str | None, passphrase_file: str | None) -> None:
    """Seal a file for one node.

    Only that node opens FILE again, and only that node learns who sealed it. Ask the recipient for its card
    (nzcore identity card). It opens the file with `nzcore unseal`, as long as it has not replaced its keys since. The
    protection is classical: it does not withstand a quantum computer.
    """
    from nzcore.cli.sealing import SUFFIX, Keys, blocks, check_streams, find_recipient, released, report
    from nzcore.proto.envelope.sealer import Sealer

    if file == "-" and not out:
        raise CommandLineError("cli.usage", "standard input has no name to make one from", hint="-o OUT")
    target = out or file + SUFFIX
    check_streams(session, file, target, passphrase_file)
    recipient, name = find_recipient(session, to)
    keys = Keys(session, passphrase_file)
    keys.ask("identity.show", {})  # a missing passphrase shows now, not after an hour's work
    sealer = Sealer(recipient, keys.sign)
    total = 0
    with released(target, mode=_MODE) as write, closing(blocks(file, "sealing", quiet=session.json)) as source:
        parts = [sealer.start()]
        for block in source:
            parts.append(sealer.chunk(block))
            total += sum(map(len, parts))
            write(b"".join(parts))
            parts.clear()
        parts.append(sealer.finish())
        total += sum(map(len, parts))
        write(b"".join(parts))
    result = {"file": str(Path(target).absolute()), "to": recipient.node.text, "bytes": total}
    report(session, target, result, {"sealed": target, "for": f"{name}  {recipient.node.text}", "size": size(total)})
