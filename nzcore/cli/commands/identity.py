"""`nzcore identity …`: who this node is, and what its keys and its identity's words can do.

A file is signed by its digest: this process reads it, the node's key signs what was read. The mnemonic is used
where it is typed: for a rotation request it never goes near the node that asks.
"""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.cli import output
from nzcore.cli import qr as codes
from nzcore.cli.asking import agree
from nzcore.cli.errors import CommandLineError
from nzcore.cli.files import (
    FILE,
    is_interactive,
    new_passphrase,
    passphrase_option,
    read_passphrase,
    read_secret,
    read_text,
    require_empty,
    text_or_file,
    unlock,
    whole_or_nothing,
    write_new,
)
from nzcore.cli.frame import Group
from nzcore.cli.names import peer_argument
from nzcore.cli.relocking import Relocking, ask_relocking, relocked, warn_of_unit
from nzcore.cli.session import Session

if TYPE_CHECKING:
    from nzcore.base.ids import NodeId
    from nzcore.proto.identity.rotation import RotationRequest

_HASH_CHUNK = 1 << 18  # bytes read at once; hashing a file takes constant memory

_vault = passphrase_option("For a home with a passphrase whose node is not running: file with it (- for stdin).")
_mnemonic_file = click.option(
    "--mnemonic-file", type=FILE, metavar="F", help="File with the 24 words (- for standard input)."
)
_export_passphrase_file = click.option(
    "--export-passphrase-file",
    type=FILE,
    metavar="F",
    help="File with the export's passphrase, where it is another one.",
)


@click.group("identity", cls=Group)
def command() -> None:
    """Who this node is: sign, verify, rotate, export."""


@command.command("show", example="nzcore identity show")
@_vault
@click.pass_obj
def show(session: Session, passphrase_file: str | None) -> None:
    """Show who this node is."""
    if passphrase_file is None and session.home.needs_passphrase():  # what the certificate says is public
        session.show(session.ask("identity.show", otherwise=lambda: _certified(session)), _facts)
    else:
        session.show(_ask(session, "identity.show", {}, passphrase_file), _facts)


@command.command("sign", example="nzcore identity sign words.txt > words.sig")
@click.argument("file", type=click.Path(allow_dash=True))
@_mnemonic_file
@_vault
@click.option("-y", "--yes", is_flag=True, help="Answer a rotation request without asking.")
@click.pass_obj
def sign(session: Session, file: str, mnemonic_file: str | None, passphrase_file: str | None, yes: bool) -> None:
    """Sign a file; or, with --mnemonic-file, answer a rotation request.

    The signature is kept beside the file. FILE with --mnemonic-file is what `identity request` gave; the answer is
    a certificate for `identity apply`.
    """
    if mnemonic_file:
        session.show(_answer(session, file, mnemonic_file, yes=yes), lambda made: [made["certificate"].rstrip()])
        return
    digest, size = _digest(file)
    signed = _ask(session, "identity.sign", {"digest": digest.hex(), "size": size}, passphrase_file)
    session.show(signed, lambda made: [made["signature"].rstrip()])


@command.command("verify", example='nzcore identity verify words.txt words.sig "$NODE"')
@click.argument("file", type=click.Path(allow_dash=True))
@click.argument("sig")
@peer_argument(name="node", metavar="NODE|PEER")
@click.pass_obj
def verify(session: Session, file: str, sig: str, node: str) -> None:
    """Verify that a node signed FILE.

    SIG is the signature's file, or its text. NODE (nzn1…) is who should have signed; no node need run for that. With
    the node up, a peer's petname does, or a beginning of its petname or node id that only one peer has.
    """
    from nzcore.proto.identity.document import verify_document

    signer, petname = _signer(session, node)
    signature = text_or_file(sig, "nzsig:")
    digest, size = _digest(file)
    found = verify_document(signature, digest, size, signer)
    certificate = found.certificate
    result = {
        "valid": True,
        "node": found.node.text,
        "name": certificate.name,
        "epoch": certificate.epoch,
        "size": found.size,
        "issued": found.issued,
    }
    session.show(result, lambda shown: _verified(shown, petname))


@command.command("rotate", example="nzcore identity rotate --mnemonic-file words.txt")
@_mnemonic_file
@_vault
@click.pass_obj
def rotate(session: Session, mnemonic_file: str | None, passphrase_file: str | None) -> None:
    """Replace the node's keys with fresh ones; the node keeps its id.

    On a machine you don't trust with the words, use request, sign and apply instead.
    """
    args = {"mnemonic": _words(session, mnemonic_file)}
    session.show(_ask(session, "identity.rotate", args, passphrase_file), _facts)


@command.command("request", example="nzcore identity request > request.txt")
@_vault
@click.pass_obj
def request(session: Session, passphrase_file: str | None) -> None:
    """Make fresh keys and ask for a certificate where the 24 words are.

    Answer with `nzcore identity sign request.txt --mnemonic-file F` there, then `nzcore identity apply` here.
    """
    made = _ask(session, "identity.request", {}, passphrase_file)
    if not session.json:
        from nzcore.proto.identity.rotation import RotationRequest

        output.say(f"code to compare where it is signed: {RotationRequest.parse_text(made['request']).code}")
    session.show(made, lambda asked: [asked["request"].rstrip()])


@command.command(
    "apply",
    example="""
    nzcore identity sign request.txt --mnemonic-file words.txt > certificate.txt
    nzcore identity apply certificate.txt
    """,
)
@click.argument("certificate", default="-")
@_vault
@click.pass_obj
def apply(session: Session, certificate: str, passphrase_file: str | None) -> None:
    """Take up the keys that an answered request certifies; CERTIFICATE is the answer's file, or - or its text."""
    if certificate == "-" and is_interactive(session):
        output.say("paste the certificate, then Enter and Ctrl-D")  # it has several lines
    text = text_or_file(certificate, "nz")
    if not text:
        raise CommandLineError("cli.no-certificate")
    args = {"certificate": text}
    session.show(_ask(session, "identity.apply", args, passphrase_file), _facts)


@command.command("export", example="nzcore identity export home.export --passphrase-file passphrase.txt")
@click.argument("file", type=click.Path())
@passphrase_option("File with the passphrase that seals the export; also opens the home, if it must be opened.")
@_export_passphrase_file
@click.pass_obj
def export(session: Session, file: str, passphrase_file: str | None, export_passphrase_file: str | None) -> None:
    """Write the node's keys to a new FILE, sealed under a passphrase.

    Two copies of one node harm each other: import them only where this one will not run again.
    """
    if Path(file).exists():
        raise UsageError("cli.file-exists", f"{file} is already there")
    args = {"passphrase": _export_passphrase(session, export_passphrase_file or passphrase_file, new=True)}
    made = _ask(session, "identity.export", args, passphrase_file)
    write_new(file, made["sealed"].encode("utf-8"), mode=0o600)
    result = {"node": made["node"], "file": str(Path(file).absolute())}
    session.show(result, lambda done: [f"wrote {done['file']}"])


@command.command(
    "import", example="nzcore --home ./second identity import home.export --passphrase-file passphrase.txt"
)
@click.argument("file", type=click.Path(allow_dash=True))
@passphrase_option("File with the passphrase of the export; it seals the new home too, unless --no-passphrase.")
@_export_passphrase_file
@click.option("--no-passphrase", is_flag=True, help="Keep the keys under a key file that only you can read.")
@click.pass_obj
def import_(
    session: Session, file: str, passphrase_file: str | None, export_passphrase_file: str | None, no_passphrase: bool
) -> None:
    """Make a home from exported keys."""
    if no_passphrase and passphrase_file and export_passphrase_file:
        raise click.UsageError("--no-passphrase leaves nothing for --passphrase-file to seal")
    require_empty(session.home)
    if not (no_passphrase or passphrase_file or is_interactive(session)):
        raise CommandLineError("cli.no-protection")
    exported = read_text(file)
    opening = _export_passphrase(session, export_passphrase_file or passphrase_file, new=False)
    sealing = None
    if passphrase_file and not no_passphrase:
        sealing = read_passphrase(session, passphrase_file) if export_passphrase_file else opening
    elif not no_passphrase:
        sealing = new_passphrase(session, "passphrase that seals the keys")
    from nzcore.node.setup import import_home

    home = session.home.path
    with whole_or_nothing(home):
        made = import_home(home, exported, opening, passphrase=sealing)
    result = {"node": made.node.text, "identity": made.identity.text, "name": made.name, "home": str(home)}
    session.show(result, lambda imported: [*_facts(imported), "", f"next: {session.line('up -d')}"])


@command.command(
    "passphrase",
    example="""
    nzcore identity passphrase --new-passphrase-file passphrase.txt
    nzcore identity passphrase --passphrase-file passphrase.txt --no-passphrase
    """,
)
@passphrase_option("File with the present passphrase (- for standard input); asked for if not given.")
@click.option(
    "--new-passphrase-file",
    type=FILE,
    metavar="F",
    help="File with the new one (- for standard input); else asked for.",
)
@click.option("--no-passphrase", is_flag=True, help="Keep the keys under a key file that only you can read.")
@click.pass_obj
def passphrase(
    session: Session, passphrase_file: str | None, new_passphrase_file: str | None, no_passphrase: bool
) -> None:
    """Change the passphrase, or go from a key file to a passphrase and back.

    A copy of the home from before still opens as it did: where one may be in other hands, run `identity rotate` too.
    What starts the node with a passphrase file, as `service install` sets up, needs the new one.
    """
    said = Relocking(passphrase_file, new_passphrase_file, no_passphrase)
    asked = ask_relocking(session, said)
    session.show(_ask(session, "identity.passphrase", asked, None), relocked)
    warn_of_unit(session, said, asked["new"])


@command.command("card", example="nzcore identity card --no-addresses")
@click.option("--qr", is_flag=True, help="Draw it as a QR code.")
@click.option("--no-addresses", is_flag=True, help="Leave out where the node can be reached.")
@_vault
@click.pass_obj
def card(session: Session, qr: bool, no_addresses: bool, passphrase_file: str | None) -> None:
    """Show the node's public card: its certificate and addresses."""
    made = _ask(session, "identity.card", {"addresses": not no_addresses}, passphrase_file)
    session.show(made, lambda shown: _card(shown["card"], qr_code=qr))


def _card(text: str, *, qr_code: bool) -> Iterator[output.Block]:
    from shutil import get_terminal_size

    if qr_code and sys.stdout.isatty() and codes.width(text.upper()) > get_terminal_size().columns:
        output.say("the terminal is too narrow for the QR code: widen it")
    elif qr_code:
        output.write(codes.drawn(text.upper()))  # upper case takes fewer modules
    yield text


def _certified(session: Session) -> dict[str, Any]:
    """As `identity.show`, from the certificate alone. *Raises* as `Home.require` and `Certificate.parse_text` do."""
    from nzcore.proto.identity.certificate import Certificate

    session.home.require()
    certificate = Certificate.parse_text(read_text(str(session.home.certificate)))
    return {
        "node": certificate.node.text,
        "identity": certificate.root.text,
        "name": certificate.name,
        "epoch": certificate.epoch,
        "sign_key": certificate.sign_key.hex(),
        "dh_key": certificate.dh_key.hex(),
    }


def _ask(session: Session, operation: str, args: dict[str, Any], passphrase_file: str | None) -> Any:
    """The node's answer; without a running node the home is opened for this one operation."""

    def offline() -> Any:
        from nzcore.node.run import run_offline

        passphrase = unlock(session, passphrase_file)
        return run_offline(session.home.path, passphrase=passphrase, operation=operation, args=args)

    return session.ask(operation, args, otherwise=offline)


def _signer(session: Session, text: str) -> "tuple[NodeId, str]":
    """Who is meant, and under which petname, if under one. *Raises* as `NodeId.parse` and finding a peer do."""
    from nzcore.base.ids import NodeId

    try:
        return NodeId.parse(text), ""
    except NzError as no_id:
        if len(text) == output.ID_LENGTH and text.lower().startswith("nzn1"):
            raise  # a slip in an id is no petname
        bad_id = no_id
    try:
        found = session.call("peer.certificate", {"peer": text})
    except NzError as error:
        if error.code not in ("ipc.not-running", "node.no-home"):
            raise
        if text.lower().startswith("nzn1"):
            raise bad_id from None
        message = f"petnames are looked up by the running node: {error.message}"
        raise UnavailableError(error.code, message, hint=f"{error.hint}; or give the node id (nzn1…)") from error
    return NodeId.parse(found["node"]), found["name"]


def _digest(path: str) -> tuple[bytes, int]:
    """SHA-256 and size of a file, read in chunks. *Raises* UnavailableError `cli.unreadable`."""
    hasher, size = hashlib.sha256(), 0
    try:
        with sys.stdin.buffer if path == "-" else Path(path).open("rb") as file:
            while chunk := file.read(_HASH_CHUNK):
                hasher.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise UnavailableError("cli.unreadable", f"cannot read {path}: {error.strerror}") from error
    return hasher.digest(), size


def _words(session: Session, mnemonic_file: str | None) -> str:
    if mnemonic_file:
        return read_secret(session, mnemonic_file)
    if not is_interactive(session):
        raise CommandLineError("cli.no-mnemonic")
    return str(click.prompt("the 24 words", hide_input=True, err=True))


def _export_passphrase(session: Session, path: str | None, *, new: bool) -> str:
    if path:
        return read_passphrase(session, path)
    if not is_interactive(session):
        raise CommandLineError("cli.passphrase-needed", "the export's passphrase is needed", hint="--passphrase-file F")
    if new:
        return new_passphrase(session, "passphrase of the export")
    return str(click.prompt("passphrase of the export", hide_input=True, err=True))


def _answer(session: Session, file: str, mnemonic_file: str, *, yes: bool) -> dict[str, Any]:
    """Answers a rotation request with a certificate: the middle step, away from the node that asks."""
    from nzcore.base.instant import WallTime
    from nzcore.proto.identity.mnemonic import Mnemonic
    from nzcore.proto.identity.root import Root
    from nzcore.proto.identity.rotation import RotationRequest, approve

    asked = RotationRequest.parse_text(read_text(file))
    if is_interactive(session) and not yes:
        _confirm(asked)
    words = read_secret(session, mnemonic_file)
    with Mnemonic.parse(words) as mnemonic, Root.from_mnemonic(mnemonic) as root:
        certificate = approve(root, asked, WallTime(int(time.time())))
    return {"node": asked.node.text, "epoch": certificate.epoch, "certificate": certificate.text}


def _confirm(asked: "RotationRequest") -> None:
    current = asked.current
    output.say(f"{current.name or 'a node'} ({asked.node.text}) asks for new keys after epoch {current.epoch}")
    output.say("it may speak for the whole identity (voice)" if current.voice else "it may not speak for the identity")
    output.say(f"code: {asked.code}")
    agree("does that node show the same code?")


def _facts(result: dict[str, Any]) -> Iterator[output.Block]:
    yield output.pairs(result.items())


def _verified(result: dict[str, Any], petname: str) -> Iterator[output.Block]:
    yield output.Line("good signature", "green")
    yield output.pairs(
        [
            ("by", f"{petname or result['name']}  {result['node']}"),
            ("calls itself", result["name"] if petname not in ("", result["name"]) else ""),
            ("epoch", result["epoch"]),
            ("at", f"{output.when(result['issued'])} by its clock"),
        ]
    )
