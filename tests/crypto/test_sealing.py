"""Sealing, hashing and passphrases: known answers, and refusals that leave the state as it was."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.exceptions import RuntimeError as SodiumError

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.crypto import aead, passphrase
from nzcore.crypto.aead import CountingCipher, TransactionOpener, TransactionSealer, open_secret, seal_secret
from nzcore.crypto.hashing import hkdf, hmac_sha256, keyed_hmac_sha256, same_bytes, sha256
from nzcore.crypto.passphrase import COSTS, Cost, PassphraseSalt, derive
from nzcore.crypto.random import random_bytes
from nzcore.crypto.secrets import StoreKey, WrappingKey

KEY = bytes(range(32))
CHEAP = Cost(1, 8 << 20)
BYTES = st.binary(max_size=200)


def refused(code: str, function: object, *arguments: object, **named: object) -> None:
    assert callable(function)
    with pytest.raises((PeerError, UsageError)) as caught:
        function(*arguments, **named)
    assert caught.value.code == code


# RFC 8439 appendix A.5, whose nonce is one that a counter can have.
A5_KEY = "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"
A5_COUNTER = 0x0807060504030201
A5_AD = "f33388860000000000004e91"
A5_CIPHERTEXT = (
    "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0"
    "bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
    "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9"
    "9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
    "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130"
    "305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38"
)


def test_rfc8439_ciphertext_opens_and_is_made_again() -> None:
    opener, sealer = CountingCipher(bytes.fromhex(A5_KEY)), CountingCipher(bytes.fromhex(A5_KEY))
    opener._counter = sealer._counter = A5_COUNTER
    plaintext = opener.decrypt(bytes.fromhex(A5_AD), bytes.fromhex(A5_CIPHERTEXT))
    assert plaintext.startswith(b"Internet-Drafts are draft documents")
    assert sealer.encrypt(bytes.fromhex(A5_AD), plaintext).hex() == A5_CIPHERTEXT


@given(st.lists(st.tuples(BYTES, BYTES), max_size=5))
def test_messages_open_in_their_order(messages: list[tuple[bytes, bytes]]) -> None:
    sealer, opener = CountingCipher(KEY), CountingCipher(KEY)
    for ad, plaintext in messages:
        sealed = sealer.encrypt(ad, plaintext)
        assert len(sealed) == len(plaintext) + aead.TAG_BYTES
        assert opener.decrypt(ad, sealed) == plaintext
    assert sealer.counter == opener.counter == len(messages)


@given(BYTES, st.data())
def test_a_changed_message_is_refused_and_the_right_one_still_opens(plaintext: bytes, data: st.DataObject) -> None:
    sealer, opener = CountingCipher(KEY), CountingCipher(KEY)
    sealed = sealer.encrypt(b"ad", plaintext)
    changed = bytearray(sealed)
    changed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for ad, hostile in ((b"ad", bytes(changed)), (b"ad", sealed[:-1]), (b"", sealed), (b"ad", b"")):
        refused("crypto.not-authentic", opener.decrypt, ad, hostile)
    assert opener.counter == 0
    assert opener.decrypt(b"ad", sealed) == plaintext


@given(BYTES, BYTES)
def test_any_bytes_are_refused_by_everything_that_opens(sealed: bytes, ad: bytes) -> None:
    refused("crypto.not-authentic", CountingCipher(KEY).decrypt, ad, sealed)
    refused("crypto.not-authentic", TransactionOpener(StoreKey(KEY), bytes(24), "x").open, 0, ad, sealed)
    refused("crypto.not-authentic", open_secret, WrappingKey(KEY), "x", sealed, aad=ad)


def test_a_replayed_or_reordered_message_is_refused() -> None:
    sealer, opener = CountingCipher(KEY), CountingCipher(KEY)
    first, second = sealer.encrypt(b"", b"1"), sealer.encrypt(b"", b"2")
    refused("crypto.not-authentic", opener.decrypt, b"", second)
    assert opener.decrypt(b"", first) == b"1"
    refused("crypto.not-authentic", opener.decrypt, b"", first)
    assert opener.decrypt(b"", second) == b"2"


def test_equal_messages_have_different_ciphertexts() -> None:
    sealer = CountingCipher(KEY)
    assert sealer.encrypt(b"", b"same") != sealer.encrypt(b"", b"same")


def test_a_counter_never_reaches_the_reserved_nonce_nor_wraps() -> None:
    cipher = CountingCipher(KEY)
    cipher._counter = aead.LAST_COUNTER - 1
    last = cipher.encrypt(b"", b"last")
    for use in (cipher.encrypt, cipher.decrypt):
        refused("crypto.exhausted", use, b"", last)
    assert cipher.counter == aead.LAST_COUNTER


def test_a_wiped_cipher_does_nothing_any_more() -> None:
    cipher = CountingCipher(StoreKey(KEY))
    cipher.wipe()
    cipher.wipe()
    for use in (cipher.encrypt, cipher.decrypt):
        refused("crypto.wiped", use, b"", bytes(16))


def test_a_cipher_key_of_another_size_is_refused() -> None:
    for size in (0, 16, 31, 33):
        refused("crypto.bad-size", CountingCipher, bytes(size))


@given(st.lists(st.tuples(BYTES, BYTES), min_size=1, max_size=5))
def test_rows_of_a_transaction_open_in_any_order(rows: list[tuple[bytes, bytes]]) -> None:
    sealer = TransactionSealer(StoreKey(KEY), "NZ-STORE-01 tx")
    sealed = [(aad, plaintext, *sealer.seal(aad, plaintext)) for aad, plaintext in rows]
    assert [row[2] for row in sealed] == list(range(len(rows)))
    opener = TransactionOpener(StoreKey(KEY), sealer.salt, "NZ-STORE-01 tx")
    for aad, plaintext, index, ciphertext in reversed(sealed):
        assert opener.open(index, aad, ciphertext) == plaintext


def test_a_row_opens_only_at_its_place() -> None:
    sealer = TransactionSealer(StoreKey(KEY), "label")
    (index, row), (other, _) = sealer.seal(b"aad", b"value"), sealer.seal(b"aad", b"other")
    opener = TransactionOpener(StoreKey(KEY), sealer.salt, "label")
    assert opener.open(index, b"aad", row) == b"value"
    for hostile in (
        (other, b"aad", row),
        (index, b"", row),
        (-1, b"aad", row),
        (1 << 32, b"aad", row),
        (1 << 64, b"", row),
    ):
        refused("crypto.not-authentic", opener.open, *hostile)
    for key, salt, label in ((bytes(32), sealer.salt, "label"), (KEY, bytes(24), "label"), (KEY, sealer.salt, "other")):
        refused("crypto.not-authentic", TransactionOpener(StoreKey(key), salt, label).open, index, b"aad", row)


def test_every_transaction_has_its_own_salt_and_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    sealers = [TransactionSealer(StoreKey(KEY), "label") for _ in range(2)]
    assert sealers[0].salt != sealers[1].salt
    assert sealers[0].seal(b"", b"same") != sealers[1].seal(b"", b"same")
    monkeypatch.setattr(aead, "MAX_TRANSACTION_ROWS", 1)
    refused("crypto.exhausted", sealers[0].seal, b"", b"")
    refused("crypto.bad-size", TransactionOpener, StoreKey(KEY), bytes(23), "label")


@given(BYTES, BYTES)
def test_a_sealed_secret_opens_under_the_same_key_label_and_aad_only(plaintext: bytes, aad: bytes) -> None:
    key = WrappingKey(KEY)
    sealed = seal_secret(key, "label", plaintext, aad=aad)
    assert len(sealed) == 32 + len(plaintext) + 16
    assert open_secret(key, "label", sealed, aad=aad)._value == plaintext
    refused("crypto.not-authentic", open_secret, key, "other", sealed, aad=aad)
    refused("crypto.not-authentic", open_secret, key, "label", sealed, aad=aad + b"\0")
    refused("crypto.not-authentic", open_secret, WrappingKey(bytes(32)), "label", sealed, aad=aad)
    assert seal_secret(key, "label", plaintext, aad=aad) != sealed


@pytest.mark.parametrize("label", ["", "ä", "a\0", "x" * 65])
def test_labels_are_short_printable_ascii(label: str) -> None:
    refused("crypto.bad-label", seal_secret, WrappingKey(KEY), label, b"")
    refused("crypto.bad-label", TransactionSealer, StoreKey(KEY), label)


def test_wiped_keys_seal_nothing() -> None:
    key = WrappingKey(KEY)
    key.wipe()
    refused("crypto.wiped", seal_secret, key, "label", b"")
    refused("crypto.wiped", CountingCipher, key)


@pytest.mark.parametrize(
    ("ikm", "salt", "info", "length", "expected"),
    [  # RFC 5869 A.1 to A.3
        (
            b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(80)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100)), 82,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            b"\x0b" * 22, b"", b"", 42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)  # fmt: skip
def test_rfc5869_keys_are_derived(ikm: bytes, salt: bytes, info: bytes, length: int, expected: str) -> None:
    assert hkdf(ikm, salt=salt, info=info, length=length).hex() == expected


@pytest.mark.parametrize("length", [-1, 0, 8161])
def test_hkdf_gives_one_to_8160_bytes(length: int) -> None:
    refused("crypto.bad-size", hkdf, b"", info=b"", length=length)
    assert len(hkdf(b"", info=b"", length=8160)) == 8160


def test_hashes_join_their_parts_and_match_their_standards() -> None:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4's example
    assert sha256(b"a", b"", b"bc").hex() == sha256(b"abc").hex() == expected
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"  # RFC 4231 case 2
    assert hmac_sha256(b"Jefe", b"what do ya want ", b"for nothing?").hex() == expected
    assert same_bytes(b"ab", bytearray(b"ab"))
    assert not same_bytes(b"ab", b"aB")


@given(st.binary(max_size=130), st.lists(st.binary(max_size=200), max_size=3))
def test_authenticators_are_those_of_the_standard_library(key: bytes, messages: list[bytes]) -> None:
    keyed = keyed_hmac_sha256(key)
    expected = [hmac.digest(key, message, "sha256") for message in messages]
    assert [keyed(message) for message in messages] == expected
    assert [hmac_sha256(bytearray(key), message[:7], message[7:]) for message in messages] == expected


@pytest.mark.parametrize("size", [63, 64, 65])
def test_a_key_of_a_block_is_the_longest_that_is_not_hashed_first(size: int) -> None:
    assert hmac_sha256(bytes(range(size)), b"m") == hmac.digest(bytes(range(size)), b"m", "sha256")


def test_random_bytes_do_not_repeat() -> None:
    assert len({random_bytes(16) for _ in range(100)}) == 100


def test_a_passphrase_gives_the_same_key_in_every_normalization() -> None:
    salt = bytes(range(16))
    assert derive("Ångström", salt, CHEAP) == derive("A\u030angstro\u0308m", salt, CHEAP)
    assert derive("a", salt, CHEAP) != derive("b", salt, CHEAP)
    assert derive("a", salt, CHEAP) != derive("a", bytes(16), CHEAP)
    assert derive("a", salt, CHEAP) != derive("a", salt, Cost(2, 8 << 20))


@pytest.mark.parametrize("text", ["", "\udcff", "x" * 1025, "é" * 513])
def test_an_unusable_passphrase_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        derive(text, bytes(16), CHEAP)
    assert caught.value.code == "crypto.bad-passphrase"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("cost", [(0, 8 << 20), (17, 8 << 20), (1, (8 << 20) - 1), (1, (1 << 30) + 1), (1, 1 << 62)])
def test_a_stored_cost_outside_the_bounds_takes_neither_time_nor_memory(cost: tuple[int, int]) -> None:
    refused("crypto.bad-cost", Cost.stored, *cost)
    refused("crypto.bad-cost", derive, "a", bytes(16), Cost(*cost))


def test_named_costs_are_within_the_bounds_and_salts_are_fresh() -> None:
    assert [Cost.stored(*cost) for cost in COSTS.values()] == [passphrase.INTERACTIVE, passphrase.MODERATE]
    assert PassphraseSalt.generate() != PassphraseSalt.generate()
    refused("crypto.bad-size", derive, "a", bytes(15), CHEAP)


@settings(max_examples=5)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_passphrase_text_gives_a_key(text: str) -> None:
    assert derive(text, bytes(16), CHEAP) == derive(text, bytes(16), CHEAP)


def test_a_machine_without_the_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> bytes:
        raise SodiumError("out of memory")

    monkeypatch.setattr(passphrase.sodium, "crypto_pwhash_alg", fail)
    with pytest.raises(UnavailableError) as caught:
        derive("a", bytes(16), CHEAP)
    assert (caught.value.code, caught.value.facts) == ("crypto.no-memory", {"memory_bytes": 8 << 20})
