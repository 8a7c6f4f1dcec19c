"""Sealing and opening with two machines and nothing between them but bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.crypto.keys import AgreementPublic
from nzcore.proto.envelope.layout import CHUNK_BYTES, CONTENT_BYTES, HEAD_BYTES, SEAL_BYTES, Kind
from nzcore.proto.envelope.opener import EnvelopeKey, Opener, open_head
from nzcore.proto.envelope.seal import Known, Sender, Transcript, make_seal
from nzcore.proto.envelope.sealer import Sealer
from nzcore.proto.identity.certificate import Flags
from nzcore.proto.identity.node_keys import NodeKeys
from tools.vectors.envelope import cast, opener_of, records, seal, sealer_of
from tools.vectors.identity_cast import EPOCH, NOW, make_certificate, make_keys, make_root

ALICE, BOB, CAROL = cast("alice"), cast("bob"), cast("carol")


def opened(keys: NodeKeys, data: bytes, *, step: int = 0, known: Known | None = None) -> tuple[bytes, Sender]:
    """Content and sender of an envelope, fed whole or in pieces of `step` bytes."""
    opener = opener_of(keys)
    size = step or len(data) or 1
    content = [piece for at in range(0, len(data), size) for piece in opener.feed(data[at : at + size])]
    return b"".join(content), opener.finish(known)


def unseal(keys: NodeKeys, data: bytes, *, step: int = 0) -> tuple[bytes, NodeId]:
    content, sender = opened(keys, data, step=step)
    return content, sender.node


def refusal(keys: NodeKeys, data: bytes, known: Known | None = None) -> str:
    with pytest.raises(PeerError) as refused:
        opened(keys, data, known=known)
    return refused.value.code


def joined(parts: list[bytes]) -> bytes:
    return b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_what_is_sealed_for_bob_bob_opens_and_knows_the_sender(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    assert unseal(BOB, seal(ALICE, BOB.certificate, content[:size])) == (content[:size], ALICE.node)


@given(st.binary(max_size=300), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_any_split_of_the_bytes_gives_the_same(content: bytes, step: int) -> None:
    assert unseal(BOB, seal(ALICE, BOB.certificate, content), step=step) == (content, ALICE.node)


@given(st.lists(st.integers(0, 2 * CHUNK_BYTES), max_size=5))
@settings(max_examples=30, deadline=None)
def test_any_split_of_the_content_gives_records_of_the_same_sizes(sizes: list[int]) -> None:
    content = bytes(sum(sizes))
    sealer = sealer_of(ALICE, BOB.certificate)
    parts, at = [sealer.start()], 0
    for size in sizes:
        parts.append(sealer.chunk(content[at : at + size]))
        at += size
    parts.append(sealer.finish())
    assert joined(parts) == seal(ALICE, BOB.certificate, content)


def test_two_envelopes_of_one_content_have_nothing_in_common() -> None:
    made = []
    for _ in range(2):
        sealer = Sealer(BOB.certificate, lambda transcript: make_seal(ALICE, transcript, issued=NOW))
        made.append(sealer.start() + sealer.chunk(b"same" * 100) + sealer.finish())
        assert unseal(BOB, made[-1]) == (b"same" * 100, ALICE.node)
    first, second = made
    assert len(first) == len(second)
    assert not any(first[at : at + 8] == second[at : at + 8] for at in range(8, HEAD_BYTES))
    assert not any(first[at : at + 8] in second for at in range(HEAD_BYTES + 3, len(first) - 8))


def test_an_envelope_names_neither_sender_nor_recipient() -> None:
    sealed = seal(ALICE, BOB.certificate, b"hello")
    for keys in (ALICE, BOB):
        certificate = keys.certificate
        for telling in (certificate.node, certificate.root, certificate.sign_key, certificate.dh_key, b"alice", b"bob"):
            assert bytes(telling)[:5] not in sealed


def test_one_may_seal_for_oneself() -> None:
    assert unseal(ALICE, seal(ALICE, ALICE.certificate, b"note")) == (b"note", ALICE.node)


def test_the_longest_seal_fits() -> None:
    flags = Flags.VOICE
    largest = make_certificate(make_root(), name="n" * 64, epoch=(1 << 32) - 1, flags=flags)
    keys = NodeKeys(*make_keys("alice"), largest)
    sealed = seal(keys, BOB.certificate, b"x")
    assert records(sealed)[-1][0] == Kind.SEAL
    assert records(sealed)[-1][1] <= SEAL_BYTES + 16
    assert unseal(BOB, sealed) == (b"x", keys.node)


def test_every_changed_bit_of_an_envelope_is_refused() -> None:
    sealed = seal(ALICE, BOB.certificate, b"hello")
    for place in range(len(sealed)):
        for bit in (0, 7):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            assert refusal(BOB, bytes(changed)).startswith("envelope.")


def test_every_envelope_that_ends_too_early_is_refused() -> None:
    sealed = seal(ALICE, BOB.certificate, b"hello")
    assert {refusal(BOB, sealed[:size]) for size in range(len(sealed))} == {"envelope.truncated"}


def test_a_record_out_of_its_place_is_refused() -> None:
    sealed = seal(ALICE, BOB.certificate, bytes(CHUNK_BYTES) + b"\1" * CHUNK_BYTES)
    first = 3 + CHUNK_BYTES + 16
    head, one, two, end = (
        sealed[:HEAD_BYTES],
        sealed[HEAD_BYTES : HEAD_BYTES + first],
        sealed[HEAD_BYTES + first : HEAD_BYTES + 2 * first],
        sealed[HEAD_BYTES + 2 * first :],
    )
    assert unseal(BOB, head + one + two + end)[1] == ALICE.node
    assert refusal(BOB, head + two + one + end) == "envelope.damaged"
    assert refusal(BOB, head + one + end) == "envelope.damaged"
    assert refusal(BOB, head + one + one + two + end) == "envelope.damaged"
    assert refusal(BOB, head + one + two) == "envelope.truncated"
    assert refusal(BOB, head + one + two + end + end) == "envelope.trailing"
    assert refusal(BOB, head + one + two + end + b"\0") == "envelope.trailing"


def test_bytes_after_the_seal_are_refused_when_they_come_later_too() -> None:
    opener = opener_of(BOB)
    assert joined(opener.feed(seal(ALICE, BOB.certificate, b"hello"))) == b"hello"
    with pytest.raises(PeerError) as refused:
        opener.feed(b"!")
    assert refused.value.code == "envelope.trailing"


def test_what_is_for_another_node_says_so_and_what_is_for_lost_keys_says_that() -> None:
    sealed = seal(ALICE, BOB.certificate, b"hello")
    assert refusal(CAROL, sealed) == "envelope.other-recipient"
    signing, agreement = make_keys("bob renewed")
    rotated = NodeKeys(
        signing,
        agreement,
        make_root(2).certify(0, signing.public, agreement.public, epoch=EPOCH + 1, issued=NOW, name="bob"),
    )
    assert rotated.node == BOB.node
    assert refusal(rotated, sealed) == "envelope.other-keys"


def test_bob_cannot_pass_alices_word_on_to_carol() -> None:
    """Surreptitious forwarding: Bob has the content and Alice's seal, and seals both for Carol."""
    stolen: list[bytes] = []

    def note(transcript):
        stolen.append(make_seal(ALICE, transcript, issued=NOW))
        return stolen[0]

    letter = Sealer(BOB.certificate, note)
    assert unseal(BOB, letter.start() + letter.chunk(b"I love you") + letter.finish())[1] == ALICE.node
    forward = Sealer(CAROL.certificate, lambda _: stolen[0])
    assert refusal(CAROL, forward.start() + forward.chunk(b"I love you") + forward.finish()) == "envelope.other-content"
    again = Sealer(BOB.certificate, lambda _: stolen[0])
    assert refusal(BOB, again.start() + again.chunk(b"I love you") + again.finish()) == "envelope.other-content"


def test_whoever_holds_the_envelopes_key_cannot_change_the_content_under_the_seal() -> None:
    """The recipient's keys are lost: the thief makes other content, and keeps Alice's seal."""
    stolen: list[bytes] = []

    def note(transcript):
        stolen.append(make_seal(ALICE, transcript, issued=NOW))
        return stolen[0]

    for content in (b"pay Bob 10", b"pay Bob 99"):
        letter = sealer_of(ALICE, BOB.certificate, sign=note if not stolen else lambda _: stolen[0])
        sealed = letter.start() + letter.chunk(content) + letter.finish()
    assert refusal(BOB, sealed) == "envelope.other-content"


def test_a_certificate_that_the_signature_is_not_of_is_refused() -> None:
    def forge(transcript):
        seal_ = make_seal(CAROL, transcript, issued=NOW)
        return seal_.replace(CAROL.certificate.encoded, ALICE.certificate.encoded)

    letter = Sealer(BOB.certificate, forge)
    assert refusal(BOB, letter.start() + letter.finish()) == "envelope.bad-seal"


@pytest.mark.parametrize(
    ("held", "code"),
    [
        ({"epoch": EPOCH + 1}, "envelope.sender-rotated"),
        ({"name": "another"}, "envelope.sender-forked"),
        ({"flags": Flags.FINAL}, "envelope.sender-retired"),
    ],
)
def test_a_sender_who_is_known_better_is_refused(held: dict[str, object], code: str) -> None:
    known = make_certificate(make_root(1), "alice", **held)
    asked = []

    def remember(node):
        asked.append(node)
        return known

    assert known.node == ALICE.node
    assert refusal(BOB, seal(ALICE, BOB.certificate, b"hello"), known=remember) == code
    assert asked == [ALICE.node]


def test_a_sender_who_is_known_as_it_is_or_older_or_not_at_all_is_believed() -> None:
    for known in (ALICE.certificate, make_certificate(make_root(1), "old", epoch=EPOCH - 1), None):
        opener = opener_of(BOB)
        opener.feed(seal(ALICE, BOB.certificate, b"hello"))
        sender = opener.finish(lambda _, known=known: known)
        assert (sender.certificate, sender.issued) == (ALICE.certificate, NOW)


def test_a_retired_node_neither_seals_nor_is_sealed_for_nor_is_believed() -> None:
    final = NodeKeys(*make_keys("alice"), make_certificate(make_root(1), "alice", flags=Flags.FINAL))
    with pytest.raises(PeerError) as refused:
        seal(final, BOB.certificate, b"")
    assert refused.value.code == "envelope.sender-retired"
    with pytest.raises(PeerError) as refused:
        Sealer(final.certificate, lambda _: b"")
    assert refused.value.code == "envelope.recipient-retired"


def test_nothing_is_done_out_of_turn() -> None:
    sealer = sealer_of(ALICE, BOB.certificate)
    for call in (sealer.finish, lambda: sealer.chunk(b"")):
        with pytest.raises(UsageError):
            call()
    sealer.start()
    sealer.finish()
    for call in (sealer.start, sealer.finish, lambda: sealer.chunk(b"")):
        with pytest.raises(UsageError):
            call()
    opener = opener_of(BOB)
    with pytest.raises(PeerError):
        opener.feed(b"not an envelope at all")
    for call in (opener.finish, lambda: opener.feed(b"")):
        with pytest.raises(UsageError):
            call()


def test_a_seal_that_cannot_be_made_ends_the_sealer() -> None:
    def refuse(_):
        raise PeerError("envelope.sender-retired")

    sealer = Sealer(BOB.certificate, refuse)
    sealer.start()
    with pytest.raises(PeerError):
        sealer.finish()
    with pytest.raises(UsageError):
        sealer.finish()


def test_an_opener_asks_for_the_key_once_and_holds_one_record_at_most() -> None:
    asked: list[bytes] = []

    def ask(head: bytes) -> EnvelopeKey:
        asked.append(head)
        return open_head(BOB, head)

    sealed = seal(ALICE, BOB.certificate, bytes(3 * CONTENT_BYTES))
    opener = Opener(ask)
    for at in range(0, len(sealed), 1000):
        opener.feed(sealed[at : at + 1000])
        assert len(opener._buffer) < CONTENT_BYTES + 16 + 3 + 1000
    assert opener.finish().node == ALICE.node
    assert asked == [sealed[:HEAD_BYTES]]
    assert "hidden" in repr(open_head(BOB, sealed[:HEAD_BYTES]))


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_end_in_content_or_a_peer_error(data: bytes) -> None:
    sealed = seal(ALICE, BOB.certificate, b"hello")
    for attempt in (data, sealed[:8] + data, sealed[:HEAD_BYTES] + data, sealed[:-40] + data):
        assert attempt == sealed or refusal(BOB, attempt).startswith("envelope.")


def test_a_recipients_key_of_small_order_is_not_sealed_to() -> None:
    point = AgreementPublic(bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"))
    card = make_root(3).certify(0, make_keys("carol")[0].public, point, epoch=EPOCH, issued=NOW, name="carol")
    with pytest.raises(PeerError) as refused:
        Sealer(card, lambda _: b"").start()
    assert refused.value.code == "envelope.weak-recipient"


@pytest.mark.parametrize("transcript", [(b"", bytes(32), 0), (bytes(32), b"", 0), (bytes(32), bytes(32), -1)])
def test_a_transcript_out_of_range_is_a_callers_error(transcript: tuple[bytes, bytes, int]) -> None:
    with pytest.raises(UsageError):
        make_seal(ALICE, Transcript(BOB.node, *transcript), issued=NOW)


@pytest.mark.parametrize("size", [0, 7, HEAD_BYTES - 1, HEAD_BYTES + 1])
def test_a_head_of_another_size_is_refused(size: int) -> None:
    head = (seal(ALICE, BOB.certificate, b"hello"))[:size]
    with pytest.raises(PeerError) as refused:
        open_head(BOB, head)
    assert refused.value.code == "envelope.truncated"


def test_content_is_counted_in_bytes_whatever_the_view_is_made_of() -> None:
    sealer = sealer_of(ALICE, BOB.certificate)
    words = memoryview(bytes(8 * CHUNK_BYTES)).cast("Q")
    assert unseal(BOB, sealer.start() + sealer.chunk(words) + sealer.finish())[0] == bytes(8 * CHUNK_BYTES)
