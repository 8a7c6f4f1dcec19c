"""A node's keys as a text that only a passphrase opens (spec/identity.md; `identity export` and `import`).

Carries the keys and their certificate, not the store: whoever imports it is the same node with an empty memory.
"""

from typing import Annotated

from msgspec import Meta, Struct

from nzcore.base.errors import NzError, PeerError
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.crypto.secrets import SecretBytes
from nzcore.node.secrets import Secrets, keys_of
from nzcore.proto.identity import armour
from nzcore.proto.identity.node_keys import SEEDS_BYTES, NodeKeys
from nzcore.store import vault

PREFIX = "nzexport"
EXPORT_BYTES = 2048


class _Exported(Struct, frozen=True, forbid_unknown_fields=True):
    certificate: bytes
    seeds: Annotated[bytes, Meta(min_length=SEEDS_BYTES, max_length=SEEDS_BYTES)]
    backup: Annotated[bytes, Meta(min_length=32, max_length=32)]


def take_out(secrets: Secrets) -> SecretBytes:
    """What an export carries, still in plain: for `seal_export` alone, at once; whoever takes it wipes it."""
    seeds = secrets.keys.seeds()
    try:
        exported = _Exported(secrets.keys.certificate.encoded, seeds.encode(), secrets.backup)
    finally:
        seeds.wipe()
    return SecretBytes(pack(builtins(exported)))


def seal_export(contents: SecretBytes, passphrase: str) -> str:
    """The text, in lines. Blocks for about 0.3 s. *Raises* UsageError `crypto.bad-passphrase`."""
    return armour.encode_lines(PREFIX, vault.seal(contents.reveal(), passphrase))


def open_export(text: str, passphrase: str) -> tuple[NodeKeys, bytes]:
    """The keys, and the public half of the identity's backup key.

    *Raises* PeerError `identity.bad-text`, `node.bad-export`; UnavailableError `store.damaged-vault` and the like;
    UsageError `store.wrong-passphrase`.
    """
    contents = vault.unseal(armour.decode(PREFIX, text, max_bytes=EXPORT_BYTES), passphrase)
    try:
        exported = convert(unpack(contents.reveal()), _Exported)
        return keys_of(exported.seeds, exported.certificate), exported.backup
    except NzError as error:  # also a certificate of other keys, which is a UsageError elsewhere
        raise PeerError("node.bad-export", f"the export holds no keys: {error.message}") from error
    finally:
        contents.wipe()
