"""Makes vectors/store.json: places, rows, heads and vaults, good and hostile (spec/store.md §10).

A second implementation of the constructions, from hashlib, hmac and a bare AEAD, because the product draws its salts at
random. Only Argon2id is the product's, which has vectors of its own.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nzcore.crypto.passphrase import Cost, derive

Case = dict[str, object]

DATA_KEY = bytes(range(32))
WORDS = "correct horse"
COST = (1, 8 << 20)
SALT24 = hashlib.sha256(b"transaction").digest()[:24]
SALT16 = hashlib.sha256(b"passphrase").digest()[:16]
SALT32 = hashlib.sha256(b"seal").digest()
FILE_KEY = hashlib.sha256(b"key file").digest()


def generate() -> dict[str, object]:
    """The document; the same each time."""
    comment = "bytes are hex; the secrets here are published and must never be used"
    return {
        "specification": "spec/store.md",
        "comment": comment,
        "cases": [*_places(), *_rows(), *_heads(), *_vaults()],
    }


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf32(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    """The first block of HKDF-SHA256, which is all that is needed here."""
    return mac(mac(salt or bytes(32), ikm), info + b"\1")


def place(ns: str, name: str) -> bytes:
    """Where a name lies."""
    names = hkdf32(DATA_KEY, b"", b"NZ-STORE-01 names")
    tag = mac(names, b"namespace\0" + ns.encode())[:16]
    return tag + mac(names, b"name\0" + tag + name.encode())[:16]


def seal(index: int, aad: bytes, plain: bytes) -> bytes:
    """Salt and ciphertext of the row of this index in its transaction."""
    key = mac(hkdf32(DATA_KEY, b"", b"NZ-STORE-01 kv"), b"NZ-STORE-01 tx\0" + SALT24)
    return SALT24 + ChaCha20Poly1305(key).encrypt(struct.pack("<4xQ", index), plain, aad)


def _places() -> Iterator[Case]:
    for ns, name in (("notes", "greeting"), ("notes", "grüße"), ("note", "sgreeting")):
        yield {
            "name": f"place: {ns} {name}",
            "kind": "place",
            "comment": "half for the namespace, half for the name in it",
            "expect": "ok",
            "data_key": DATA_KEY.hex(),
            "namespace": ns,
            "entry": name,
            "place": place(ns, name).hex(),
        }


def _rows() -> Iterator[Case]:
    version = 7 << 16 | 2
    home = place("notes", "greeting")
    plain = b"\0\x08greetinghello"
    sealed = seal(2, home + struct.pack(">Q", version), plain)
    leaf = mac(hkdf32(DATA_KEY, b"", b"NZ-STORE-01 anchor"), home + struct.pack(">Q", version) + sealed[-16:])
    good = {"place": home, "version": version, "sealed": sealed}
    yield _row("as written", "commit 7, index 2", "ok", good, entry="greeting", value=b"hello".hex(), leaf=leaf.hex())
    for name, comment, change in (
        ("moved", "a ciphertext at another place", {"place": place("notes", "other")}),
        ("moved to another namespace", "same name, other namespace", {"place": place("other", "greeting")}),
        ("later version", "an old ciphertext under a newer version", {"version": version + (1 << 16)}),
        ("other index", "the index chooses the nonce", {"version": version + 1}),
        ("other salt", "the salt chooses the key", {"sealed": bytes(24) + sealed[24:]}),
        ("cut", "a byte less", {"sealed": sealed[:-1]}),
        ("salt only", "nothing behind the salt", {"sealed": sealed[:24]}),
        ("empty", "nothing at all", {"sealed": b""}),
        ("name too long", "sealed rightly, but the name's size reaches beyond the end", _sealed_as(b"\0\x09greeting")),
        ("name not UTF-8", "sealed rightly, but the name is no text", _sealed_as(b"\0\1\xff")),
        ("no name's size", "sealed rightly, but one byte long", _sealed_as(b"\0")),
    ):
        yield _row(name, comment, "store.damaged-row", good | change)


def _sealed_as(plain: bytes) -> dict[str, object]:
    return {"sealed": seal(2, place("notes", "greeting") + struct.pack(">Q", 7 << 16 | 2), plain)}


def _row(name: str, comment: str, expect: str, row: dict[str, object], **more: object) -> Case:
    fields = {key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()}
    start: Case = {"name": f"row: {name}", "kind": "row", "comment": comment, "expect": expect}
    return start | {"data_key": DATA_KEY.hex()} | fields | more


def _heads() -> Iterator[Case]:
    plain = struct.pack(">QQ32sQ32s", 7, 3, bytes(31) + b"\x63", 0, bytes(32))
    sealed = struct.pack(">H", 3) + seal(3, b"NZ-STORE-01 head" + struct.pack(">Q", 7), plain)
    good: Case = {"kind": "head", "expect": "ok", "data_key": DATA_KEY.hex(), "counter": 7, "sealed": sealed.hex()}
    yield {"name": "head: as written", "comment": "commit 7 with 3 rows, sum 99"} | good | {"rows": 3, "sum": 99}
    foreign = {"expect": "store.foreign-database"}
    yield {"name": "head: other counter", "comment": "bound to its commit"} | good | foreign | {"counter": 8}
    other = {"data_key": bytes(32).hex()}
    yield {"name": "head: other data key", "comment": "another store's vault"} | good | foreign | other


def _vault(lock: int, key: bytes, salt: bytes, cost: tuple[int, int], *, version: int = 1) -> bytes:
    size = 44 + 32 + 16 + len(b"the keys") + 32
    header = struct.pack(">8sHBxIIQ16s", b"NZVAULT\0", version, lock, size, *cost, salt)
    inner = hkdf32(key, SALT32, b"NZ-STORE-01 vault")
    return _checked(header + SALT32 + ChaCha20Poly1305(inner).encrypt(bytes(12), b"the keys", header))


def _checked(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def _vaults() -> Iterator[Case]:
    by_words = _vault(1, derive(WORDS, SALT16, Cost(*COST)).reveal(), SALT16, COST)
    by_file = _vault(2, FILE_KEY, bytes(16), (0, 0))
    words: Case = {"passphrase": WORDS}
    key: Case = {"key_file": (b"nzcore vault key 1 " + FILE_KEY.hex().encode() + b"\n").hex()}
    contents: Case = {"contents": b"the keys".hex()}
    large = by_words[:20] + (1 << 40).to_bytes(8, "big") + by_words[28:-32]
    for name, comment, expect, vault, lock in (
        ("passphrase", "Argon2id, then the seal", "ok", by_words, words | contents),
        ("key file", "the key is in the file", "ok", by_file, key | contents),
        (
            "wrong passphrase",
            "the checksum holds, the seal does not",
            "store.wrong-passphrase",
            by_words,
            {"passphrase": "x"},
        ),
        ("other lock", "a key file for a passphrase", "store.other-lock", by_words, key),
        ("changed header", "the unused salt is sealed too", "store.wrong-key-file", _changed(by_file, 30), key),
        ("cut", "a byte less", "store.truncated-vault", by_words[:-1], words),
        ("cut in the header", "too short to hold its size", "store.truncated-vault", by_words[:20], words),
        ("longer", "a byte more", "store.damaged-vault", by_words + b"\0", words),
        ("flipped", "one bit of the ciphertext", "store.damaged-vault", _flipped(by_words, 80), words),
        ("not a vault", "another magic", "store.damaged-vault", b"X" + by_words[1:], words),
        ("unknown lock", "lock 3", "store.damaged-vault", _vault(3, FILE_KEY, bytes(16), (0, 0)), key),
        ("newer", "version 2", "store.newer-vault", _vault(2, FILE_KEY, bytes(16), (0, 0), version=2), key),
        (
            "version 0",
            "versions begin at 1",
            "store.damaged-vault",
            _vault(2, FILE_KEY, bytes(16), (0, 0), version=0),
            key,
        ),
        ("excessive cost", "a tebibyte of memory", "store.damaged-vault", _checked(large), words),
    ):
        start: Case = {"name": f"vault: {name}", "kind": "vault", "comment": comment, "expect": expect}
        yield start | {"vault": vault.hex()} | lock


def _flipped(vault: bytes, index: int) -> bytes:
    return vault[:index] + bytes([vault[index] ^ 1]) + vault[index + 1 :]


def _changed(vault: bytes, index: int) -> bytes:
    return _checked(_flipped(vault, index)[:-32])
