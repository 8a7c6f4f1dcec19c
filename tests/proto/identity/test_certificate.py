import hashlib
import hmac
from unicodedata import normalize

import nacl.bindings as sodium
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.codec import cbor, cose
from nzcore.crypto.secrets import SecretBytes
from nzcore.proto.identity.certificate import (
    MAX_EPOCH,
    Certificate,
    Flags,
    Order,
    Retirement,
    admit,
    compare,
    next_epoch,
)
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.root import Root
from tools.vectors.identity_cast import EPOCH, NOW, make_certificate, make_keys, make_root, plain_fields, root_key, sign

ROOT = make_root()
GOOD = make_certificate(ROOT)
LABEL = "NZ-IDENTITY-01 certificate"


def hkdf(ikm: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 for at most one block, written again from its text."""
    return hmac.digest(hmac.digest(bytes(32), ikm, "sha256"), info + b"\1", "sha256")[:length]


def code_of(action, *args, **kwargs) -> str:
    with pytest.raises((PeerError, UsageError)) as caught:
        action(*args, **kwargs)
    return caught.value.code


@pytest.mark.parametrize("index", [0, 1, 258, 2**32 - 1])
def test_the_node_id_is_computed_as_the_specification_says(index):
    seed = hashlib.pbkdf2_hmac("sha512", Mnemonic(bytes(32)).reveal().encode(), b"mnemonic", 2048)
    nonce = hkdf(seed, b"NZ-IDENTITY-01 node" + index.to_bytes(4, "big"), 16)
    expected = hashlib.sha256(b"NZ-IDENTITY-01 node\0" + ROOT.identity + nonce).digest()
    assert ROOT.nonce(index) == nonce
    assert ROOT.node_id(index) == expected
    assert make_certificate(ROOT, index=index).node == expected


def test_a_certificate_has_the_fields_of_the_specification():
    assert cbor.decode(GOOD.payload) == {
        0: 1,
        1: bytes(ROOT.identity),
        2: ROOT.nonce(0),
        3: EPOCH,
        4: bytes(GOOD.sign_key),
        5: bytes(GOOD.dh_key),
        6: 0,
        7: "alice",
        8: NOW,
    }


def test_the_same_mnemonic_and_index_give_the_same_node_on_a_new_machine():
    again = Root.from_mnemonic(Mnemonic.parse(Mnemonic(bytes(32)).reveal()))
    assert again.identity == ROOT.identity
    assert make_certificate(again, "other keys").node == GOOD.node


def test_another_index_is_another_node_of_the_same_identity():
    other = make_certificate(ROOT, index=1)
    assert other.node != GOOD.node
    assert other.root == GOOD.root


def test_nodes_and_identities_of_two_mnemonics_differ():
    other = make_root(1)
    assert other.identity != ROOT.identity
    assert other.node_id(0) != ROOT.node_id(0)


@given(st.integers(1, MAX_EPOCH), st.text(max_size=80), st.sampled_from([0, 1, 2, 3]), st.integers(0, 2**37 - 1))
def test_a_certificate_returns_from_its_bytes_and_its_text(epoch, name, flags, issued):
    signing, agreement = make_keys("alice")
    made = ROOT.certify(0, signing.public, agreement.public, epoch=epoch, issued=issued, name=name, flags=Flags(flags))
    for read in (Certificate.parse(made.encoded), Certificate.parse_text(made.text.lower())):
        assert read == made
        assert read.encoded == made.encoded
        assert (read.epoch, read.flags, read.issued, read.node) == (epoch, Flags(flags), issued, GOOD.node)
    assert len(made.encoded) <= 300
    assert (made.voice, made.final) == (bool(flags & 1), bool(flags & 2))


@given(st.binary(max_size=600))
def test_any_bytes_are_a_certificate_or_a_peer_error(data):
    for parse in (Certificate.parse, Retirement.parse):
        with pytest.raises(PeerError):
            parse(data)


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda data: "nzcert:" + data.hex().upper()))
def test_any_text_is_a_certificate_or_a_peer_error(text):
    for parse in (Certificate.parse_text, Retirement.parse_text):
        with pytest.raises(PeerError):
            parse(text)


@pytest.mark.parametrize("place", range(len(GOOD.encoded)))
def test_tampering_with_any_byte_is_refused(place):
    for change in (1, 0x80, 0xFF):
        data = bytearray(GOOD.encoded)
        data[place] ^= change
        with pytest.raises(PeerError):
            Certificate.parse(bytes(data))


@given(
    st.dictionaries(st.integers(0, 23), st.integers(0, 9) | st.binary(max_size=40) | st.text(max_size=9), max_size=9)
)
def test_any_map_that_a_root_signs_is_a_certificate_or_a_peer_error(change):
    fields = {**plain_fields(ROOT), **{key: _normal(value) for key, value in change.items()}}
    data = sign(root_key(), LABEL, fields)
    try:
        read = Certificate.parse(data)
    except PeerError:
        return
    assert read.root == ROOT.identity
    assert len({bytes(read.root), bytes(read.sign_key), bytes(read.dh_key)}) == 3


def _normal(value):
    return normalize("NFC", value) if isinstance(value, str) else value


def test_a_root_refuses_what_would_not_be_a_certificate():
    signing, agreement = make_keys("alice")
    keys = (signing.public, agreement.public)
    for changed in ({"epoch": 0}, {"epoch": MAX_EPOCH + 1}, {"issued": -1}, {"issued": 1 << 37}):
        assert code_of(ROOT.certify, 0, *keys, **{"epoch": 1, "issued": NOW, **changed}) == "identity.bad-argument"
    for index in (-1, 2**32):
        assert code_of(ROOT.certify, index, *keys, epoch=1, issued=NOW) == "identity.bad-argument"
    twice = type(agreement.public)(signing.public)
    assert code_of(ROOT.certify, 0, signing.public, twice, epoch=1, issued=NOW) == "identity.bad-argument"


@pytest.mark.parametrize("size", [32, 63, 65])
def test_a_seed_of_another_size_makes_no_root(size):
    assert code_of(Root, SecretBytes(bytes(size))) == "identity.bad-argument"


def test_a_wiped_root_signs_nothing_and_shows_nothing():
    with make_root() as root:
        assert root.identity.text in repr(root)
        certificate = make_certificate(root)
    for action in (root.retire_identity, lambda: root.nonce(0), lambda: make_certificate(root, index=3)):
        assert code_of(action) == "crypto.wiped"
    signing, agreement = make_keys("new")
    assert (
        code_of(root.recertify, certificate, signing.public, agreement.public, epoch=EPOCH + 1, issued=NOW)
        == "crypto.wiped"
    )


def test_a_root_recertifies_only_its_own_nodes_and_only_upwards():
    signing, agreement = make_keys("new")
    keys = (signing.public, agreement.public)
    assert code_of(make_root(1).recertify, GOOD, *keys, epoch=EPOCH + 1, issued=NOW) == "identity.other-identity"
    assert code_of(ROOT.recertify, GOOD, *keys, epoch=EPOCH, issued=NOW) == "identity.bad-argument"
    new = ROOT.recertify(GOOD, *keys, epoch=EPOCH + 1, issued=NOW, name="", flags=Flags.VOICE)
    assert (new.node, new.name, new.voice, new.nonce) == (GOOD.node, "", True, GOOD.nonce)


@given(st.integers(0, MAX_EPOCH - 1), st.integers(-(2**40), 2**37))
def test_an_epoch_only_grows_and_follows_the_clock_where_it_can(previous, now):
    epoch = next_epoch(previous, now)
    assert epoch > previous
    assert epoch == max(previous + 1, (now - 1_577_836_800) // 60)


def test_epochs_end_where_32_bits_end():
    assert code_of(next_epoch, MAX_EPOCH, NOW) == "identity.bad-argument"
    assert code_of(next_epoch, -1, NOW) == "identity.bad-argument"
    assert next_epoch(MAX_EPOCH - 1, NOW) == MAX_EPOCH


def test_certificates_are_ordered_by_epoch_and_forks_show():
    newer, forked = make_certificate(ROOT, "new", epoch=EPOCH + 1), make_certificate(ROOT, "mallory")
    assert compare(GOOD, GOOD) is Order.SAME
    assert compare(GOOD, newer) is Order.NEWER
    assert compare(newer, GOOD) is Order.OLDER
    assert compare(GOOD, forked) is compare(forked, GOOD) is Order.FORKED
    assert code_of(compare, GOOD, make_certificate(ROOT, index=1)) == "identity.other-node"


def test_a_lower_epoch_is_refused_with_the_higher_certificate_in_the_facts():
    newer = make_certificate(ROOT, "new", epoch=EPOCH + 1)
    with pytest.raises(PeerError) as caught:
        admit(newer, GOOD)
    assert caught.value.code == "identity.older-epoch"
    assert caught.value.facts["certificate"] is newer


def test_a_final_certificate_retires_the_node_in_whatever_order_it_is_heard():
    final = ROOT.retire_node(GOOD, epoch=EPOCH + 1, issued=NOW)
    later = make_certificate(ROOT, "new", epoch=EPOCH + 9)
    for held, offered in ((GOOD, final), (later, final), (final, later), (final, GOOD), (None, final), (final, final)):
        with pytest.raises(PeerError) as caught:
            admit(held, offered)
        assert caught.value.code == "identity.retired"
        assert caught.value.facts["certificate"] == final
    assert compare(later, final) is Order.NEWER
    assert compare(final, later) is Order.OLDER
    assert final.node == GOOD.node


@given(st.permutations([make_certificate(ROOT, who, epoch=EPOCH + n) for n, who in enumerate("abcd")]))
def test_any_order_of_hearing_ends_with_the_highest_epoch(heard):
    held, refusals = None, set()
    for offered in heard:
        try:
            held = admit(held, offered)
        except PeerError as error:
            refusals.add(error.code)
    assert held.epoch == EPOCH + 3
    assert refusals <= {"identity.older-epoch"}


def test_the_first_certificate_of_a_node_is_admitted():
    assert admit(None, GOOD) is GOOD


def test_equal_payloads_are_equal_whatever_the_signature():
    assert Certificate.parse(GOOD.encoded) == GOOD
    assert hash(Certificate.parse(GOOD.encoded)) == hash(GOOD)
    assert make_certificate(ROOT, name="other") != GOOD


def signed_otherwise(payload: bytes) -> bytes:
    """Another valid signature of the same root over the same payload, with a nonce of our choice (RFC 8032 §5.1.6)."""
    key, message = root_key(), cose.to_be_signed(payload, LABEL)
    scalar = sodium.crypto_sign_ed25519_sk_to_curve25519(key.seed().reveal() + key.public)
    chosen = sodium.crypto_core_ed25519_scalar_reduce(bytes(range(64)))
    commitment = sodium.crypto_scalarmult_ed25519_base_noclamp(chosen)
    challenge = sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(commitment + key.public + message).digest())
    reduced = sodium.crypto_core_ed25519_scalar_reduce(scalar + bytes(32))
    response = sodium.crypto_core_ed25519_scalar_add(chosen, sodium.crypto_core_ed25519_scalar_mul(challenge, reduced))
    return cose.encode_sign1(cose.Sign1(payload, commitment + response))


def test_the_same_payload_under_another_valid_signature_is_the_same_certificate():
    again = Certificate.parse(signed_otherwise(GOOD.payload))
    assert again.encoded != GOOD.encoded
    assert again == GOOD
    assert compare(GOOD, again) is Order.SAME
    assert admit(GOOD, again) is again


def test_an_identity_is_retired_by_its_own_root_alone():
    statement = ROOT.retire_identity()
    assert Retirement.parse_text(statement.text) == statement
    assert statement.identity == ROOT.identity
    forged = sign(root_key(1), "NZ-IDENTITY-01 retire", {0: 1, 1: ROOT.identity})
    assert code_of(Retirement.parse, forged) == "crypto.bad-signature"


def test_ids_have_their_own_types_and_texts():
    assert isinstance(GOOD.node, NodeId)
    assert isinstance(GOOD.root, IdentityId)
    assert GOOD.node.text.startswith("nzn1")
    assert GOOD.root.text.startswith("nzi1")
