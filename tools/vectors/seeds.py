"""Key material of vectors: published, repeatable, never to be used."""

from nzcore.crypto.hashing import sha256


def seed_of(room: str, name: str, size: int = 32) -> bytes:
    """Up to 64 bytes that anyone can make again: SHA-256 of a name, and of the name with a 2."""
    label = f"NZ-VECTORS-01 {room} {name}"
    return (sha256(label.encode()) + sha256(f"{label} 2".encode()))[:size]
