"""Where a node keeps what: the files of a home, their names and modes (spec/env.md).

Imports nothing slow: the command line asks it for paths before it knows what else it needs.
"""

import errno
import os
import stat
import sys
from pathlib import Path

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.store.files import read, require_private

FOLDER_MODE = 0o700
FILE_MODE = 0o600
NETWORK_SECRET_BYTES = 32
READ_ONLY_HINT = "mount it to be written, or copy the home to another disk and name it with --home"
CERTIFICATE_BYTES = 8192  # the public copy has below 1 KiB; anything longer is not it

_VAULT_HEAD = b"NZVAULT\0\0\1"  # spec/store.md §7; the byte behind it is the kind of lock
_BY_PASSPHRASE, _BY_KEY_FILE = b"\1", b"\2"
_STORE_RAN = b'"event": "service.store.running"'  # no value of a log's line shows this: its quotes are escaped
_LINE_BYTES = 1 << 16  # read at once of a log: its lines are far shorter, garbage need not be


class Home:
    """The folder of one node. Properties are paths; whether they exist is another matter."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def certificate(self) -> Path:
        """The node's current certificate, public."""
        return self.path / "certificate"

    @property
    def vault(self) -> Path:
        return self.path / "vault"

    @property
    def vault_key(self) -> Path:
        """The key file that opens the vault of a home without a passphrase."""
        return self.path / "vault.key"

    @property
    def database(self) -> Path:
        return self.path / "store.db"

    @property
    def fresh_database(self) -> Path:
        """What the first store is made in before it gets its name."""
        return self.path / "store.db.new"

    @property
    def network_secret(self) -> Path:
        """64 hexadecimal digits that all nodes of a closed network share; absent in an open one."""
        return self.path / "network.secret"

    @property
    def place(self) -> Path:
        """32 random bytes, written once there is a store: by their inode and change time the node knows its own files
        again."""
        return self.path / "place"

    @property
    def modules(self) -> Path:
        """Where modules are dropped, a folder each."""
        return self.path / "modules"

    @property
    def module_files(self) -> Path:
        """Where modules that were granted `files` keep theirs, a folder each."""
        return self.path / "module-files"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def log(self) -> Path:
        return self.logs / "node.log"

    def exists(self) -> bool:
        """Whether a node was made here: its certificate is the last file that `init` writes.

        *Raises* UnavailableError `node.closed-home` where that can't be seen.
        """
        try:
            os.stat(self.certificate)
        except PermissionError as error:
            raise _closed(self.path) from error
        except (OSError, ValueError):
            return False
        return True

    def needs_passphrase(self) -> bool:
        """Whether opening the vault takes a passphrase rather than the key file: as the vault itself says."""
        try:
            with self.vault.open("rb") as file:
                head = file.read(len(_VAULT_HEAD) + 1)
        except OSError:
            return False  # nothing that a passphrase could open: `require` or the vault's opening says why
        if head in (_VAULT_HEAD + _BY_PASSPHRASE, _VAULT_HEAD + _BY_KEY_FILE):
            return head.endswith(_BY_PASSPHRASE)
        return not os.path.exists(self.vault_key)

    def require(self) -> None:
        """*Raises* UnavailableError `node.no-home` where no node was made, `node.damaged-home` where half of one is;
        as `exists`."""
        certificate, vault = self.exists(), os.path.exists(self.vault)
        if not certificate and not vault:
            raise UnavailableError("node.no-home", f"there is no node in {self.path}", path=str(self.path))
        if not vault:
            raise UnavailableError("node.damaged-home", f"{self.vault} is missing", path=str(self.vault))
        if not certificate:
            message = f"{self.certificate} is missing: an `init` did not finish, or the file was removed"
            hint = "restore the file, or empty the folder and make the node again with `nzcore init --recover`"
            raise UnavailableError("node.damaged-home", message, hint=hint, path=str(self.certificate))

    def require_store(self) -> None:
        """*Raises* UnavailableError `node.missing-store` where a store was made and is gone. An empty one in its place
        would look like a node that is well and has never had a peer.

        `place` is the witness: it is written once, after the first store is on the disk. Where it went too, what the
        store left is one, the log of a node whose store ran, and files of modules, which were enabled in that store. So
        a crash between making the home and making the store, or between the two files, leaves a home that starts.
        """
        if os.path.lexists(self.database):
            return
        witnesses = (self.place, f"{self.database}-wal")
        begun = os.path.lexists(self.fresh_database)
        if any(os.path.lexists(path) for path in witnesses) or (not begun and self._shows_traces()):
            message = f"{self.database} is missing: it held the peers, tickets and messages, and what modules stored"
            raise UnavailableError("node.missing-store", message, path=str(self.database))

    def forget_store(self) -> None:
        """Lets the next start make an empty store in the place of one that is gone; its log alone is no use.

        What is left says so until there is one: the file that it will be made in, which a crash leaves there.
        *Raises* UsageError `node.store-exists`; UnavailableError `node.unwritable`.
        """
        if os.path.lexists(self.database):
            raise UsageError("node.store-exists", f"there is a store already: {self.database}")
        try:
            for rest in (f"{self.database}-wal", f"{self.database}-shm", self.place):
                Path(rest).unlink(missing_ok=True)
            self.fresh_database.touch(mode=FILE_MODE)
        except OSError as error:
            raise UnavailableError("node.unwritable", f"cannot change {error.filename}: {error.strerror}") from error

    def _shows_traces(self) -> bool:
        """Whether a node with a store has run here, as far as files beside the store tell.

        Whoever deletes these too leaves a home that nothing tells from a new one. The vault could, but no start writes
        to it, and one that carries another field is refused by builds that don't know the field.
        """
        if any(self.module_files.glob("*/*")):
            return True
        for log in self.logs.glob(f"{self.log.name}*"):
            try:
                with log.open("rb") as lines:
                    if any(_STORE_RAN in line for line in iter(lambda: lines.readline(_LINE_BYTES), b"")):
                        return True
            except OSError:  # what can't be read tells nothing
                continue
        return False

    def read_network_secret(self) -> bytes | None:
        """The 32 bytes, or None for an open network.

        *Raises* UnavailableError `node.damaged-secret`, or `store.not-private` where others may read the file.
        """
        require_private(self.network_secret)
        try:
            secret = bytes.fromhex(read(self.network_secret, 256).decode("ascii").strip())
        except ValueError as error:
            raise UnavailableError("node.damaged-secret", path=str(self.network_secret)) from error
        except UnavailableError as error:
            if error.code == "store.missing-file":
                return None
            raise
        if len(secret) != NETWORK_SECRET_BYTES or not any(secret):
            raise UnavailableError("node.damaged-secret", path=str(self.network_secret))
        return secret

    def read_certificate(self) -> bytes:
        """The public copy of the certificate, unexamined. *Raises* UnavailableError `store.*`."""
        return read(self.certificate, CERTIFICATE_BYTES)

    def make_folders(self) -> None:
        """Makes the home and its folders, readable by their owner only. *Raises* UnavailableError `node.unwritable`."""
        for folder in (self.path, self.run, self.logs, self.modules):
            try:
                folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
                folder.chmod(FOLDER_MODE)
            except FileExistsError as error:
                raise UnavailableError("node.unwritable", f"{folder} is no folder", hint="move it away") from error
            except OSError as error:
                if error.errno == errno.EROFS:
                    message = f"{folder} is on a file system that is read-only"
                    raise UnavailableError("node.unwritable", message, hint=READ_ONLY_HINT) from error
                what = "change" if os.path.lexists(folder) else "make"
                raise UnavailableError("node.unwritable", f"cannot {what} {folder}: {error.strerror}") from error


def _closed(home: Path) -> UnavailableError:
    """Which folder on the way keeps us out, whose it is, and what to do about it."""
    from shlex import quote

    for folder in (*reversed(home.parents), home):
        try:
            os.stat(f"{folder}/.")
        except PermissionError:
            break
        except OSError:
            continue
    else:
        folder = home
    try:
        found = os.stat(folder)
    except OSError as error:
        return UnavailableError(
            "node.closed-home", f"{folder} can't be looked into: {error.strerror}", path=str(folder)
        )
    if found.st_uid == os.geteuid():
        message = f"{folder} can't be looked into: its mode is {stat.S_IMODE(found.st_mode):04o}"
        return UnavailableError("node.closed-home", message, hint=f"chmod 700 {quote(str(folder))}", path=str(folder))
    owner = user_name(found.st_uid)
    message = f"{folder} can't be looked into: it belongs to {owner}, and you are {user_name(os.geteuid())}"
    return UnavailableError("node.closed-home", message, path=str(folder), owner=found.st_uid)


def user_name(uid: int) -> str:
    """A user as a sentence names them."""
    import pwd

    try:
        return f"{pwd.getpwuid(uid).pw_name} (user {uid})"
    except KeyError:
        return f"user {uid}"


def default_inbox(home: Path) -> Path:
    """Where received files go unless `files.inbox_dir` says otherwise: outside the home, whose files are secret."""
    if home != default_home():
        return home.with_name(f"{home.name}-inbox")
    from platformdirs import user_downloads_path

    return user_downloads_path() / "nzcore"


def default_home() -> Path:
    """The home when neither `--home` nor `NZCORE_HOME` names one: `nzcore` in the user's data folder."""
    if sys.platform == "linux":
        # What platformdirs answers here, without the 14 ms that importing it takes.
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "nzcore"
    else:  # noqa: RET505  (mypy follows sys.platform only in branches)
        from platformdirs import user_data_path

        return user_data_path("nzcore", appauthor=False)
