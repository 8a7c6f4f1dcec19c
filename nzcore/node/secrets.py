"""What the vault of a home holds: the node's keys, its certificate, the store's key (spec/env.md §3).

One sealed value, replaced whole: so a crash in the middle of a rotation leaves the old keys with the old certificate
or the new ones with the new, never a mixture.
"""

from typing import Annotated, Self

from msgspec import Meta, Struct

from nzcore.base.errors import NzError, UnavailableError
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.crypto.secrets import Hidden, StoreKey
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.node_keys import SEEDS_BYTES, KeySeeds, NodeKeys
from nzcore.proto.identity.rotation import PendingKeys

VERSION = 1
_Seeds = Annotated[bytes, Meta(min_length=SEEDS_BYTES, max_length=SEEDS_BYTES)]
_Key = Annotated[bytes, Meta(min_length=32, max_length=32)]


class _Contents(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    certificate: bytes
    seeds: _Seeds
    data_key: _Key
    backup: _Key
    pending: _Seeds | None = None


class Secrets(Hidden):
    """Everything in a vault, as values; `wipe` when the node stops."""

    def __init__(self, keys: NodeKeys, data_key: StoreKey, backup: bytes, pending: PendingKeys | None = None) -> None:
        """`backup` is the public half of the identity's backup key (32 bytes)."""
        self.keys = keys
        self.data_key = data_key
        self.backup = backup
        self.pending = pending

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """*Raises* UnavailableError `node.damaged-vault` for anything that `encode` did not write."""
        try:
            contents = convert(unpack(bytes(data)), _Contents)
            if contents.version != VERSION:
                raise UnavailableError("node.damaged-vault", f"the vault's contents have version {contents.version}")
            keys = keys_of(contents.seeds, contents.certificate)
        except UnavailableError:
            raise
        except NzError as error:  # also a certificate of other keys, which is a UsageError elsewhere
            raise UnavailableError("node.damaged-vault", f"the vault holds no keys: {error.message}") from error
        pending = None
        if contents.pending is not None:
            seeds = KeySeeds.decode(contents.pending)
            pending = PendingKeys.from_seeds(seeds)
            seeds.wipe()
        return cls(keys, StoreKey(contents.data_key), contents.backup, pending)

    def encode(self) -> bytes:
        """For the vault alone, at once."""
        seeds = self.keys.seeds()
        pending = self.pending.seeds() if self.pending else None
        try:
            contents = _Contents(
                version=VERSION,
                certificate=self.keys.certificate.encoded,
                seeds=seeds.encode(),
                data_key=self.data_key.reveal(),
                backup=self.backup,
                pending=pending.encode() if pending else None,
            )
        finally:
            seeds.wipe()
            if pending:
                pending.wipe()
        return pack(builtins(contents))

    def wipe(self) -> None:
        self.keys.wipe()
        self.data_key.wipe()
        if self.pending:
            self.pending.wipe()


def keys_of(encoded_seeds: bytes, encoded_certificate: bytes) -> NodeKeys:
    """The keys behind 64 bytes of seeds and their certificate. *Raises* PeerError as `Certificate.parse`; UsageError
    `identity.keys-mismatch` where the certificate is about other keys."""
    certificate = Certificate.parse(encoded_certificate)
    seeds = KeySeeds.decode(encoded_seeds)
    try:
        return NodeKeys.from_seeds(seeds, certificate)
    finally:
        seeds.wipe()
