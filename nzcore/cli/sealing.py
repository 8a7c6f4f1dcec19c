"""What `seal` and `unseal` share: the node's keys at a distance, files that are whole or not there.

The process that reads and writes the files needs no key of the node: it asks for a signature, or for the key of one
envelope. Where no node runs, the home is opened for that one question.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.cli import output
from nzcore.cli.errors import CommandLineError, OutputClosed
from nzcore.cli.files import read_text, unlock
from nzcore.cli.progress import ProgressLine
from nzcore.cli.session import Session

if TYPE_CHECKING:
    from nzcore.proto.envelope.opener import EnvelopeKey
    from nzcore.proto.envelope.seal import Transcript
    from nzcore.proto.identity.certificate import Certificate

SUFFIX = ".sealed"
BLOCK_BYTES = 16 * 65_408  # read at once: whole records of an envelope
LINE_FROM_BYTES = 64 << 20  # below this a file is done before the line could be read
_PETNAME_LIMIT = 128
_NO_SUCH_PEER = ("node.unknown-peer", "ipc.not-running", "node.no-home", "node.not-up")
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_AGAIN_S = 0.01


class Keys:
    """The keys of the session's node, used where they are: by the running node, or in its home."""

    def __init__(self, session: Session, passphrase_file: str | None) -> None:
        self._session = session
        self._passphrase_file = passphrase_file
        self._unlocked: list[str | None] = []

    def ask(self, operation: str, args: dict[str, Any]) -> Any:
        """The answer to one operation; a passphrase is asked for once, for all of them."""

        def offline() -> Any:
            from nzcore.node.run import run_offline

            if not self._unlocked:
                self._unlocked.append(unlock(self._session, self._passphrase_file))
            home = self._session.home.path
            return run_offline(home, passphrase=self._unlocked[0], operation=operation, args=args)

        return self._session.ask(operation, args, otherwise=offline)

    def sign(self, transcript: "Transcript") -> bytes:
        """The seal of an envelope: an `envelope.seal.Sign`."""
        recipient, handshake, digest, size = transcript
        args = {"recipient": recipient.text, "handshake": handshake.hex(), "digest": digest.hex(), "size": size}
        return bytes.fromhex(self.ask("envelope.sign", args)["seal"])

    def open_head(self, head: bytes) -> "EnvelopeKey":
        """The key of an envelope: an `envelope.opener.OpenHead`."""
        from nzcore.base.ids import NodeId
        from nzcore.proto.envelope.opener import EnvelopeKey

        found = self.ask("envelope.open", {"head": head.hex()})
        handshake, key = bytes.fromhex(found["handshake"]), bytes.fromhex(found["key"])
        return EnvelopeKey(NodeId.parse(found["recipient"]), handshake, key)


def find_recipient(session: Session, text: str) -> "tuple[Certificate, str]":
    """Certificate and name of whom `--to` means: a card's text, a peer, or a file with a card, in this order.

    A peer goes before a file of the same name, or whoever can put a file here chooses the recipient.
    *Raises* what finding a peer raises, or reading a card.
    """
    from nzcore.proto.identity.certificate import Certificate

    if text.lower().startswith(("nzc:", "nzcert:")):
        return _newest(session, _parse(text))
    if os.sep not in text and len(text) <= _PETNAME_LIMIT:
        try:
            known = session.call("peer.certificate", {"peer": text})
            return Certificate.parse_text(known["certificate"]), known["name"]
        except NzError as error:
            if error.code not in _NO_SUCH_PEER or not Path(text).is_file():
                if error.code == "ipc.not-running":
                    error = UnavailableError("ipc.not-running", hint="start it with: nzcore up -d, or give a card")
                raise error
    return _newest(session, _in_file(text))


def blocks(path: str, label: str, *, quiet: bool) -> Generator[bytes, None, None]:
    """The bytes of a file, or for `-` of standard input, with a line on a terminal that shows how far it is where it is
    long. Close it, also after an error, which is told in the place of that line.

    *Raises* UnavailableError `cli.unreadable`.
    """
    try:
        with sys.stdin.buffer if path == "-" else Path(path).open("rb") as file:
            size, done = os.fstat(file.fileno()).st_size, 0  # a pipe has none: it is long once much has come
            with ProgressLine(shown=not quiet) as line:
                while block := file.read(BLOCK_BYTES):
                    yield block
                    done += len(block)
                    if max(size, done) >= LINE_FROM_BYTES:
                        line.update(done, size or None, label)
    except OSError as error:
        raise UnavailableError("cli.unreadable", f"cannot read {path}: {error.strerror}") from error


@contextmanager
def released(path: str, *, mode: int) -> Iterator[Callable[[bytes], None]]:
    """Gives a function that writes; what it wrote is in the new file `path`, or on standard output for `-`, only once
    the block has ended well. Otherwise nothing of it is left, also when the process is told to end.

    *Raises* UnavailableError `cli.file-exists`, `cli.unwritable`.
    """
    if path != "-" and os.path.lexists(path):
        raise UnavailableError("cli.file-exists", f"{path} is already there")
    folder = None if path == "-" else Path(path).parent
    with _ended_once():
        try:
            handle, name = tempfile.mkstemp(prefix=".nzcore-", suffix=".part", dir=folder)  # 0600
        except OSError as error:
            raise UnavailableError("cli.unwritable", f"cannot write {path}: {error.strerror}") from error
        try:
            with os.fdopen(handle, "w+b", buffering=0) as file:
                yield partial(_write, file, path)
                if path == "-":
                    _pour(file)
                else:
                    _name(file, name, path, mode)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)


def check_streams(session: Session, source: str, path: str, passphrase_file: str | None) -> None:
    """One stream can't carry two things, and a terminal no file. *Raises* CommandLineError `cli.usage`."""
    if [source, passphrase_file].count("-") > 1:
        raise CommandLineError("cli.usage", "standard input is the file already", hint="--passphrase-file FILE")
    if path == "-" and session.json:
        raise CommandLineError("cli.usage", "standard output is for the answer of --json", hint="-o FILE")
    if path == "-" and sys.stdout.isatty():
        raise CommandLineError("cli.usage", "this would write a file to the terminal", hint="-o FILE")


def report(session: Session, path: str, result: dict[str, Any], facts: dict[str, object]) -> None:
    """The result of the command; on standard error where standard output carries the file."""
    if path == "-":
        for line in output.pairs(facts.items()).splitlines():
            output.say(line)
    else:
        session.show(result, lambda _: [output.pairs(facts.items())])


def _in_file(path: str) -> "Certificate":
    try:
        return _parse(read_text(path))
    except PeerError as error:
        if error.code != "identity.bad-text":
            raise
        raise PeerError("identity.bad-card", f"{path} holds no valid card") from error


def _parse(text: str) -> "Certificate":
    from nzcore.proto.identity.card import Card
    from nzcore.proto.identity.certificate import Certificate

    if text.lower().startswith("nzcert:"):
        return Certificate.parse_text(text)
    return Card.parse_text(text).certificate


def _newest(session: Session, certificate: "Certificate") -> "tuple[Certificate, str]":
    """A card may be older than what the node has heard since: keys that were replaced are no use to the recipient."""
    from nzcore.proto.identity.certificate import Certificate, Order, compare

    try:
        known = session.call("peer.certificate", {"peer": certificate.node.text})
    except NzError:  # no node, or not among its peers: the card is all there is
        return certificate, certificate.name
    held = Certificate.parse_text(known["certificate"])
    newer = compare(certificate, held) is Order.NEWER
    return held if newer else certificate, known["name"]


def _write(file: RawIOBase, path: str, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise UnavailableError("cli.unwritable", f"cannot write {path}: {error.strerror}") from error


def _name(file: RawIOBase, name: str, path: str, mode: int) -> None:
    """Gives the finished file its name, unless something else has it by now."""
    try:
        os.fchmod(file.fileno(), mode & ~_umask())
        os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if os.path.lexists(path):
                raise FileExistsError from None
            os.rename(name, path)
    except FileExistsError as error:
        raise UnavailableError("cli.file-exists", f"{path} is already there") from error
    except OSError as error:
        raise UnavailableError("cli.unwritable", f"cannot write {path}: {error.strerror}") from error


def _pour(file: RawIOBase) -> None:
    file.seek(0)
    try:
        while block := file.read(BLOCK_BYTES):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise UnavailableError("cli.output", f"cannot write to standard output: {error.strerror}") from error


@contextmanager
def _ended_once() -> Iterator[None]:
    """Leaves the block as Ctrl-C does, whichever way the process is told to end, and lets it then end in peace.

    What the process was started to ignore, as under nohup, stays ignored. What is raised while a finalizer runs is lost
    to everyone but the hook for such exceptions, which has the process told again once it is back at its work.
    """
    ended = False

    def end(number: int, frame: object) -> None:
        nonlocal ended
        ended = True
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        if not ended or unraisable.exc_type is not KeyboardInterrupt:
            told_before(unraisable)
            return
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {
        number: handler for number in numbers if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    told_before, sys.unraisablehook = sys.unraisablehook, lost
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        sys.unraisablehook = told_before
        if not ended:
            for number, handler in before.items():
                signal.signal(number, handler)


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
