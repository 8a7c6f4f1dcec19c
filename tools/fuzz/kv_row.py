"""Fuzz target: a stored row and a stored head, with bytes of the attacker's choice and under a known key."""

from nzcore.base.errors import UnavailableError
from nzcore.crypto.secrets import StoreKey
from nzcore.store.sealing import Sealer, StoredRow

_SEALER = Sealer(StoreKey(bytes(32)))
_PLACE = _SEALER.place("fuzz", "row")


def target(data: bytes) -> None:
    """Reads `data` as ciphertext, as a head, and, sealed properly, as the plaintext of a row."""
    for attempt in (
        lambda: _SEALER.open_row(StoredRow(_PLACE, int.from_bytes(data[:7], "big"), data[7:])),
        lambda: _SEALER.open_head(int.from_bytes(data[:7], "big"), data[7:]),
        lambda: _SEALER.open_row(_sealed(data)),
    ):
        try:
            attempt()
        except UnavailableError as error:
            if error.code not in ("store.damaged-row", "store.foreign-database"):
                raise


def _sealed(plain: bytes) -> StoredRow:
    transaction = _SEALER.begin()
    version = 1 << 16
    _, sealed = transaction.seal(_PLACE + version.to_bytes(8, "big"), plain)
    return StoredRow(_PLACE, version, transaction.salt + sealed)
