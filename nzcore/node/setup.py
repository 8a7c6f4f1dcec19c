"""Making a home: a new node, a known one again from its mnemonic, or one moved here by export and import."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.base.instant import WallTime
from nzcore.crypto.secrets import StoreKey
from nzcore.node.export import open_export
from nzcore.node.home import FILE_MODE, Home
from nzcore.node.secrets import Secrets
from nzcore.proto.identity.certificate import Certificate, Flags, next_epoch
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.root import Root
from nzcore.proto.identity.rotation import PendingKeys
from nzcore.store import vault
from nzcore.store.files import replace


class Created(NamedTuple):
    """The node that now lives in a home."""

    node: NodeId
    identity: IdentityId
    name: str


def create_home(home: Path, *, name: str, mnemonic: Mnemonic, index: int = 0, passphrase: str | None) -> Created:
    """Makes the home of node number `index` of the identity behind `mnemonic`, which the caller wipes.

    The vault is sealed under `passphrase`, or under a key file where it is None. The epoch comes from the clock, so a
    node that is made again outdoes its forgotten past.
    *Raises* UsageError `node.home-exists`; UnavailableError `node.unwritable`, `store.disk-full`, `store.cannot-write`.
    """
    return _settle(home, make_secrets(mnemonic, name=name, index=index, now=WallTime(int(time.time()))), passphrase)


def make_secrets(mnemonic: Mnemonic, *, name: str, index: int, now: WallTime) -> Secrets:
    """Fresh keys of a node and their first certificate; the caller wipes words and result."""
    pending = PendingKeys.generate()
    with Root.from_mnemonic(mnemonic) as root:
        certificate = root.certify(
            index,
            pending.sign_key,
            pending.dh_key,
            epoch=next_epoch(0, now),
            issued=now,
            name=name,
            # The first node of an identity speaks for it; further ones are given the voice by a rotation.
            flags=Flags.VOICE if index == 0 else Flags.NONE,
        )
        backup = bytes(root.backup_public)
    return Secrets(pending.take_up(certificate), StoreKey.generate(), backup)


def import_home(home: Path, exported: str, export_passphrase: str, *, passphrase: str | None) -> Created:
    """Makes the home of an exported node; the original must not run any more, and its settings stay behind.

    *Raises* as `create_home`, and as `open_export` for the text and its passphrase.
    """
    keys, backup = open_export(exported, export_passphrase)
    return _settle(home, Secrets(keys, StoreKey.generate(), backup), passphrase)


def write_certificate(home: Home, certificate: Certificate) -> None:
    """Puts the public copy of the certificate beside the vault. *Raises* as `store.files.replace`."""
    replace(home.certificate, certificate.text.encode("ascii"))


def _settle(path: Path, secrets: Secrets, passphrase: str | None) -> Created:
    try:
        home = Home(path)
        if home.exists() or os.path.lexists(home.vault):
            raise UsageError("node.home-exists", f"there is a node in {home.path}", path=str(home.path))
        home.make_folders()
        _make_config(home)
        key_file = home.vault_key if passphrase is None else None
        vault.create(home.vault, secrets.encode(), passphrase=passphrase, key_file=key_file)
        certificate = secrets.keys.certificate
        write_certificate(home, certificate)  # last: with it the home exists
    finally:
        secrets.wipe()
    return Created(certificate.node, certificate.root, certificate.name)


def _make_config(home: Home) -> None:
    try:
        home.config.touch(mode=FILE_MODE)
    except OSError as error:
        raise UnavailableError("node.unwritable", f"cannot write {home.config}: {error.strerror}") from error
