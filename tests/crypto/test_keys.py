"""Keys: known answers, strictness towards hostile points, secrets that stay where they are."""

import copy
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.aead import CountingCipher, TransactionSealer
from nzcore.crypto.keys import (
    KEM_CIPHERTEXT_BYTES,
    AgreementPublic,
    AgreementSecret,
    KemPublic,
    KemSecret,
    Signature,
    SigningKey,
    VerifyKey,
)
from nzcore.crypto.secrets import SecretBytes, StoreKey, WrappingKey
from tools.vectors import edwards, ml_kem

WYCHEPROOF = Path(__file__).parents[3] / "shared" / "vectors" / "wycheproof-x25519.json"

# RFC 8032 §7.1: seed, public key, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

# The points of small order, and the encodings of y ≥ p; the the signature with R = identity, S = 0 fits many.
SMALL_ORDER = [
    y + sign
    for y, signs in {
        "01" + "00" * 30: ("00", "80"),
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": ("7f", "ff"),
        "00" * 31: ("00", "80"),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc": ("05", "85"),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03": ("7a", "fa"),
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": ("7f", "ff"),
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": ("7f", "ff"),
    }.items()
    for sign in signs
]


def refused(key: VerifyKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except PeerError as error:
        return error.code == "crypto.bad-signature"
    return False


def outcome(call: Callable[[], object]) -> object:
    """What the call returns, or the code of its refusal."""
    try:
        return call()
    except PeerError as error:
        return error.code


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC8032)
def test_rfc8032_signatures_are_made_and_verified(seed: str, public: str, message: str, signature: str) -> None:
    key = SigningKey.from_seed(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    VerifyKey(bytes.fromhex(public)).verify(bytes.fromhex(signature), bytes.fromhex(message))


@given(st.binary(max_size=100), st.data())
def test_a_signature_with_any_bit_changed_is_refused(message: bytes, data: st.DataObject) -> None:
    key = SigningKey.from_seed(bytes(32))
    signature = bytearray(key.sign(message))
    key.public.verify(bytes(signature), message)
    signature[data.draw(st.integers(0, 63))] ^= 1 << data.draw(st.integers(0, 7))
    assert refused(key.public, bytes(signature), message)
    assert refused(key.public, key.sign(message), message + b"\0")
    assert refused(SigningKey.from_seed(bytes([1] * 32)).public, key.sign(message), message)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=70), st.binary(max_size=10))
def test_any_bytes_as_key_and_signature_are_refused(key: bytes, signature: bytes, message: bytes) -> None:
    assert refused(VerifyKey(key), signature, message)


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_key_of_small_order_or_of_another_encoding_signs_nothing(key: str) -> None:
    identity = bytes([1]) + bytes(63)  # under the cofactored equation, and for lucky messages, this verifies
    assert all(refused(VerifyKey(bytes.fromhex(key)), identity, bytes([n])) for n in range(64))


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_commitment_of_small_order_is_refused(point: str) -> None:
    assert refused(SigningKey.from_seed(bytes(32)).public, bytes.fromhex(point) + bytes(32), b"message")


@pytest.mark.parametrize("make", [edwards.with_torsion_in_commitment, edwards.with_torsion_in_key])
def test_a_signature_that_needs_the_cofactor_is_refused(make: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> None:
    public, signature = make(bytes(32), b"message")
    assert refused(VerifyKey(public), signature, b"message")


def test_the_arithmetic_behind_such_signatures_is_that_of_ed25519() -> None:
    assert edwards._encode(edwards._key(bytes(32))[1]) == SigningKey.from_seed(bytes(32)).public
    assert edwards._multiply(8, edwards.TORSION) == (0, 1) != edwards._multiply(4, edwards.TORSION)


@pytest.mark.parametrize("times", [1, 2, 7])
def test_an_unreduced_s_is_refused(times: int) -> None:
    key, message = SigningKey.from_seed(bytes(32)), b"message"
    signature = key.sign(message)
    s = int.from_bytes(signature[32:], "little") + times * edwards.ORDER
    assert refused(key.public, signature[:32] + s.to_bytes(32, "little"), message)


@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_a_signature_of_another_size_is_refused(size: int) -> None:
    assert refused(SigningKey.from_seed(bytes(32)).public, bytes(size), b"")


# RFC 7748 §6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
BOTH = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


def test_rfc7748_keys_agree() -> None:
    alice, bob = AgreementSecret.from_bytes(ALICE), AgreementSecret.from_bytes(BOB)
    assert (alice.public.hex(), bob.public.hex()) == (ALICE_PUBLIC, BOB_PUBLIC)
    assert alice.agree(bob.public).hex() == bob.agree(alice.public).hex() == BOTH


@given(st.binary(min_size=32, max_size=32))
def test_any_agreement_key_gives_a_secret_or_is_refused(public: bytes) -> None:
    result = outcome(lambda: AgreementSecret.from_bytes(ALICE).agree(AgreementPublic(public)))
    assert result == "crypto.zero-agreement" or (isinstance(result, bytes) and any(result))


def test_wycheproof_agreements_give_their_secret_or_are_refused() -> None:
    if not WYCHEPROOF.exists():
        pytest.skip("the public vectors are not here: shared/vectors/wycheproof-x25519.json")
    cases = [case for group in json.loads(WYCHEPROOF.read_text())["testGroups"] for case in group["tests"]]
    assert len(cases) == 518
    refusals = 0
    for case in cases:
        secret = AgreementSecret.from_bytes(bytes.fromhex(case["private"]))
        public = AgreementPublic(bytes.fromhex(case["public"]))
        if case["shared"] == "00" * 32:
            with pytest.raises(PeerError) as caught:
                secret.agree(public)
            assert caught.value.code == "crypto.zero-agreement"
            refusals += 1
        else:
            assert secret.agree(public).hex() == case["shared"], case["comment"]
    assert refusals == 31


def test_both_sides_of_an_encapsulation_have_the_same_secret() -> None:
    key = KemSecret.generate()
    secret, ciphertext = key.public.encapsulate()
    assert (len(key.public), len(ciphertext), len(secret)) == (1184, KEM_CIPHERTEXT_BYTES, 32)
    assert key.decapsulate(ciphertext) == secret
    assert key.public.encapsulate()[0] != secret


SEED = bytes(range(64))


def test_a_kem_key_is_what_fips_203_makes_of_its_seed() -> None:
    key = KemSecret.from_seed(SEED)
    assert key.public == ml_kem.public_key(SEED)
    secret, ciphertext = ml_kem.encapsulate(key.public, bytes(range(100, 132)))
    assert key.decapsulate(ciphertext) == secret


def test_a_changed_ciphertext_gives_the_implicit_rejection_of_fips_203() -> None:
    key = KemSecret.from_seed(SEED)
    secret, ciphertext = key.public.encapsulate()
    changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert key.decapsulate(changed) == hashlib.shake_256(SEED[32:] + changed).digest(32) != secret


@pytest.mark.parametrize("size", [0, 32, KEM_CIPHERTEXT_BYTES - 1, KEM_CIPHERTEXT_BYTES + 1])
def test_a_ciphertext_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(PeerError) as caught:
        KemSecret.from_seed(SEED).decapsulate(bytes(size))
    assert caught.value.code == "crypto.bad-kem-ciphertext"


def test_a_kem_key_with_an_unreduced_coefficient_is_refused() -> None:
    good = bytes(KemSecret.from_seed(SEED).public)
    unreduced = bytes([0x01, good[1] & 0xF0 | 0x0D]) + good[2:]  # the first 12 bits: 0xd01 = 3329
    with pytest.raises(PeerError) as caught:
        KemPublic(unreduced).encapsulate()
    assert caught.value.code == "crypto.bad-kem-key"


@given(st.integers(0, 1151), st.integers(1, 255))
def test_any_kem_key_encapsulates_or_is_refused(at: int, change: int) -> None:
    key = bytearray(KemSecret.from_seed(SEED).public)
    key[at] ^= change
    result = outcome(lambda: KemPublic(bytes(key)).encapsulate()[1])
    assert result == "crypto.bad-kem-key" or (isinstance(result, bytes) and len(result) == KEM_CIPHERTEXT_BYTES)


SIZES = [(Signature, 64), (VerifyKey, 32), (AgreementPublic, 32), (KemPublic, 1184)]


@pytest.mark.parametrize(("kind", "size"), SIZES)
def test_public_values_have_one_size(kind: type[VerifyKey], size: int) -> None:
    assert kind(bytes(size)) == bytes(size)
    assert repr(kind(bytes(size))) == str(kind(bytes(size))) == f"<{kind.__name__} 0000000000000000…>"
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(PeerError) as caught:
            kind(bytes(wrong))
        assert caught.value.code == "crypto.bad-size"


SECRETS = [
    SigningKey.from_seed(SEED[:32]), AgreementSecret.from_bytes(SEED[:32]), KemSecret.from_seed(SEED),
    SecretBytes(SEED), StoreKey(SEED[:32]), WrappingKey(SEED[:32]), CountingCipher(SEED[:32]),
    TransactionSealer(StoreKey(SEED[:32]), "x"),
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
def test_a_secret_shows_nothing_and_cannot_be_copied(secret: object) -> None:
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "hidden" in text
        assert SEED[:4].hex() not in text
        assert str(SEED[:4])[2:-1] not in text
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(UsageError) as caught:
            spread(secret)
        assert caught.value.code == "crypto.secret-stays"
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize(
    ("make", "size"), [(SigningKey.from_seed, 32), (AgreementSecret.from_bytes, 32), (KemSecret.from_seed, 64)]
)
def test_a_private_key_returns_from_its_seed_only(make: type[SigningKey], size: int) -> None:
    key = make(SecretBytes(SEED[:size]))
    assert key.seed().reveal() == SEED[:size]
    assert make(key.seed()).public == key.public
    with pytest.raises(UsageError) as caught:
        make(SEED[: size - 1])
    assert caught.value.code == "crypto.bad-size"


def test_generated_keys_differ_and_differ_in_type() -> None:
    for kind in (SigningKey, AgreementSecret, KemSecret):
        assert kind.generate().public != kind.generate().public
    assert StoreKey.generate() != StoreKey.generate()


@pytest.mark.parametrize("make", [SigningKey.generate, AgreementSecret.generate, KemSecret.generate])
def test_a_wiped_key_does_nothing_any_more(make: Callable[[], SigningKey]) -> None:
    key = make()
    public = key.public
    key.wipe()
    key.wipe()
    assert key.public == public
    uses: list[Callable[[], object]] = [key.seed]
    if isinstance(key, SigningKey):
        uses.append(lambda: key.sign(b""))
    if isinstance(key, AgreementSecret):
        uses.append(lambda: key.agree(AgreementPublic(bytes.fromhex(BOB_PUBLIC))))
    if isinstance(key, KemSecret):
        uses.append(lambda: key.decapsulate(bytes(KEM_CIPHERTEXT_BYTES)))
    for use in uses:
        with pytest.raises(UsageError) as caught:
            use()
        assert caught.value.code == "crypto.wiped"


def test_wiping_overwrites_the_bytes_themselves() -> None:
    secret = SecretBytes(SEED)
    held = secret.view()
    secret.wipe()
    assert held == bytes(64)
    with pytest.raises(UsageError):
        secret.reveal()


def test_secrets_are_equal_to_their_own_kind_only_and_are_not_hashable() -> None:
    assert StoreKey(SEED[:32]) == StoreKey(SEED[:32])
    assert StoreKey(SEED[:32]) != StoreKey(SEED[32:])
    assert StoreKey(SEED[:32]) != WrappingKey(SEED[:32])
    assert SecretBytes(SEED) != SEED
    with pytest.raises(TypeError):
        hash(StoreKey(SEED[:32]))


def test_a_symmetric_key_of_another_size_is_refused() -> None:
    for size in (0, 31, 33):
        with pytest.raises(UsageError) as caught:
            StoreKey(bytes(size))
        assert caught.value.code == "crypto.bad-size"
