"""Makes vectors/crypto.json: CBOR, COSE_Sign1, keys, derivation and sealing, good and hostile (spec/crypto.md §11).

All keys are SHA-256 of published names. What the product draws at random is built here from the parts that the
specification names: a salt is given, an ML-KEM ciphertext comes from `ml_kem`.
"""

from collections.abc import Iterator
from functools import partial

from nzcore.codec import cbor, cose
from nzcore.crypto.aead import CountingCipher
from nzcore.crypto.hashing import hkdf, hmac_sha256
from nzcore.crypto.keys import AgreementSecret, KemSecret, SigningKey
from nzcore.crypto.passphrase import Cost, derive
from tools.vectors import edwards, ml_kem
from tools.vectors.seeds import seed_of

Case = dict[str, object]

LABEL = "NZ-VECTORS-01 crypto"

CBOR_REFUSED = [
    ("empty", "nothing is no value", "", "codec.truncated"),
    ("float", "half, single and double floats are forbidden", "fb3ff199999999999a", "codec.forbidden-type"),
    ("null", "null and undefined are forbidden", "f6", "codec.forbidden-type"),
    ("simple value", "only false and true are left of major type 7", "f0", "codec.forbidden-type"),
    ("negative", "integers are unsigned", "20", "codec.forbidden-type"),
    ("tag", "tags are forbidden", "c11a514b67b0", "codec.forbidden-type"),
    ("2^63", "the largest integer is 2^63 - 1", "1b8000000000000000", "codec.bad-number"),
    ("long integer", "23 fits the first byte", "1817", "codec.not-canonical"),
    ("long length", "a length of 1 fits the first byte", "5801ff", "codec.not-canonical"),
    ("indefinite array", "lengths are definite", "9f01ff", "codec.not-canonical"),
    ("unsorted keys", "keys rise", "a201000000", "codec.not-canonical"),
    ("key twice", "keys are distinct", "a200010001", "codec.not-canonical"),
    ("nested unsorted keys", "inner maps obey the same rules", "81a201000000", "codec.not-canonical"),
    ("key 24", "keys are 0 to 23", "a1181800", "codec.bad-key"),
    ("text key", "keys are integers", "a1616100", "codec.bad-key"),
    ("invalid UTF-8", "an overlong NUL", "62c080", "codec.bad-text"),
    ("surrogate", "UTF-8 has no surrogates", "63eda080", "codec.bad-text"),
    ("NFD text", "e and a combining acute accent", "6365cc81", "codec.bad-text"),
    ("cut", "an array of two with one element", "8201", "codec.truncated"),
    ("false length", "an array of 2^63 - 1 elements", "9b7fffffffffffffff", "codec.truncated"),
    ("trailing", "a byte behind the value", "0000", "codec.trailing"),
    ("too deep", "nine arrays", "81818181818181818100", "codec.too-deep"),
]

SMALL_ORDER = [
    ("identity", "01" + "00" * 31),
    ("order 2", "ec" + "ff" * 30 + "7f"),
    ("order 4", "00" * 32),
    ("order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ("identity, not canonical", "ee" + "ff" * 30 + "7f"),
]


def generate() -> dict[str, object]:
    """The whole document."""
    makers = (_cbor, _sign1, _signatures, _agreement, _kem, _derivation, _cipher, _transactions, _secrets, _passphrase)
    return {
        "specification": "spec/crypto.md",
        "comment": "bytes are hex; the secrets here are published and must never be used",
        "cases": [case for make in makers for case in make()],
    }


seed = partial(seed_of, "crypto")


def _case(kind: str, name: str, comment: str, expect: str = "ok", /, **fields: object) -> Case:
    shown = {key: value.hex() if isinstance(value, bytes) else value for key, value in fields.items()}
    return {"name": f"{kind}: {name}", "kind": kind, "comment": comment, "expect": expect, **shown}


def _cbor() -> Iterator[Case]:
    everything: cbor.Value = {0: 1, 1: b"bytes", 2: "Ångström", 3: [True, False, {23: cbor.MAX_UINT}], 4: {}}
    yield _case("cbor", "one of each", "every type that is allowed", encoded=cbor.encode(everything))
    yield _case("cbor", "eight levels", "the deepest nesting", encoded=bytes.fromhex("81" * 8 + "00"))
    for name, comment, encoded, code in CBOR_REFUSED:
        yield _case("cbor", name, comment, code, encoded=encoded)


def _sign1() -> Iterator[Case]:
    key, payload = SigningKey.from_seed(seed("signer")), cbor.encode({0: 1, 1: "payload"})
    signed = cose.to_be_signed(payload, LABEL)
    good = cose.encode_sign1(cose.Sign1(payload, key.sign(signed)))
    common = {"seed": seed("signer"), "public": key.public, "label": LABEL}

    def bad(name: str, comment: str, encoded: bytes, code: str = "codec.bad-sign1") -> Case:
        return _case("sign1", name, comment, code, **common, encoded=encoded)

    yield _case("sign1", "good", "signed for the label", **common, payload=payload, signed=signed, encoded=good)
    yield bad(
        "another label", "signed for a purpose that is not this one", _signed(key, payload, "x"), "crypto.bad-signature"
    )
    yield bad("another payload", "one bit changed", good.replace(b"payload", b"Payload"), "crypto.bad-signature")
    yield bad("tagged", "tag 18 in front", b"\xd2" + good)
    yield bad("another algorithm", "protected {1: -7}", good.replace(b"\xa1\x01\x27", b"\xa1\x01\x26"))
    yield bad("unprotected header", "a key id", good[:5] + b"\xa1\x04\x41\x00" + good[6:])
    yield bad(
        "long payload length",
        "the payload's length in two bytes",
        good[:6] + b"\x58" + bytes([len(payload)]) + good[7:],
    )
    yield bad("cut", "the last byte is missing", good[:-1])
    yield bad("trailing", "a byte behind the object", good + b"\0")


def _signed(key: SigningKey, payload: bytes, label: str) -> bytes:
    return cose.encode_sign1(cose.Sign1(payload, key.sign(cose.to_be_signed(payload, label))))


def _signatures() -> Iterator[Case]:
    key, message = SigningKey.from_seed(seed("signer")), b"message"
    good = key.sign(message)
    s = int.from_bytes(good[32:], "little") + edwards.ORDER
    fields = {"public": key.public, "message": message}
    yield _case("signature", "good", "RFC 8032", **fields, seed=seed("signer"), signature=good)
    unreduced = good[:32] + s.to_bytes(32, "little")
    yield _case(
        "signature", "unreduced S", "S plus the group's order", "crypto.bad-signature", **fields, signature=unreduced
    )
    changed = good[:63] + bytes([good[63] ^ 1])
    yield _case("signature", "changed", "one bit of S", "crypto.bad-signature", **fields, signature=changed)
    yield _case("signature", "short", "63 bytes", "crypto.bad-signature", **fields, signature=good[:63])
    for name, make in [("R", edwards.with_torsion_in_commitment), ("A", edwards.with_torsion_in_key)]:
        public, signature = make(seed("signer"), message)
        comment = "verifies with a cofactor, not without"
        torsion = {"public": public, "message": message, "signature": signature}
        yield _case("signature", f"part of order 8 in {name}", comment, "crypto.bad-signature", **torsion)
    for name, small in SMALL_ORDER:
        # With R = identity and S = 0, lenient verifiers accept this for some or all messages.
        forged = {"public": small, "message": message, "signature": b"\x01" + bytes(63)}
        yield _case("signature", f"key of small order: {name}", "fits any message", "crypto.bad-signature", **forged)


def _agreement() -> Iterator[Case]:
    ours, theirs = AgreementSecret.from_bytes(seed("agree a")), AgreementSecret.from_bytes(seed("agree b"))
    fields = {"secret": seed("agree a"), "own_public": ours.public}
    yield _case("agreement", "good", "RFC 7748", **fields, public=theirs.public, shared=ours.agree(theirs.public))
    for name, public in [
        ("zero", "00" * 32),
        ("one", "01" + "00" * 31),
        ("order 8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        ("p - 1", "ec" + "ff" * 30 + "7f"),
        ("p", "ed" + "ff" * 30 + "7f"),
    ]:
        yield _case(
            "agreement", f"small order: {name}", "all-zero result", "crypto.zero-agreement", **fields, public=public
        )


def _kem() -> Iterator[Case]:
    key, m = KemSecret.from_seed(seed("kem", 64)), seed("kem randomness")
    shared, ciphertext = ml_kem.encapsulate(key.public, m)
    fields = {"seed": seed("kem", 64), "public": key.public}
    good = {"randomness": m, "ciphertext": ciphertext, "shared": shared}
    yield _case("kem", "good", "FIPS 203 with its randomness given", **fields, **good)
    changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    other = {"ciphertext": changed, "shared": key.decapsulate(changed)}
    yield _case("kem", "changed ciphertext", "implicit rejection: another secret, no error", **fields, **other)
    short = {"ciphertext": ciphertext[:-1]}
    yield _case("kem", "short ciphertext", "1,087 bytes", "crypto.bad-kem-ciphertext", **fields, **short)
    unreduced = b"\x01" + bytes([key.public[1] & 0xF0 | 0x0D]) + key.public[2:]
    yield _case("kem", "unreduced key", "the first coefficient is q = 3329", "crypto.bad-kem-key", public=unreduced)
    yield _case("kem", "short key", "1,183 bytes", "crypto.bad-size", public=key.public[:-1])


def _derivation() -> Iterator[Case]:
    fields: dict[str, bytes] = {"ikm": seed("ikm"), "salt": seed("salt"), "info": LABEL.encode()}
    for length in (16, 32, 100):
        made = hkdf(fields["ikm"], salt=fields["salt"], info=fields["info"], length=length)
        yield _case("hkdf", f"{length} bytes", "HKDF-SHA256", **fields, length=length, output=made)
    unsalted = hkdf(fields["ikm"], info=fields["info"], length=32)
    yield _case("hkdf", "no salt", "an empty salt is 32 zeros", **{**fields, "salt": b""}, length=32, output=unsalted)


def _cipher() -> Iterator[Case]:
    sealer = CountingCipher(seed("cipher"))
    messages = [(b"", b""), (b"ad", b"first"), (b"ad", b"first"), (b"", bytes(100))]
    sealed = [sealer.encrypt(ad, plaintext).hex() for ad, plaintext in messages]
    shown = [
        {"ad": ad.hex(), "plaintext": text.hex(), "sealed": made}
        for (ad, text), made in zip(messages, sealed, strict=True)
    ]
    yield _case("cipher", "in order", "counters 0 to 3", key=seed("cipher"), messages=shown)
    swapped = [{"ad": "", "sealed": sealed[0]}, {"ad": b"ad".hex(), "sealed": sealed[2]}]
    comment = "the third message where the second is due"
    yield _case("cipher", "reordered", comment, "crypto.not-authentic", key=seed("cipher"), messages=swapped)


def _transactions() -> Iterator[Case]:
    key, salt, label = seed("store"), seed("transaction")[:24], "NZ-STORE-01 tx"
    sealer = CountingCipher(hmac_sha256(key, label.encode(), b"\0", salt))  # the same nonces, counted from 0
    fields = {"key": key, "salt": salt, "label": label, "aad": b"aad"}
    first, second = sealer.encrypt(b"aad", b"first row"), sealer.encrypt(b"aad", b"second row")
    yield _case("transaction", "row 0", "", **fields, index=0, plaintext=b"first row", sealed=first)
    yield _case("transaction", "row 1", "", **fields, index=1, plaintext=b"second row", sealed=second)
    yield _case("transaction", "moved", "row 0 at index 1", "crypto.not-authentic", **fields, index=1, sealed=first)


def _secrets() -> Iterator[Case]:
    key, salt = seed("wrapping"), seed("secret salt")
    sealer = CountingCipher(hkdf(key, salt=salt, info=LABEL.encode(), length=32))
    sealed = salt + sealer.encrypt(b"header", b"secret")
    fields = {"key": key, "label": LABEL, "sealed": sealed}
    yield _case("secret", "good", "salt, then ciphertext", **fields, aad=b"header", plaintext=b"secret")
    yield _case("secret", "another header", "", "crypto.not-authentic", **fields, aad=b"other")
    cut = {**fields, "sealed": sealed[:40]}
    yield _case("secret", "cut", "no room for a tag", "crypto.not-authentic", **cut, aad=b"header")


def _passphrase() -> Iterator[Case]:
    cost, salt = Cost(1, 8 << 20), seed("passphrase salt")[:16]
    fields = {"salt": salt, "operations": cost.operations, "memory_bytes": cost.memory_bytes}
    key = derive("Ångström", salt, cost).reveal()
    yield _case("passphrase", "composed", "NFC", passphrase="Ångström", **fields, key=key)
    decomposed = "A\u030angstro\u0308m"
    yield _case("passphrase", "decomposed", "the same key: NFC is made first", passphrase=decomposed, **fields, key=key)
    greedy = {**fields, "memory_bytes": 1 << 40}
    yield _case("passphrase", "greedy", "a file that asks for a tebibyte", "crypto.bad-cost", passphrase="x", **greedy)
