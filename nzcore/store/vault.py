"""The vault: one small file that holds a node's keys, sealed under a passphrase or a key file (spec/store.md §7).

Knows neither keys nor what they are for: contents are bytes. What a vault holds is read and replaced through an open
`Vault` alone; functions are for what needs none. All calls block; deriving from a passphrase takes about 0.3 s on
purpose. Layout, before anything is derived from it:

    "NZVAULT\\0" | version u16 | lock u8 | 0 | size u32 | operations u32 | memory u64 | salt 16 | sealed | SHA-256 32
"""

import struct
from pathlib import Path
from typing import Literal, NamedTuple, Self

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.crypto.aead import open_secret, seal_secret
from nzcore.crypto.hashing import same_bytes, sha256
from nzcore.crypto.passphrase import MODERATE, Cost, PassphraseSalt, derive
from nzcore.crypto.secrets import Hidden, SecretBytes, WrappingKey
from nzcore.store.files import read, replace, require_private, write_new

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


class _Parsed(NamedTuple):
    """A vault whose layout and checksum hold; its seal is not yet tried."""

    header: bytes
    lock: int
    cost: Cost
    salt: bytes
    sealed: bytes


class Vault(Hidden):
    """An open vault: its contents can be read again and replaced without asking for the passphrase again.

    Holds the key that the passphrase or the key file gave; whoever opened it wipes it.
    """

    __slots__ = ("_key", "_opened", "_path")

    def __init__(self, path: Path, opened: _Parsed, key: WrappingKey) -> None:
        """Use `open`."""
        self._path = path
        self._opened = opened
        self._key = key

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
        return cls(path, parsed, key)

    def contents(self) -> SecretBytes:
        """What is in the vault now; the caller wipes it. *Raises* as `open` for a file that is another one by now."""
        return _unseal(_read(self._path), self._opened.lock, self._key)

    def replace(self, contents: bytes) -> None:
        """Puts other contents under the same lock, atomically: a crash leaves the old vault or the new one.

        *Raises* UnavailableError `store.cannot-write`, UsageError `store.too-much-in-vault`.
        """
        lock, cost, salt = self._opened.lock, self._opened.cost, self._opened.salt
        replace(self._path, _layout(contents, lock, cost, salt, self._key))

    def wipe(self) -> None:
        """Forgets the key; harmless when repeated."""
        self._key.wipe()


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
    UnavailableError `store.cannot-write`.
    """
    _one_of(passphrase, key_file)
    if path.exists():
        raise UsageError("store.file-exists", path=str(path))
    key = _new_key(key_file)
    try:
        write_new(path, _sealed(contents, passphrase, key, cost))
    except BaseException:
        if key_file is not None:
            key_file.unlink(missing_ok=True)
        raise


def seal(contents: bytes, passphrase: str, *, cost: Cost = MODERATE) -> bytes:
    """A vault's bytes, to be carried elsewhere. *Raises* UsageError as `create`."""
    return _sealed(contents, passphrase, None, cost)


def unseal(data: bytes, passphrase: str) -> SecretBytes:
    """What `seal` sealed; the caller wipes it. *Raises* as `Vault.open` for a damaged file and a wrong passphrase."""
    parsed = parse(data)
    key = _derived_key(passphrase, parsed)
    try:
        return _unseal(parsed, _BY_PASSPHRASE, key)
    finally:
        key.wipe()


def lock_of(path: Path) -> Literal["passphrase", "key-file"]:
    """What opens this vault, so that a program knows whether to ask. *Raises* as `Vault.open` for bad files."""
    return "passphrase" if _read(path).lock == _BY_PASSPHRASE else "key-file"


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


def _sealed(contents: bytes, passphrase: str | None, key: WrappingKey | None, cost: Cost) -> bytes:
    lock, salt = _BY_KEY_FILE, _NO_SALT
    if passphrase is not None:
        lock, salt = _BY_PASSPHRASE, PassphraseSalt.generate()
        key = derive(passphrase, salt, cost)
    else:
        cost = _NO_COST
    assert key is not None
    try:
        return _layout(contents, lock, cost, salt, key)
    finally:
        key.wipe()


def _layout(contents: bytes, lock: int, cost: Cost, salt: bytes, key: WrappingKey) -> bytes:
    if len(contents) > CONTENTS_BYTES:
        raise UsageError("store.too-much-in-vault", size=len(contents), limit=CONTENTS_BYTES)
    size = _HEADER.size + _SEAL_BYTES + len(contents) + _CHECK_BYTES
    header = _HEADER.pack(MAGIC, VERSION, lock, size, cost.operations, cost.memory_bytes, salt)
    body = header + seal_secret(key, LABEL, contents, aad=header)
    return body + sha256(body)


def _one_of(passphrase: str | None, key_file: Path | None) -> None:
    if (passphrase is None) == (key_file is None):
        raise UsageError("store.one-lock")


def _new_key(path: Path | None) -> WrappingKey | None:
    if path is None:
        return None
    key = WrappingKey.generate()
    write_new(path, KEY_FILE_HEAD + key.view().hex().encode() + b"\n")
    return key


def _read_key(path: Path) -> WrappingKey:
    require_private(path)
    line = read(path, 256)
    try:
        if not line.startswith(KEY_FILE_HEAD) or len(line) != len(KEY_FILE_HEAD) + 65:
            raise ValueError(path)
        return WrappingKey(bytes.fromhex(line[len(KEY_FILE_HEAD) :].decode("ascii")))
    except (ValueError, UsageError) as error:
        raise UnavailableError("store.damaged-key-file", path=str(path)) from error
