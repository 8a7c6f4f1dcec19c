"""Patterns that differ in everything that matters, and keys as cases state them."""

from collections.abc import Mapping

from nzcore.crypto.keys import AgreementSecret

VARIED = [
    "XXhfs+psk0",
    "NNhfs+psk0",
    "N",
    "X",
    "K",
    "NN",
    "XX",
    "IK",
    "KKpsk0",
    "IKhfs",
    "XXpsk3",
    "X1X1",
    "KXhfs+psk2",
]


def secret(case: Mapping[str, str], role: str, kind: str) -> AgreementSecret | None:
    """The key of this role and kind, where the case has one."""
    found = case.get(f"{role}_{kind}")
    return AgreementSecret.from_bytes(bytes.fromhex(found)) if found else None
