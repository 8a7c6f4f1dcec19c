"""The vault: one small file that holds a node's keys, sealed under a passphrase or a key file (spec/store.md §7).

Knows neither keys nor what they are for: contents are bytes. What a vault holds, and what it is sealed with, is read
and replaced through an open `Vault` alone; functions are for what needs none. All calls block; deriving from a
passphrase takes about 0.3 s on purpose. Layout, before anything is derived from it:

    "NZVAULT\\0" | version u16 | lock u8 | 0 | size u32 | operations u32 | memory u64 | salt 16 | sealed | SHA-256 32
"""

import os
import struct
from pathlib import Path
from typing import Literal, NamedTuple, Self

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.crypto.aead import open_secret, seal_secret
from nzcore.crypto.hashing import same_bytes, sha256
from nzcore.crypto.passphrase import MODERATE, Cost, PassphraseSalt, derive
from nzcore.crypto.secrets import Hidden, SecretBytes, WrappingKey
from nzcore.store.files import read, replace, require_private, sync_folder, write_new

VERSION = 1
CONTENTS_BYTES = 64 << 10  # seeds and a data key are far below 1 KiB; an open is one bounded read
MAGIC = b"NZVAULT\0"
LABEL = "NZ-STORE-01 vault"
KEY_FILE_HEAD = b"nzcore vault key 1 "

_HEADER = struct.Struct(">8sHBxIIQ16s")
_CHECK_BYTES = 32
_SEAL_BYTES = 32 + 16
_MAX_BYTES = _HEADER.size + _SEAL_BYTES + CONTENTS_BYTES + _CHECK_BYTES
_BY_PASSPHRASE, _BY_KEY_FILE = 1, 2
_NO_COST = Cost(0, 0)
_NO_SALT = PassphraseSalt(bytes(16))

LockKind = Literal["passphrase", "key-file"]


class _Parsed(NamedTuple):
    """A vault whose layout and checksum hold; its seal is not yet tried."""

    header: bytes
    lock: int
    cost: Cost
    salt: bytes
    sealed: bytes


class Lock(Hidden):
    """What a vault is sealed with: a key, and what it takes to come by it again. Whoever makes one wipes it, unless a
    vault took it."""

    __slots__ = ("cost", "key", "number", "salt")

    def __init__(self, number: int, cost: Cost, salt: bytes, key: WrappingKey) -> None:
        """Use `by_passphrase` or `by_key_file`."""
        self.number = number
        self.cost = cost
        self.salt = salt
        self.key = key

    @classmethod
    def by_passphrase(cls, passphrase: str, *, cost: Cost = MODERATE) -> Self:
        """A lock that `passphrase` opens, under a salt of its own. *Raises* UsageError `crypto.bad-passphrase`."""
        salt = PassphraseSalt.generate()
        return cls(_BY_PASSPHRASE, cost, salt, derive(passphrase, salt, cost))

    @classmethod
    def by_key_file(cls) -> Self:
        """A lock with a fresh key, which is in no file yet."""
        return cls(_BY_KEY_FILE, _NO_COST, _NO_SALT, WrappingKey.generate())

    @property
    def kind(self) -> LockKind:
        return _kind(self.number)

    def is_opened_by(self, passphrase: str) -> bool:
        """Whether this is the lock's passphrase. Blocks as deriving does. *Raises* UsageError `crypto.bad-passphrase`,
        `store.other-lock` where no passphrase opens it."""
        if self.number != _BY_PASSPHRASE:
            raise UsageError("store.other-lock")
        key = derive(passphrase, self.salt, self.cost)
        try:
            return key == self.key
        finally:
            key.wipe()

    def wipe(self) -> None:
        """Forgets the key; harmless when repeated."""
        self.key.wipe()


class Vault(Hidden):
    """An open vault: its contents can be read again and replaced without asking for the passphrase again.

    Holds the key that the passphrase or the key file gave; whoever opened it wipes it.
    """

    __slots__ = ("_lock", "_path")

    def __init__(self, path: Path, lock: Lock) -> None:
        """Use `open`."""
        self._path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, passphrase: str | None = None, key_file: Path | None = None) -> Self:
        """Tries the lock. Give the passphrase or the key file.

        *Raises* UnavailableError `store.missing-file`, `store.truncated-vault`, `store.damaged-vault`,
        `store.newer-vault`, `store.not-private` (the key file), `store.damaged-key-file`; UsageError
        `store.wrong-passphrase`, `store.wrong-key-file`, `store.other-lock` (the vault has the other kind of lock),
        `store.one-lock`.
        """
        _one_of(passphrase, key_file)
        parsed = _read(path)
        if passphrase is not None:
            lock, key = _BY_PASSPHRASE, _derived_key(passphrase, parsed)
        else:
            assert key_file is not None
            lock, key = _BY_KEY_FILE, _read_key(key_file)
        try:
            _unseal(parsed, lock, key).wipe()
        except BaseException:
            key.wipe()
            raise
        return cls(path, Lock(lock, parsed.cost, parsed.salt, key))

    @property
    def lock(self) -> Lock:
        """What it is sealed with now; not to be wiped. Another one after `relock`."""
        return self._lock

    def contents(self) -> SecretBytes:
        """What is in the vault now; the caller wipes it. *Raises* as `open` for a file that is another one by now."""
        return _unseal(_read(self._path), self._lock.number, self._lock.key)

    def replace(self, contents: bytes) -> None:
        """Puts other contents under the same lock, atomically: a crash leaves the old vault or the new one.

        *Raises* UnavailableError `store.disk-full`, `store.cannot-write`; UsageError `store.too-much-in-vault`.
        """
        replace(self._path, _layout(contents, self._lock))

    def relock(self, lock: Lock, key_file: Path) -> None:
        """Puts the same contents under another lock; `key_file` is where its key file lies or will lie. A crash at any
        moment leaves a vault that the old lock opens, or one that the new lock opens.

        The vault takes over `lock`, whatever happens. *Raises* UsageError `store.same-lock` from one key file to
        another, which no single rename could exchange together with the vault; UnavailableError `store.disk-full`,
        `store.cannot-write`: the old lock holds, unless only making the new one durable or tidying up failed. Otherwise
        as `contents`.
        """
        unused = lock
        try:
            if lock.number == self._lock.number == _BY_KEY_FILE:
                raise UsageError("store.same-lock")
            fresh = self._sealed_anew(lock)
            try:
                if lock.number == _BY_KEY_FILE:
                    replace(key_file, _key_line(lock.key))  # durable before the vault that nothing else will open
                replace(self._path, fresh)
            finally:
                if read(self._path, _MAX_BYTES) == fresh:  # also where only the folder's sync failed
                    unused, self._lock = self._lock, lock
                self.tidy(key_file)
        finally:
            unused.wipe()

    def tidy(self, key_file: Path) -> None:
        """Removes what an interrupted change left: files half replaced, and the key file beside a passphrase's vault.

        That one opens nothing, or a vault that was replaced. *Raises* UnavailableError `store.cannot-write`.
        """
        rests = [path.with_name(f"{path.name}.new") for path in (self._path, key_file)]
        if self._lock.number == _BY_PASSPHRASE:
            rests.append(key_file)
        _remove([path for path in rests if os.path.lexists(path)])

    def wipe(self) -> None:
        """Forgets the key; harmless when repeated."""
        self._lock.wipe()

    def _sealed_anew(self, lock: Lock) -> bytes:
        contents = self.contents()
        try:
            return _layout(contents.view(), lock)
        finally:
            contents.wipe()


def create(
    path: Path,
    contents: bytes,
    *,
    passphrase: str | None = None,
    key_file: Path | None = None,
    cost: Cost = MODERATE,
) -> None:
    """Makes a vault, private and durable; with `key_file`, makes that file too, which opens it. Give one of the two.

    *Raises* UsageError `store.one-lock`, `store.file-exists`, `store.too-much-in-vault`, `crypto.bad-passphrase`;
    UnavailableError `store.disk-full`, `store.cannot-write`.
    """
    _one_of(passphrase, key_file)
    if path.exists():
        raise UsageError("store.file-exists", path=str(path))
    lock = Lock.by_key_file() if passphrase is None else Lock.by_passphrase(passphrase, cost=cost)
    try:
        if key_file is not None:
            write_new(key_file, _key_line(lock.key))
        try:
            write_new(path, _layout(contents, lock))
        except BaseException:
            if key_file is not None:
                key_file.unlink(missing_ok=True)
            raise
    finally:
        lock.wipe()


def seal(contents: bytes, passphrase: str, *, cost: Cost = MODERATE) -> bytes:
    """A vault's bytes, to be carried elsewhere. *Raises* UsageError as `create`."""
    lock = Lock.by_passphrase(passphrase, cost=cost)
    try:
        return _layout(contents, lock)
    finally:
        lock.wipe()


def unseal(data: bytes, passphrase: str) -> SecretBytes:
    """What `seal` sealed; the caller wipes it. *Raises* as `Vault.open` for a damaged file and a wrong passphrase."""
    parsed = parse(data)
    key = _derived_key(passphrase, parsed)
    try:
        return _unseal(parsed, _BY_PASSPHRASE, key)
    finally:
        key.wipe()


def lock_of(path: Path) -> LockKind:
    """What opens this vault, so that a program knows whether to ask. *Raises* as `Vault.open` for bad files."""
    return _kind(_read(path).lock)


def parse(data: bytes) -> _Parsed:
    """Takes a vault's bytes apart; nothing secret is needed. *Raises* UnavailableError `store.truncated-vault`,
    `store.damaged-vault`, `store.newer-vault`."""
    if data[: len(MAGIC)] != MAGIC:
        raise _not_whole(data)
    if len(data) >= 10 and int.from_bytes(data[8:10], "big") > VERSION:
        raise UnavailableError("store.newer-vault", version=int.from_bytes(data[8:10], "big"))
    if len(data) < _HEADER.size:
        raise UnavailableError("store.truncated-vault")
    _, version, lock, size, operations, memory, salt = _HEADER.unpack_from(data)
    if len(data) < size <= _MAX_BYTES:
        raise UnavailableError("store.truncated-vault", size=len(data), expected=size)
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    sealed = body[_HEADER.size :]
    whole = version == VERSION and len(data) == size and len(sealed) >= _SEAL_BYTES
    if not whole or lock not in (_BY_PASSPHRASE, _BY_KEY_FILE) or not same_bytes(sha256(body), check):
        raise UnavailableError("store.damaged-vault")
    return _Parsed(body[: _HEADER.size], lock, _cost(lock, operations, memory), salt, sealed)


def _kind(number: int) -> LockKind:
    return "passphrase" if number == _BY_PASSPHRASE else "key-file"


def _derived_key(passphrase: str, parsed: _Parsed) -> WrappingKey:
    """The key behind a passphrase under the vault's own cost. *Raises* UsageError `store.other-lock`."""
    if parsed.lock != _BY_PASSPHRASE:
        raise UsageError("store.other-lock")
    return derive(passphrase, parsed.salt, parsed.cost)


def _not_whole(data: bytes) -> UnavailableError:
    return UnavailableError("store.truncated-vault" if MAGIC.startswith(data) else "store.damaged-vault")


def _cost(lock: int, operations: int, memory: int) -> Cost:
    if lock == _BY_KEY_FILE:
        return _NO_COST
    try:
        return Cost.stored(operations, memory)
    except PeerError as error:
        raise UnavailableError("store.damaged-vault", problem="cost out of bounds") from error


def _read(path: Path) -> _Parsed:
    return parse(read(path, _MAX_BYTES))


def _unseal(parsed: _Parsed, lock: int, key: WrappingKey) -> SecretBytes:
    if parsed.lock != lock:
        raise UsageError("store.other-lock")
    try:
        return open_secret(key, LABEL, parsed.sealed, aad=parsed.header)
    except PeerError as error:
        # The checksum held, so the file is whole and it is the key that is another.
        wrong = "store.wrong-passphrase" if lock == _BY_PASSPHRASE else "store.wrong-key-file"
        raise UsageError(wrong) from error


def _layout(contents: bytes | bytearray, lock: Lock) -> bytes:
    if len(contents) > CONTENTS_BYTES:
        raise UsageError("store.too-much-in-vault", size=len(contents), limit=CONTENTS_BYTES)
    size = _HEADER.size + _SEAL_BYTES + len(contents) + _CHECK_BYTES
    header = _HEADER.pack(MAGIC, VERSION, lock.number, size, lock.cost.operations, lock.cost.memory_bytes, lock.salt)
    body = header + seal_secret(lock.key, LABEL, contents, aad=header)
    return body + sha256(body)


def _remove(rests: list[Path]) -> None:
    """Only once the vault beside them is durable: a lost rename would want back the key that goes with the old one."""
    try:
        for folder in {path.parent for path in rests}:
            sync_folder(folder)
        for path in rests:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in rests}:
            sync_folder(folder)
    except OSError as error:
        message = f"cannot remove {error.filename or rests[0]}: {error.strerror or type(error).__name__}"
        raise UnavailableError("store.cannot-write", message, path=str(rests[0])) from error


def _one_of(passphrase: str | None, key_file: Path | None) -> None:
    if (passphrase is None) == (key_file is None):
        raise UsageError("store.one-lock")


def _key_line(key: WrappingKey) -> bytes:
    return KEY_FILE_HEAD + key.view().hex().encode() + b"\n"


def _read_key(path: Path) -> WrappingKey:
    require_private(path)
    line = read(path, 256)
    try:
        if not line.startswith(KEY_FILE_HEAD) or len(line) != len(KEY_FILE_HEAD) + 65:
            raise ValueError(path)
        return WrappingKey(bytes.fromhex(line[len(KEY_FILE_HEAD) :].decode("ascii")))
    except (ValueError, UsageError) as error:
        raise UnavailableError("store.damaged-key-file", path=str(path)) from error
