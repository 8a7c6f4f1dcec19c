import hashlib
import hmac
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.proto.identity.mnemonic import Mnemonic, nearest_words

ART = " ".join(["abandon"] * 23 + ["art"])
BIP39 = {  # entropy byte: words of the public vectors with 256 bits (github.com/trezor/python-mnemonic, vectors.json)
    0x00: ART,
    0x7F: "legal winner thank year wave sausage worth useful " * 2 + "legal winner thank year wave sausage worth title",
    0x80: "letter advice cage absurd amount doctor acoustic avoid " * 2
    + "letter advice cage absurd amount doctor acoustic bless",
    0xFF: "zoo " * 23 + "vote",
}


def refusal(text):
    with pytest.raises(PeerError) as caught:
        Mnemonic.parse(text)
    assert caught.value.code == "identity.bad-mnemonic"
    return caught.value


@pytest.mark.parametrize("byte", BIP39)
def test_public_vectors_give_the_same_words(byte):
    mnemonic = Mnemonic(bytes([byte]) * 32)
    assert mnemonic.reveal() == BIP39[byte]
    assert mnemonic.words == tuple(BIP39[byte].split())
    assert Mnemonic.parse(BIP39[byte]).reveal() == BIP39[byte]


def test_the_seed_is_pbkdf2_of_the_words_with_an_empty_passphrase():
    expected = hashlib.pbkdf2_hmac("sha512", ART.encode(), b"mnemonic", 2048)
    assert Mnemonic.parse(ART).seed().reveal() == expected
    assert expected.hex().startswith("408b285c123836004f4b8842c89324c1")  # published with the words


def test_pbkdf2_itself_agrees_with_the_published_seed_under_its_passphrase():
    published = (
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd30971"
        "70af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8"
    )
    block = previous = hmac.digest(ART.encode(), b"mnemonicTREZOR\0\0\0\1", "sha512")
    for _ in range(2047):
        previous = hmac.digest(ART.encode(), previous, "sha512")
        block = bytes(a ^ b for a, b in zip(block, previous, strict=True))
    assert block.hex() == published


@pytest.mark.parametrize("form", ["{}. {}", "{}.{}", "{} {}", "{:02}) {}", "{:2}: {}", "{}{}"])
def test_a_printed_list_with_numbers_is_read_as_its_words(form):
    text = "\n".join(form.format(number, word) for number, word in enumerate(BIP39[0x80].split(), 1))
    assert Mnemonic.parse(text).reveal() == BIP39[0x80]


def test_two_generated_mnemonics_differ_and_are_valid():
    first, second = Mnemonic.generate(), Mnemonic.generate()
    assert len(first.words) == 24
    assert first.reveal() != second.reveal()
    assert Mnemonic.parse(first.reveal()).reveal() == first.reveal()


@given(st.binary(min_size=32, max_size=32), st.sampled_from([" ", "\n", "\t ", "\u3000", "  \r\n"]), st.booleans())
def test_what_was_revealed_is_parsed_however_it_is_spaced_and_cased(entropy, space, upper):
    words = Mnemonic(entropy).reveal()
    text = space + space.join(words.upper().split() if upper else words.split()) + space
    assert Mnemonic.parse(text).reveal() == words


@given(st.text(max_size=300) | st.lists(st.sampled_from([*ART.split(), "zoo", "zzz", "7."]), max_size=30).map(" ".join))
def test_any_text_is_a_mnemonic_or_a_peer_error(text):
    try:
        outcome = len(Mnemonic.parse(text).words)
    except PeerError as error:
        outcome = error.facts["problem"]
    assert outcome in (24, "word-count", "unknown-word", "checksum")


def test_an_unknown_word_is_named_by_its_place_with_the_nearest_words():
    words = ART.split()
    words[4] = "abandom"
    error = refusal(" ".join(words))
    assert error.facts["places"] == [5]
    assert error.facts["unknown"][5][0] == "abandon"
    assert "word 5" in error.message
    assert "abandon" in error.hint


def test_suggestions_are_looked_up_for_the_first_three_only():
    error = refusal("qqqq " * 24)
    assert error.facts["places"] == list(range(1, 25))
    assert sorted(error.facts["unknown"]) == [1, 2, 3]


def test_an_error_never_repeats_what_was_typed():
    words = ["legal"] * 11 + ["secretword"] + ["winner"] * 12
    error = refusal(" ".join(words))
    for text in (str(error), repr(error), error.hint):
        assert "secretword" not in text
        assert "winner" not in text
        assert "legal" not in text
    checksum = refusal("legal " * 24)
    assert "legal" not in repr(checksum) + str(checksum) + checksum.hint


@pytest.mark.parametrize("count", [0, 1, 12, 23, 25])
def test_another_number_of_words_is_refused_with_the_count(count):
    error = refusal("zoo " * count)
    assert (error.facts["problem"], error.facts["count"]) == ("word-count", count)


def test_known_words_with_a_wrong_checksum_are_refused_as_such():
    assert refusal("abandon " * 24).facts["problem"] == "checksum"


@pytest.mark.parametrize(
    ("typed", "meant"), [("aband", "abandon"), ("zooo", "zoo"), ("vot", "vote"), ("sausge", "sausage")]
)
def test_nearest_words_begin_or_sound_alike(typed, meant):
    assert meant in nearest_words(typed)


def test_a_mnemonic_hides_itself_and_is_not_pickled():
    mnemonic = Mnemonic.parse(ART)
    assert "abandon" not in repr(mnemonic) + str(mnemonic)
    with pytest.raises(UsageError):
        pickle.dumps(mnemonic)


def test_a_wiped_mnemonic_reveals_nothing():
    with Mnemonic.parse(ART) as mnemonic:
        assert mnemonic.reveal() == ART
    for reveal in (mnemonic.reveal, mnemonic.seed):
        with pytest.raises(UsageError) as caught:
            reveal()
        assert caught.value.code == "crypto.wiped"


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_entropy_of_another_size_is_our_own_fault(size):
    with pytest.raises(UsageError):
        Mnemonic(bytes(size))
