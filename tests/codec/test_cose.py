"""COSE_Sign1 in its one form, checked against pycose and cbor2."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.headers import Algorithm
from pycose.keys import OKPKey
from pycose.messages import Sign1Message

from nzcore.base.errors import PeerError, UsageError
from nzcore.codec import cose
from nzcore.crypto.keys import Signature, SigningKey
from tests.refusals import code_of
from tools.fuzz.cose import target

LABEL = "NZ-IDENTITY-01 certificate"
KEY = SigningKey.from_seed(bytes(range(32)))
GOOD = cose.encode_sign1(cose.Sign1(b"\xa0", KEY.sign(cose.to_be_signed(b"\xa0", LABEL))))
PAYLOADS = st.binary(max_size=300)


@given(PAYLOADS)
def test_the_signed_bytes_are_the_sig_structure(payload: bytes) -> None:
    assert cbor2.loads(cose.to_be_signed(payload, LABEL)) == ["Signature1", b"\xa1\x01\x27", LABEL.encode(), payload]
    assert cbor2.dumps(cbor2.loads(cose.to_be_signed(payload, LABEL))) == cose.to_be_signed(payload, LABEL)


@given(PAYLOADS)
def test_pycose_verifies_what_we_sign(payload: bytes) -> None:
    ours = cose.encode_sign1(cose.Sign1(payload, KEY.sign(cose.to_be_signed(payload, LABEL))))
    theirs = Sign1Message.from_cose_obj(cbor2.loads(ours), allow_unknown_attributes=False)
    theirs.external_aad = LABEL.encode()
    theirs.key = OKPKey(crv=6, x=bytes(KEY.public))
    assert theirs.verify_signature()
    theirs.external_aad = b"NZ-IDENTITY-01 retire"
    assert not theirs.verify_signature()


@given(PAYLOADS)
def test_pycose_and_we_make_the_same_object(payload: bytes) -> None:
    theirs = Sign1Message(phdr={Algorithm: -8}, uhdr={}, payload=payload, external_aad=LABEL.encode())
    theirs.key = OKPKey(crv=6, x=bytes(KEY.public), d=KEY.seed().reveal())
    encoded = theirs.encode(tag=False)
    assert encoded == cose.encode_sign1(cose.Sign1(payload, KEY.sign(cose.to_be_signed(payload, LABEL))))
    sign1 = cose.decode_sign1(encoded, max_bytes=4096)
    KEY.public.verify(sign1.signature, cose.to_be_signed(sign1.payload, LABEL))
    theirs.signature = sign1.signature
    assert theirs.verify_signature()


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_that_encodes_back_or_are_refused(data: bytes) -> None:
    target(data)
    target(GOOD[:7] + data)


@pytest.mark.parametrize("at", range(len(GOOD)))
def test_an_object_cut_anywhere_is_refused(at: int) -> None:
    assert code_of(PeerError, cose.decode_sign1, GOOD[:at], max_bytes=4096) == "codec.bad-sign1"


SIGNATURE = bytes(64)


@pytest.mark.parametrize(
    "value",
    [
        cbor2.CBORTag(18, [b"\xa1\x01\x27", {}, b"p", SIGNATURE]),  # tagged
        [b"\xa1\x01\x26", {}, b"p", SIGNATURE],  # another algorithm
        [b"", {1: -8}, b"p", SIGNATURE],  # the algorithm unprotected
        [b"\xa1\x01\x27", {4: b"kid"}, b"p", SIGNATURE],
        [b"\xa2\x01\x27\x04\x41\x00", {}, b"p", SIGNATURE],  # a second protected header
        [b"\xa1\x01\x27", {}, None, SIGNATURE],  # a detached payload
        [b"\xa1\x01\x27", {}, "p", SIGNATURE],
        [b"\xa1\x01\x27", {}, b"p", SIGNATURE[:63]],
        [b"\xa1\x01\x27", {}, b"p", SIGNATURE + b"\0"],
        [b"\xa1\x01\x27", {}, b"p"],
        [b"\xa1\x01\x27", {}, b"p", SIGNATURE, b""],
    ],
)
def test_other_forms_of_cose_are_refused(value: object) -> None:
    assert code_of(PeerError, cose.decode_sign1, cbor2.dumps(value), max_bytes=4096) == "codec.bad-sign1"


def test_bytes_behind_the_object_and_long_lengths_are_refused() -> None:
    assert code_of(PeerError, cose.decode_sign1, GOOD + b"\0", max_bytes=4096) == "codec.bad-sign1"
    assert GOOD[6:8] == b"\x41\xa0"
    assert code_of(PeerError, cose.decode_sign1, GOOD[:6] + b"\x58\x01" + GOOD[7:], max_bytes=4096) == "codec.bad-sign1"
    assert (
        code_of(PeerError, cose.decode_sign1, GOOD[:6] + b"\x5b" + b"\xff" * 8 + GOOD[7:], max_bytes=4096)
        == "codec.bad-sign1"
    )


def test_objects_beyond_the_limit_are_not_read() -> None:
    assert cose.decode_sign1(GOOD, max_bytes=len(GOOD)).payload == b"\xa0"
    assert code_of(PeerError, cose.decode_sign1, GOOD, max_bytes=len(GOOD) - 1) == "codec.too-large"


def test_a_signature_counts_for_one_label_only() -> None:
    sign1 = cose.decode_sign1(GOOD, max_bytes=4096)
    with pytest.raises(PeerError) as caught:
        KEY.public.verify(sign1.signature, cose.to_be_signed(sign1.payload, "NZ-IDENTITY-01 retire"))
    assert caught.value.code == "crypto.bad-signature"


@pytest.mark.parametrize("label", ["", "ä", "a\n", "x" * 65])
def test_labels_are_short_printable_ascii(label: str) -> None:
    with pytest.raises(UsageError) as caught:
        cose.to_be_signed(b"", label)
    assert caught.value.code == "codec.unencodable"


def test_a_signature_of_another_size_is_not_written() -> None:
    with pytest.raises(UsageError):
        cose.encode_sign1(cose.Sign1(b"", bytes(63)))
    assert isinstance(KEY.sign(b""), Signature)
