"""The primitives of one handshake called bare, and whom the handshakes beside them are between."""

import os
import time
from collections.abc import Callable

import nacl.bindings as sodium
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nzcore.base.ids import IdentityId, NodeId
from nzcore.proto.handshake.payload import Introduction
from nzcore.proto.handshake.preface import Mode
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.node_keys import NodeKeys
from tools.vectors.identity_cast import make_node, make_root

INTRODUCTION = Introduction("0.1.0", ("first", "second"))
SEALED_BYTES = ((1184, 0), (1088, 32, 300), (32, 300))
"""Plaintexts of each message: KEM key and no payload; KEM ciphertext, static and payload; static and payload."""


class Strangers:
    """A Directory of a node that knows nobody."""

    network_secret: bytes | None = None
    window: bytes | None = None

    def ticket_secret(self, tid: bytes) -> bytes | None:
        return None

    def highest(self, node: NodeId) -> Certificate | None:
        return None

    def retired(self, node: NodeId, identity: IdentityId) -> bool:
        return False


def cast() -> tuple[NodeKeys, NodeKeys]:
    """Alice and Bob, two identities' nodes whose keys are published: the same in every process."""
    alice, bob = (make_node(make_root(number), name) for number, name in enumerate(("alice", "bob")))
    return alice, bob


def measure_bare(count: int = 600) -> float:
    """The bare cryptography of one handshake, both sides' one after the other: times a second."""
    work = _bare()
    for _ in range(count // 10):
        work()
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - begun)


def welcome(certificate: Certificate, mode: Mode, tid: bytes) -> str:
    return ""


def _bare() -> Callable[[], None]:
    """Two ephemeral key pairs, six agreements, ML-KEM-768 once around, two Ed25519 verifications, fourteen AEAD calls.

    Hashing and key derivation are left out: they count as ours.
    """
    statics = [X25519PrivateKey.generate() for _ in range(2)]
    static_publics = [key.public_key().public_bytes_raw() for key in statics]
    verify_key, sign_key = sodium.crypto_sign_seed_keypair(os.urandom(32))
    signed = sodium.crypto_sign(os.urandom(260), sign_key)

    def handshake() -> None:
        one, two = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        one_public, two_public = one.public_key().public_bytes_raw(), two.public_key().public_bytes_raw()
        kem = MLKEM768PrivateKey.generate()
        shared, ciphertext = MLKEM768PublicKey.from_public_bytes(kem.public_key().public_bytes_raw()).encapsulate()
        assert kem.decapsulate(ciphertext) == shared
        for key, public in (
            *((one, two_public), (two, one_public)),  # ee
            *((one, static_publics[1]), (statics[1], one_public)),  # es
            *((statics[0], two_public), (two, static_publics[0])),  # se
        ):
            key.exchange(X25519PublicKey.from_public_bytes(public))
        for _ in range(2):
            sodium.crypto_sign_open(signed, verify_key)
        for sizes in SEALED_BYTES:
            for size in sizes:
                aead, nonce = ChaCha20Poly1305(shared), bytes(12)
                aead.decrypt(nonce, aead.encrypt(nonce, bytes(size), shared), shared)

    return handshake
