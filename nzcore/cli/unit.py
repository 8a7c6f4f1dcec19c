"""The systemd unit that starts a node: where it lies, what it says, and whether what it hands the node opens the home.

A unit that somebody wrote or changed by hand is theirs: what is not known of it is not held against it.
"""

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.cli.files import read_passphrase, read_text
from nzcore.cli.session import Session

UNIT = """\
[Unit]
Description=nzcore node in {home}
After=network.target

[Service]
Type=notify
ExecStart={start}
Restart=on-failure
RestartSec=2
TimeoutStopSec=40
{extra}
[Install]
WantedBy=default.target
"""

_CREDENTIAL = re.compile(r"^LoadCredential=passphrase:(.+)$", re.MULTILINE)
_UNIT_BYTES = 1 << 16


class Fault(NamedTuple):
    """Why a unit would not start its node, and what to do about it."""

    message: str
    hint: str


def unit_path(home: Path) -> Path:
    """`nzcore.service` for the usual home; another's unit carries its folder's name, as far as systemd can, and a sum
    of its path, because folders may be called alike. However the folder is reached, its unit is the same."""
    from nzcore.node.home import default_home

    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    real = os.path.realpath(home)
    name = "nzcore"
    if real != os.path.realpath(default_home()):
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in os.path.basename(real)).strip("-")
        name = f"nzcore-{plain[:64] or 'home'}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:8]}"
    return base / "systemd" / "user" / f"{name}.service"


def unit_text(home: Path, passphrase_file: Path | None) -> str:
    """The unit; the passphrase goes by a systemd credential, so the node itself can't be told another file.

    *Raises* UsageError `cli.no-unit-path` for a path that no unit can hold.
    """
    from nzcore.cli.spawn import own_command

    script = shutil.which("nzcore")
    line = [*([script] if script else own_command()), "--home", str(home), "up"]
    for word in (*line, *([str(passphrase_file)] if passphrase_file else ())):
        _require_writable(word)
    start = " ".join(_quoted(word) for word in line)
    extra = ""
    if passphrase_file:
        start += ' --passphrase-file "%d/passphrase"'
        extra = f"LoadCredential=passphrase:{str(passphrase_file).replace('%', '%%')}\n"
    return UNIT.format(home=str(home).replace("%", "%%"), start=start, extra=extra)


def unit_fault(session: Session, opens: Callable[[str], bool], *, new_file: str | None = None) -> Fault | None:
    """What is wrong with the installed unit of the session's home, as far as the home's lock goes; None: nothing, or
    there is no unit. `opens` says whether a passphrase opens the home; `new_file` is where the one that does stands."""
    unit = unit_path(session.home.path)
    try:
        text = read_text(str(unit), limit=_UNIT_BYTES)
    except UnavailableError:
        return None
    found = _CREDENTIAL.search(text)
    if "--passphrase-file" in text and (found is None or "%" in found[1].replace("%%", "")):
        return None  # not as we write it
    file = found[1].replace("%%", "%") if found else None
    if not session.home.needs_passphrase():
        if file is None:
            return None
        return Fault(f"{unit} still needs {file}, which opens nothing", _install_anew(session))
    anew = _install_anew(session, "--passphrase-file", new_file or "F")
    if file is None:
        return Fault(f"{unit} hands the node no passphrase, and at its start nobody is there to be asked", anew)
    try:
        handed = read_passphrase(session, file)
    except NzError as error:
        return Fault(f"{unit} hands the node {file}: {error.message}", anew)
    if opens(handed):
        return None
    hint = anew if new_file else f"put the passphrase into the first line of {file}; or: {anew}"
    return Fault(f"{unit} hands the node {file}, whose passphrase does not open the vault", hint)


def _install_anew(session: Session, *options: str) -> str:
    home = ["--home", session.home_path] if session.home_path else []
    return shlex.join(["nzcore", *home, "service", "install", "--force", *options])


def _require_writable(word: str) -> None:
    """Only words of a command line may be escaped in a unit; a description and a credential's path stand there as they
    are, and what follows a line break or a backslash at the line's end would be read as something else."""
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        why = "it is not UTF-8"
    else:
        if any(c < " " or c == "\x7f" for c in word):
            why = "it has a line break or another control character"
        elif word.endswith((" ", "\\")):
            why = "it ends with a blank or a backslash"
        else:
            return
    raise UsageError("cli.no-unit-path", f"a unit of systemd can't hold the path {word!a}: {why}")


def _quoted(word: str) -> str:
    """A word of a unit's command line, by systemd's rules."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(c in escaped for c in " \t'\";") else escaped
