import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.proto.identity import armour
from nzcore.proto.identity.certificate import Flags
from nzcore.proto.identity.document import DocumentSignature, sign_document, verify_document
from nzcore.proto.identity.node_keys import NodeKeys
from tools.vectors.identity_cast import NOW, make_certificate, make_keys, make_node, make_root, sign

ROOT = make_root()
NODE = make_node(ROOT)
CONTENT = b"the quick brown fox"
DIGEST = hashlib.sha256(CONTENT).digest()
LABEL = "NZ-IDENTITY-01 document"
GOOD = sign_document(NODE, DIGEST, len(CONTENT), issued=NOW)


def refusal(text: str, digest: bytes = DIGEST, size: int = len(CONTENT), node: NodeId = NODE.node) -> PeerError:
    with pytest.raises(PeerError) as caught:
        verify_document(text, digest, size, node)
    return caught.value


def forged(key, fields) -> str:
    base = {0: 1, 1: NODE.certificate.encoded, 2: DIGEST, 3: len(CONTENT), 4: NOW}
    return armour.encode("nzsig", sign(key, LABEL, {**base, **fields}))


@given(st.binary(max_size=200), st.integers(0, 2**37 - 1))
def test_what_a_node_signed_verifies_offline_by_its_node_id_alone(content, issued):
    digest = hashlib.sha256(content).digest()
    text = sign_document(NODE, digest, len(content), issued=issued).text
    read = verify_document(text, digest, len(content), NodeId.parse(NODE.node.text))
    assert (read.node, read.digest, read.size, read.issued) == (NODE.node, digest, len(content), issued)
    assert read.certificate == NODE.certificate


def test_a_signature_file_is_short_lines_of_text():
    assert GOOD.text.startswith("nzsig:")
    assert all(len(line) <= 64 for line in GOOD.text.splitlines())
    assert len(GOOD.encoded) <= 420


def test_another_file_is_refused_by_digest_and_by_size():
    assert refusal(GOOD.text, digest=hashlib.sha256(b"x").digest()).code == "identity.document-changed"
    assert refusal(GOOD.text, size=len(CONTENT) + 1).code == "identity.document-changed"
    assert refusal(GOOD.text, digest=b"").code == "identity.document-changed"


def test_another_node_is_refused_even_of_the_same_identity():
    sibling = make_node(ROOT, "sibling", index=1)
    error = refusal(sign_document(sibling, DIGEST, len(CONTENT), issued=NOW).text)
    assert error.code == "identity.other-node"
    assert error.facts["got"] == sibling.node


def test_a_certificate_of_the_expected_node_does_not_lend_itself_to_another_key():
    mallory = make_keys("mallory")[0]
    assert refusal(forged(mallory, {})).code == "crypto.bad-signature"


def test_a_certificate_made_by_another_root_for_the_same_keys_is_another_node():
    signing, agreement = make_keys("alice")
    twin = NodeKeys(signing, agreement, make_certificate(make_root(1)))
    error = refusal(sign_document(twin, DIGEST, len(CONTENT), issued=NOW).text)
    assert error.code == "identity.other-node"


@pytest.mark.parametrize(
    "label", ["NZ-IDENTITY-01 certificate", "NZ-IDENTITY-01 request", "NZ-IDENTITY-01 documents", "document"]
)
def test_the_same_content_signed_under_another_label_is_refused(label):
    fields = {0: 1, 1: NODE.certificate.encoded, 2: DIGEST, 3: len(CONTENT), 4: NOW}
    assert refusal(armour.encode("nzsig", NODE.sign(label, fields))).code == "crypto.bad-signature"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({0: 2}, "identity.unknown-version"),
        ({1: b""}, "identity.bad-document"),
        ({1: bytes(513)}, "identity.bad-document"),
        ({1: b"x"}, "codec.bad-sign1"),
        ({2: bytes(31)}, "identity.bad-document"),
        ({3: True}, "identity.bad-document"),
        ({5: 0}, "identity.bad-document"),
    ],
)
def test_a_signature_of_another_shape_is_refused(fields, code):
    assert refusal(forged(NODE.signing, fields)).code == code


def test_a_retired_node_signs_nothing_that_verifies():
    signing, agreement = make_keys("alice")
    final = NodeKeys(signing, agreement, make_certificate(ROOT, flags=Flags.FINAL))
    with pytest.raises(PeerError) as caught:
        sign_document(final, DIGEST, 3, issued=NOW)
    assert caught.value.code == "identity.retired"
    assert refusal(forged(NODE.signing, {1: final.certificate.encoded})).code == "identity.retired"


@pytest.mark.parametrize(("digest", "size"), [(b"", 0), (bytes(31), 0), (bytes(33), 0), (bytes(32), -1)])
def test_a_digest_or_size_out_of_range_is_not_signed(digest, size):
    with pytest.raises(UsageError) as caught:
        sign_document(NODE, digest, size, issued=NOW)
    assert caught.value.code == "identity.bad-argument"


@pytest.mark.parametrize("place", range(0, len(GOOD.encoded), 3))
def test_tampering_with_any_byte_is_refused(place):
    data = bytearray(GOOD.encoded)
    data[place] ^= 1
    assert refusal(armour.encode("nzsig", bytes(data)))


@given(st.binary(max_size=800), st.text(max_size=200))
def test_anything_is_a_signature_or_a_peer_error(data, text):
    with pytest.raises(PeerError):
        DocumentSignature.parse(data)
    with pytest.raises(PeerError):
        verify_document(text, DIGEST, 0, NODE.node)
