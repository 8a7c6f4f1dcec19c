"""Fuzz target: a vault file, and a whole vault with the attacker's bytes behind a right checksum."""

from nzcore.base.errors import UnavailableError
from nzcore.crypto.hashing import sha256
from nzcore.store.vault import MAGIC, VERSION, parse


def target(data: bytes) -> None:
    """Takes `data` apart as a vault; only refusals for damage may come out. Nothing is derived, so it stays fast."""
    size = len(data) + 47  # the 15 fixed bytes and the checksum
    body = MAGIC + VERSION.to_bytes(2, "big") + data[:1] + b"\0" + size.to_bytes(4, "big") + data[1:]
    for vault in (data, body + sha256(body)):
        try:
            parse(vault)
        except UnavailableError as error:
            if error.code not in ("store.truncated-vault", "store.damaged-vault", "store.newer-vault"):
                raise
