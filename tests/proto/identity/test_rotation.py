import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.keys import AgreementSecret
from nzcore.proto.identity.certificate import Certificate, Flags, next_epoch
from nzcore.proto.identity.node_keys import KeySeeds, NodeKeys, verify_message
from nzcore.proto.identity.rotation import PendingKeys, RotationRequest, approve
from tools.vectors.identity_cast import EPOCH, NOW, make_certificate, make_keys, make_node, make_root

ROOT = make_root()
LATER = NOW + 600
GOOD = PendingKeys(*make_keys("alice 2")).request(make_certificate(ROOT))


def code_of(action, *args, **kwargs) -> str:
    with pytest.raises((PeerError, UsageError)) as caught:
        action(*args, **kwargs)
    return caught.value.code


def test_a_suspect_node_is_rotated_without_seeing_the_mnemonic():
    node = make_node(ROOT)
    pending = PendingKeys.generate()
    request = RotationRequest.parse_text(pending.request(node.certificate).text)
    with make_root() as root:
        answer = approve(root, request, LATER)
    fresh = pending.apply(node.certificate, Certificate.parse_text(answer.text))
    assert (fresh.node, fresh.identity) == (node.node, node.identity)
    assert fresh.epoch == next_epoch(node.epoch, LATER) > node.epoch
    assert fresh.certificate.name == node.certificate.name
    assert fresh.certificate.sign_key != node.certificate.sign_key
    assert fresh.certificate.dh_key != node.certificate.dh_key


@given(st.integers(1, 5), st.integers(-(2**33), 2**33))
def test_the_node_id_is_stable_under_any_number_of_rotations_with_any_clock(count, clock):
    node = first = make_node(ROOT)
    for _ in range(count):
        pending = PendingKeys.generate()
        now = max(0, clock)
        answer = approve(ROOT, pending.request(node.certificate), now)
        rotated = pending.apply(node.certificate, answer)
        assert rotated.epoch > node.epoch
        node = rotated
    assert node.node == first.node


def test_both_screens_show_the_same_code_and_another_request_another():
    read = RotationRequest.parse_text(GOOD.text.lower().replace("\n", " \r\n"))
    assert read == GOOD
    assert read.code == GOOD.code
    assert PendingKeys.generate().request(GOOD.current).code != GOOD.code
    assert len(GOOD.code) == 19
    assert (read.node, read.epoch) == (GOOD.current.node, EPOCH)


@pytest.mark.parametrize("place", range(0, len(GOOD.encoded), 3))
def test_tampering_with_any_byte_of_a_request_is_refused(place):
    data = bytearray(GOOD.encoded)
    data[place] ^= 1
    with pytest.raises(PeerError):
        RotationRequest.parse(bytes(data))


@given(st.binary(max_size=800), st.text(max_size=200))
def test_anything_is_a_request_or_a_peer_error(data, text):
    with pytest.raises(PeerError):
        RotationRequest.parse(data)
    with pytest.raises(PeerError):
        RotationRequest.parse_text(text)


def test_another_identity_does_not_approve():
    assert code_of(approve, make_root(1), GOOD, LATER) == "identity.other-identity"


def test_a_certificate_for_other_keys_is_not_taken_up():
    pending = PendingKeys.generate()
    answer = approve(ROOT, GOOD, LATER)
    assert code_of(pending.apply, GOOD.current, answer) == "identity.request-mismatch"
    mine = make_keys("alice 2")
    half = ROOT.recertify(GOOD.current, mine[0].public, pending.dh_key, epoch=EPOCH + 1, issued=NOW)
    assert code_of(PendingKeys(*mine).apply, GOOD.current, half) == "identity.request-mismatch"


def test_an_answer_for_another_node_is_not_taken_up():
    pending = PendingKeys(*make_keys("alice 2"))
    answer = make_certificate(ROOT, "alice 2", index=1, epoch=EPOCH + 1)
    assert code_of(pending.apply, GOOD.current, answer) == "identity.other-node"


def test_an_answer_for_another_node_says_so_even_with_other_keys():
    pending = PendingKeys(*make_keys("alice 2"))
    assert code_of(pending.apply, GOOD.current, make_certificate(ROOT, "bob", index=1)) == "identity.other-node"


def test_wiped_pending_keys_ask_for_nothing():
    pending = PendingKeys.generate()
    pending.wipe()
    assert code_of(pending.request, GOOD.current) == "crypto.wiped"
    assert code_of(pending.seeds) == "crypto.wiped"


@pytest.mark.parametrize(
    ("epoch", "flags", "code"),
    [
        (EPOCH - 1, Flags.NONE, "identity.older-epoch"),
        (EPOCH, Flags.NONE, "identity.forked"),
        (EPOCH + 1, Flags.FINAL, "identity.retired"),
    ],
)
def test_an_answer_that_is_not_newer_or_retires_is_not_taken_up(epoch, flags, code):
    pending = PendingKeys(*make_keys("alice 2"))
    assert code_of(pending.apply, GOOD.current, make_certificate(ROOT, "alice 2", epoch=epoch, flags=flags)) == code
    pending.apply(GOOD.current, make_certificate(ROOT, "alice 2", epoch=EPOCH + 1))  # the keys are still pending


def test_a_retired_node_is_not_rotated():
    final = make_certificate(ROOT, flags=Flags.FINAL)
    request = PendingKeys.generate().request(final)
    assert code_of(approve, ROOT, request, LATER) == "identity.retired"
    assert code_of(approve, ROOT, GOOD, LATER, known=final) == "identity.retired"


def test_what_the_approver_knows_of_the_node_outdoes_an_old_certificate_in_the_request():
    old = make_certificate(ROOT, "alice 0", epoch=EPOCH - 9, flags=Flags.VOICE, name="before")
    known = make_certificate(ROOT, epoch=EPOCH + 50, name="now")
    request = PendingKeys.generate().request(old)
    answer = approve(ROOT, request, NOW, known=known)
    assert (answer.epoch, answer.voice, answer.name) == (EPOCH + 51, False, "now")
    assert approve(ROOT, request, NOW).voice
    assert not approve(ROOT, request, NOW, flags=Flags.NONE).voice
    assert approve(ROOT, request, NOW, name="renamed").name == "renamed"
    assert code_of(approve, ROOT, request, NOW, known=make_certificate(ROOT, index=4)) == "identity.other-node"


def test_a_fork_is_healed_by_the_next_epoch():
    fork = make_certificate(ROOT, "mallory")
    answer = approve(ROOT, GOOD, NOW, known=fork)
    assert answer.epoch == EPOCH + 1


def test_pending_keys_survive_the_vault():
    pending = PendingKeys.generate()
    kept = pending.seeds().encode()
    again = PendingKeys.from_seeds(KeySeeds.decode(kept))
    assert (again.sign_key, again.dh_key) == (pending.sign_key, pending.dh_key)


def test_node_keys_survive_the_vault_and_wiping_ends_them():
    node = make_node(ROOT)
    seeds = KeySeeds.decode(node.seeds().encode())
    again = NodeKeys.from_seeds(seeds, node.certificate)
    remote = AgreementSecret.generate()
    assert again.agree(remote.public) == node.agree(remote.public) == remote.agree(node.certificate.dh_key)
    seeds.wipe()
    again.wipe()
    for action in (seeds.encode, again.seeds, lambda: again.sign("x", 1), lambda: again.agree(remote.public)):
        assert code_of(action) == "crypto.wiped"
    assert again.node == node.node


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_seeds_of_another_size_are_our_own_fault(size):
    assert code_of(KeySeeds.decode, bytes(size)) == "identity.bad-argument"


def test_keys_and_certificate_belong_together():
    signing, agreement = make_keys("alice")
    other = make_keys("bob")
    certificate = make_certificate(ROOT)
    assert code_of(NodeKeys, other[0], agreement, certificate) == "identity.keys-mismatch"
    assert code_of(NodeKeys, signing, other[1], certificate) == "identity.keys-mismatch"


def test_a_signed_object_opens_under_its_own_label_only():
    node = make_node(ROOT)
    data = node.sign("NZ-TEST-01 a", {0: 1})
    assert node.verify(data, "NZ-TEST-01 a") == {0: 1}
    assert code_of(node.verify, data, "NZ-TEST-01 b") == "crypto.bad-signature"
    assert code_of(make_node(ROOT, "bob").verify, data, "NZ-TEST-01 a") == "crypto.bad-signature"


def test_a_bare_signature_verifies_for_its_label_parts_and_node_only():
    node = make_node(ROOT)
    signature = node.sign_message("NZ-TEST-01 hop", b"ab", b"c")
    verify_message(node.certificate, signature, "NZ-TEST-01 hop", b"abc")
    for certificate, label, message in (
        (node.certificate, "NZ-TEST-01 hop", b"abd"),
        (node.certificate, "NZ-TEST-01 ho", b"pabc"),
        (make_certificate(ROOT, "bob"), "NZ-TEST-01 hop", b"abc"),
    ):
        assert code_of(verify_message, certificate, signature, label, message) == "crypto.bad-signature"


def test_secrets_hide_from_repr_and_pickle():
    node, pending = make_node(ROOT), PendingKeys(*make_keys("alice"))
    secret = node.seeds().encode()
    for holder in (node, pending, node.seeds(), ROOT):
        shown = repr(holder) + str(holder)
        assert secret[:32].hex() not in shown
        assert secret[32:].hex() not in shown
        assert "hidden" in shown
        with pytest.raises(UsageError):
            pickle.dumps(holder)
