"""One object signs, verifies, agrees, seals and unseals in a node's name."""

import pytest

from nzcore.base.errors import PeerError
from nzcore.base.instant import WallTime
from nzcore.node.identity import LocalIdentity
from nzcore.node.setup import make_secrets
from nzcore.proto.identity.mnemonic import Mnemonic

NOW = 1_795_000_000
PURPOSE = "NZ-TESTS-01 greeting"


class InMemory:
    """A safe that forgets what it is given."""

    def replace(self, contents: bytes) -> None:
        assert contents

    def wipe(self) -> None:
        pass


def identity(byte: int, name: str) -> LocalIdentity:
    with Mnemonic(bytes([byte]) * 32) as mnemonic:
        secrets = make_secrets(mnemonic, name=name, index=0, now=WallTime(NOW))
    return LocalIdentity(InMemory(), secrets, clock=lambda: NOW + 0.5)


ALICE, BOB = identity(1, "alice"), identity(2, "bob")


def test_a_signature_holds_for_its_purpose_its_words_and_its_node() -> None:
    signature = ALICE.sign(PURPOSE, b"hello, ", b"bob")
    BOB.verify(ALICE.certificate, signature, PURPOSE, b"hello, bob")
    for certificate, purpose, words in (
        (BOB.certificate, PURPOSE, b"hello, bob"),
        (ALICE.certificate, "NZ-TESTS-01 farewell", b"hello, bob"),
        (ALICE.certificate, PURPOSE, b"hello, rob"),
    ):
        with pytest.raises(PeerError) as refused:
            BOB.verify(certificate, signature, purpose, words)
        assert refused.value.code == "crypto.bad-signature"


def test_two_nodes_agree_on_one_secret() -> None:
    assert ALICE.agree(BOB.certificate.dh_key) == BOB.agree(ALICE.certificate.dh_key)
    assert ALICE.agree(BOB.certificate.dh_key) != ALICE.agree(ALICE.certificate.dh_key)


def test_what_one_seals_the_other_unseals() -> None:
    unsealed = BOB.unseal(ALICE.seal(b"for your eyes", BOB.certificate))
    assert unsealed.content == b"for your eyes"
    assert unsealed.sender == (ALICE.certificate, NOW)


def test_a_long_content_is_sealed_and_unsealed_piece_by_piece() -> None:
    sealer, opener = ALICE.sealer(BOB.certificate), BOB.opener()
    content = bytes(opener.feed(sealer.start()))
    for _ in range(20):
        content += b"".join(opener.feed(sealer.chunk(b"0123456789" * 1000)))
    content += b"".join(opener.feed(sealer.finish()))
    assert (content, opener.finish().node) == (b"0123456789" * 20_000, ALICE.certificate.node)


def test_after_a_rotation_earlier_envelopes_stay_closed_and_earlier_keys_prove_nothing() -> None:
    renewed = identity(2, "bob")
    sealed = ALICE.seal(b"too late", renewed.certificate)
    answer = renewed.seal(b"from before", ALICE.certificate)
    with Mnemonic(bytes([2]) * 32) as mnemonic:
        present = renewed.rotate(mnemonic)
    with pytest.raises(PeerError) as refused:
        renewed.unseal(sealed)
    assert refused.value.code == "envelope.other-keys"
    assert ALICE.unseal(answer).content == b"from before"
    with pytest.raises(PeerError) as refused:
        ALICE.unseal(answer, lambda _: present)
    assert refused.value.code == "envelope.sender-rotated"
    assert renewed.unseal(ALICE.seal(b"in time", present)).content == b"in time"
