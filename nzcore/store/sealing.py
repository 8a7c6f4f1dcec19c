"""How rows are hidden and bound (spec/store.md §4): places, sealed rows, the sealed head, the running sum's leaves.

Knows keys, no SQL. A row opens only at its own place and version; which rows there should be, the sum says.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.crypto.aead import TransactionOpener, TransactionSealer
from nzcore.crypto.hashing import hkdf, keyed_hmac_sha256
from nzcore.crypto.secrets import StoreKey

TAG_BYTES = 16  # of a namespace, and the AEAD's
PLACE_BYTES = 32  # namespace tag and name hash, 16 bytes each
SALT_BYTES = 24
INDEX_BITS = 16  # of a version: the row's number in its transaction
SUM_MODULUS = 1 << 256

LABEL_ROWS = b"NZ-STORE-01 kv"
LABEL_NAMES = b"NZ-STORE-01 names"
LABEL_ANCHOR = b"NZ-STORE-01 anchor"
LABEL_TRANSACTION = "NZ-STORE-01 tx"
LABEL_HEAD = b"NZ-STORE-01 head"

_VERSION = struct.Struct(">Q")
_NAME = struct.Struct(">H")
_HEAD = struct.Struct(">QQ32sQ32s")  # counter, count, sum, ledger size, ledger root
_HEAD_INDEX = struct.Struct(">H")


PlainRow = tuple[bytes, str, bytes]
"""Place, name and value."""

SealedRow = tuple[bytes, int, bytes]
"""Place, version, salt and ciphertext: a `StoredRow` on its way to disk, where a plain tuple costs a sixth."""


class StoredRow(NamedTuple):
    """A row as it lies on disk: place (32 B), version, salt and ciphertext."""

    place: bytes
    version: int
    sealed: bytes


class Head(NamedTuple):
    """What every commit states about the whole store: commits so far, live rows, their sum; the ledger's is zero."""

    counter: int = 0
    rows: int = 0
    total: int = 0


class Sealer:
    """Everything that the data key (from the vault) opens and seals in the store. The key itself is not kept."""

    def __init__(self, data_key: StoreKey) -> None:
        key = data_key.view()
        self._rows = StoreKey(hkdf(key, info=LABEL_ROWS, length=32))
        self._hash_name = keyed_hmac_sha256(hkdf(key, info=LABEL_NAMES, length=32))
        self._hash_leaf = keyed_hmac_sha256(hkdf(key, info=LABEL_ANCHOR, length=32))
        self.namespace_tag = lru_cache(maxsize=1024)(self._namespace_tag)
        self._opener = lru_cache(maxsize=256)(self._new_opener)

    def __repr__(self) -> str:
        return "<Sealer>"

    def place(self, ns: str, name: str) -> bytes:
        """Where a name lies: 32 bytes that say nothing without the key."""
        tag = self.namespace_tag(ns)
        return tag + self._hash_name(b"name\0" + tag + name.encode())[:16]

    def begin(self) -> TransactionSealer:
        """A sealer for one transaction, with its own salt and key."""
        return TransactionSealer(self._rows, LABEL_TRANSACTION)

    def seal_rows(self, first: int, puts: Sequence[PlainRow]) -> tuple[TransactionSealer, list[SealedRow]]:
        """All rows of a transaction, with versions from `first`, whose index is 0; its sealer has the head yet to seal.

        In one pass without other hashing between: measured 1.6 µs a small row instead of 2.0.
        """
        transaction = self.begin()
        seal, salt, pack = transaction.seal, transaction.salt, _VERSION.pack
        rows: list[SealedRow] = []
        for version, (place, name, value) in enumerate(puts, first):
            encoded = name.encode()
            plain = b"".join((_NAME.pack(len(encoded)), encoded, value))  # one copy of the value
            index, sealed = seal(place + pack(version), plain)
            assert index == version & 0xFFFF
            rows.append((place, version, salt + sealed))
        return transaction, rows

    def open_row(self, row: StoredRow) -> tuple[str, bytes]:
        """Name and value of a row. *Raises* UnavailableError `store.damaged-row`."""
        try:
            aad = row.place + _VERSION.pack(row.version)
            plain = self._open(row.version & 0xFFFF, aad, row.sealed)
            (size,) = _NAME.unpack_from(plain)
            if 2 + size > len(plain):
                raise ValueError(size)
            return plain[2 : 2 + size].decode(), plain[2 + size :]
        except (PeerError, ValueError, struct.error, TypeError) as error:
            raise UnavailableError("store.damaged-row", version=row.version) from error

    def leaf(self, place: bytes, version: int, tag: bytes) -> int:
        """What a row adds to the running sum; `tag` is the last 16 bytes of its ciphertext."""
        return int.from_bytes(self._hash_leaf(place + _VERSION.pack(version) + tag), "big")

    def seal_head(self, transaction: TransactionSealer, head: Head) -> bytes:
        """The head, sealed last in its transaction: index (u16), salt, ciphertext."""
        plain = _HEAD.pack(head.counter, head.rows, head.total.to_bytes(32, "big"), 0, bytes(32))
        index, sealed = transaction.seal(LABEL_HEAD + _VERSION.pack(head.counter), plain)
        return _HEAD_INDEX.pack(index) + transaction.salt + sealed

    def first_head(self) -> tuple[int, bytes]:
        """Counter and sealed head of an empty store."""
        return 0, self.seal_head(self.begin(), Head())

    def open_head(self, counter: int, stored: bytes) -> Head:
        """The head that a counter belongs to. *Raises* UnavailableError `store.foreign-database`."""
        try:
            (index,) = _HEAD_INDEX.unpack_from(stored)
            plain = self._open(index, LABEL_HEAD + _VERSION.pack(counter), stored[2:])
            stated, count, total, _, _ = _HEAD.unpack(plain)
        except (PeerError, ValueError, struct.error, TypeError) as error:
            raise UnavailableError("store.foreign-database") from error
        return Head(stated, count, int.from_bytes(total, "big"))

    def _namespace_tag(self, ns: str) -> bytes:
        return self._hash_name(b"namespace\0" + ns.encode())[:TAG_BYTES]

    def _open(self, index: int, aad: bytes, stored: bytes) -> bytes:
        return self._opener(stored[:SALT_BYTES]).open(index, aad, stored[SALT_BYTES:])

    def _new_opener(self, salt: bytes) -> TransactionOpener:
        return TransactionOpener(self._rows, salt=salt, label=LABEL_TRANSACTION)
