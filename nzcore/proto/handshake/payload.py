"""How a node introduces itself, in the payloads of messages 2 and 3 (NZ-HANDSHAKE-01 §6).

Knows shapes and sizes; whether the certificate is one, and whose, is `verdict`'s to say.
"""

from typing import NamedTuple, TypeGuard

from msgspec import Struct

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError
from nzcore.codec.frames import pack, unpack

BOOT_BYTES = 16
PAYLOAD_BYTES = 4096
"""Largest payload: twice what the known keys can take, so that later versions may say more."""

MAX_FEATURES = 32
MAX_CHARACTERS = 32
"""Of the version and of each feature, in printable ASCII: they stand in logs and tables as they are."""


class Introduction(Struct, frozen=True):
    """What a node says of its software. *Raises* UsageError `handshake.bad-setup` for texts beyond the limits."""

    version: str
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (_is_version(self.version) and _are_features(self.features)):
            raise UsageError("handshake.bad-setup", given="introduction")


class Payload(NamedTuple):
    """What the other side said, within its limits and not yet believed."""

    certificate: bytes
    boot: bytes
    version: str
    features: tuple[str, ...]


def encode_payload(certificate: bytes, boot: bytes, introduction: Introduction) -> bytes:
    """A MessagePack map. *Raises* UsageError `handshake.bad-setup` unless `boot` has 16 bytes."""
    if len(boot) != BOOT_BYTES:
        raise UsageError("handshake.bad-setup", given="boot", size=len(boot))
    said = {
        "certificate": certificate,
        "boot": boot,
        "version": introduction.version,
        "features": introduction.features,
    }
    return pack(said)


def decode_payload(data: bytes) -> Payload:
    """Unknown keys are ignored; a known one that is missing or out of its limits is not.

    *Raises* PeerError `handshake.bad-payload` with the fact `field`, or `cause` for bytes that are no such map.
    """
    try:
        value = unpack(data, max_bytes=PAYLOAD_BYTES)
    except PeerError as error:
        raise PeerError("handshake.bad-payload", cause=error.code) from error
    if not isinstance(value, dict):
        raise PeerError("handshake.bad-payload", cause="codec.wrong-type")
    certificate, boot, version, features = map(value.get, ("certificate", "boot", "version", "features"))
    if not isinstance(certificate, bytes) or len(certificate) > limits.CERTIFICATE_BYTES:
        raise PeerError("handshake.bad-payload", field="certificate")
    if not isinstance(boot, bytes) or len(boot) != BOOT_BYTES:
        raise PeerError("handshake.bad-payload", field="boot")
    if not _is_version(version):
        raise PeerError("handshake.bad-payload", field="version")
    named = tuple(features) if isinstance(features, list) else None
    if named is None or not _are_features(named):
        raise PeerError("handshake.bad-payload", field="features")
    return Payload(certificate, boot, version, named)


def _is_version(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_CHARACTERS and value.isascii() and value.isprintable()


def _are_features(values: tuple[object, ...]) -> TypeGuard[tuple[str, ...]]:
    return len(values) <= MAX_FEATURES and all(_is_version(value) and " " not in value for value in values)
