"""The machine in the face of faults: changed, cut, reflected, replayed messages, wrong keys, and calls out of turn."""

from collections.abc import Callable

import pytest

from nzcore.base.errors import PeerError, UsageError
from nzcore.crypto.keys import AgreementPublic, AgreementSecret, KemPublic
from nzcore.proto.noise.handshake import MESSAGE_BYTES, Handshake
from nzcore.proto.noise.patterns import BASES, Pattern, parse
from tests.proto.noise.noise_cases import VARIED

CHANNEL = parse("XXhfs+psk0")
PSK = b"\x05" * 32
LABEL = "NZ-CHANNEL-01 export"
Call = Callable[[], object]
SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def pair(
    pattern: Pattern = CHANNEL, *, psks: tuple[bytes, bytes] = (PSK, PSK), prologues: tuple[bytes, bytes] = (b"", b"")
) -> tuple[Handshake, Handshake]:
    statics = (AgreementSecret.generate(), AgreementSecret.generate())
    known = (pattern.knows_responder, pattern.knows_initiator)
    sides = [
        Handshake(
            pattern,
            initiator=side == 0,
            prologue=prologues[side],
            static=statics[side] if pattern.has_static(initiator=side == 0) else None,
            remote_static=statics[1 - side].public if known[side] else None,
            psks=[psks[side]] * pattern.psk_count,
        )
        for side in (0, 1)
    ]
    return sides[0], sides[1]


def run(one: Handshake, two: Handshake, count: int | None = None) -> list[bytes]:
    messages = []
    for index in range(len(one.pattern.messages) if count is None else count):
        writer, reader = (one, two) if index % 2 == 0 else (two, one)
        messages.append(writer.write_message(b"p%d" % index))
        assert reader.read_message(messages[-1]) == b"p%d" % index
    return messages


def flipped(message: bytes, at: int) -> bytes:
    changed = bytearray(message)
    changed[at] ^= 0x80
    return bytes(changed)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("modifiers", ["", "psk0", "hfs", "hfs+psk0"])
def test_both_sides_of_every_pattern_end_with_the_same_secrets(base: str, modifiers: str) -> None:
    if "hfs" in modifiers and parse(base).one_way:
        with pytest.raises(UsageError):
            parse(base + modifiers)
        return
    one, two = pair(parse(base + modifiers))
    sizes = [len(message) - 2 for message in run(one, two)]
    assert sizes == list(one.pattern.overheads)
    assert one.handshake_hash == two.handshake_hash
    if one.pattern.one_way:
        sender, recipient = one.split_one_way(LABEL), two.split_one_way(LABEL)
        assert recipient.cipher.decrypt(b"", sender.cipher.encrypt(b"", b"sealed")) == b"sealed"
    else:
        left, right = one.split(LABEL), two.split(LABEL)
        assert left.exporter == right.exporter
        assert right.receive.decrypt(b"", left.send.encrypt(b"", b"there")) == b"there"
        assert left.receive.decrypt(b"", right.send.encrypt(b"", b"back")) == b"back"


def test_message_1_of_a_channel_is_1248_bytes_with_an_empty_payload() -> None:
    one, _ = pair()
    assert len(one.write_message()) == 1248


@pytest.mark.parametrize("index", [0, 1, 2])
def test_any_changed_byte_is_refused_and_the_genuine_message_still_succeeds(index: int) -> None:
    one, two = pair()
    run(one, two, index)
    writer, reader = (one, two) if index % 2 == 0 else (two, one)
    message = writer.write_message(b"payload")
    for at in range(0, len(message), 1 if index == 2 else 11):
        with pytest.raises(PeerError):
            reader.read_message(flipped(message, at))
    assert reader.read_message(message) == b"payload"
    if index < 2:
        answer = reader.write_message(b"answer")
        assert writer.read_message(answer) == b"answer"


@pytest.mark.parametrize("name", VARIED)
def test_a_failure_in_the_last_byte_of_any_message_rolls_everything_back(name: str) -> None:
    """The last byte: by then every token was read, so every part of the state had changed."""
    one, two = pair(parse(name))
    for index in range(len(one.pattern.messages)):
        writer, reader = (one, two) if index % 2 == 0 else (two, one)
        message = writer.write_message(b"payload")
        known = reader.remote_static
        if one.pattern.overheads[index] > 32:
            for _ in range(3):
                with pytest.raises(PeerError) as caught:
                    reader.read_message(flipped(message, -1))
                assert caught.value.code == "noise.not-authentic"
                assert reader.remote_static == known
                assert not reader.writes_next
        assert reader.read_message(message) == b"payload"
    assert one.handshake_hash == two.handshake_hash


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_shorter_message_is_refused(index: int) -> None:
    one, two = pair()
    run(one, two, index)
    writer, reader = (one, two) if index % 2 == 0 else (two, one)
    message = writer.write_message()
    for size in {0, 1, 31, 32, len(message) // 2, len(message) - 1}:
        with pytest.raises(PeerError) as caught:
            reader.read_message(message[:size])
        assert caught.value.code == "noise.truncated"
    assert reader.read_message(message) == b""


def test_a_message_beyond_65535_bytes_is_neither_read_nor_written() -> None:
    one, two = pair()
    with pytest.raises(PeerError) as caught:
        two.read_message(bytes(MESSAGE_BYTES + 1))
    assert caught.value.code == "noise.message-too-long"
    room = MESSAGE_BYTES - CHANNEL.overheads[0]
    with pytest.raises(UsageError) as misused:
        one.write_message(bytes(room + 1))
    assert misused.value.code == "noise.payload-too-long"
    largest = one.write_message(bytes(room))
    assert len(largest) == MESSAGE_BYTES
    assert two.read_message(largest) == bytes(room)


@pytest.mark.parametrize("what", ["psk", "prologue"])
def test_another_psk_or_prologue_is_refused_at_the_first_message(what: str) -> None:
    psks = (PSK, b"\x06" * 32) if what == "psk" else (PSK, PSK)
    prologues = (b"here", b"there") if what == "prologue" else (b"", b"")
    one, two = pair(psks=psks, prologues=prologues)
    with pytest.raises(PeerError) as caught:
        two.read_message(one.write_message())
    assert caught.value.code == "noise.not-authentic"


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_an_ephemeral_key_of_small_order_is_refused_where_the_secret_would_be_zero(point: str) -> None:
    one, _ = pair(parse("NN"))
    one.write_message()
    with pytest.raises(PeerError) as caught:
        one.read_message(bytes.fromhex(point) + bytes(16))
    assert caught.value.code == "noise.weak-key"
    _, two = pair(parse("NN"))
    two.read_message(bytes.fromhex(point))
    for _ in range(2):  # the failed answer was rolled back as well: it fails the same way again
        with pytest.raises(PeerError) as answering:
            two.write_message()
        assert answering.value.code == "noise.weak-key"


class FailsOnce(Handshake):
    """Its first encapsulation fails, when most of the message is already written."""

    failed = False

    def _new_encapsulation(self, public: KemPublic) -> tuple[bytes, bytes]:
        if not self.failed:
            self.failed = True
            raise PeerError("crypto.bad-kem-key")
        return super()._new_encapsulation(public)


def test_a_message_that_could_not_be_written_leaves_no_trace() -> None:
    one = Handshake(parse("NNhfs+psk0"), initiator=True, psks=[PSK])
    two = FailsOnce(parse("NNhfs+psk0"), initiator=False, psks=[PSK])
    two.read_message(one.write_message())
    with pytest.raises(PeerError) as caught:
        two.write_message()
    assert caught.value.code == "noise.weak-key"
    assert one.read_message(two.write_message(b"after all")) == b"after all"
    assert one.handshake_hash == two.handshake_hash


def test_sealing_to_a_static_key_of_small_order_is_refused() -> None:
    sender = Handshake(parse("N"), initiator=True, remote_static=AgreementPublic(bytes(32)))
    with pytest.raises(PeerError) as caught:
        sender.write_message(b"secret")
    assert caught.value.code == "noise.weak-key"


def test_a_reflected_message_is_refused_and_the_genuine_answer_still_succeeds() -> None:
    one, two = pair()
    message = one.write_message()
    with pytest.raises(PeerError) as caught:
        one.read_message(message)
    assert caught.value.code == "noise.reflected"
    two.read_message(message)
    one.read_message(two.write_message())
    last = one.write_message()
    two.read_message(last)
    assert one.handshake_hash == two.handshake_hash


def test_messages_of_an_earlier_handshake_are_refused_in_a_later_one() -> None:
    statics = AgreementSecret.generate(), AgreementSecret.generate()
    first = [Handshake(CHANNEL, initiator=not side, static=statics[side], psks=[PSK]) for side in (0, 1)]
    recorded = run(first[0], first[1])
    later = Handshake(CHANNEL, initiator=False, static=statics[1], psks=[PSK])
    assert later.read_message(recorded[0]) == b"p0"  # message 1 carries nothing fresh of the responder's
    later.write_message()
    with pytest.raises(PeerError) as caught:
        later.read_message(recorded[2])
    assert caught.value.code == "noise.not-authentic"
    again = Handshake(CHANNEL, initiator=True, static=statics[0], psks=[PSK])
    again.write_message()
    with pytest.raises(PeerError):
        again.read_message(recorded[1])


def test_calls_out_of_turn_are_usage_errors_and_change_nothing() -> None:
    one, two = pair()
    calls: list[Call] = [lambda: one.read_message(bytes(1248)), two.write_message]
    for call in calls:
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.code == "noise.not-our-turn"
    message = one.write_message()
    with pytest.raises(UsageError):
        one.write_message()
    two.read_message(message)
    with pytest.raises(UsageError):
        two.read_message(message)
    calls = [lambda: one.split(LABEL), lambda: one.handshake_hash]
    for early in calls:
        with pytest.raises(UsageError) as caught:
            early()
        assert caught.value.code == "noise.not-finished"
    one.read_message(two.write_message())
    two.read_message(one.write_message())
    assert one.finished
    assert two.finished
    with pytest.raises(UsageError) as late:
        one.write_message()
    assert late.value.code == "noise.not-our-turn"


def test_a_split_consumes_the_handshake() -> None:
    one, two = pair()
    run(one, two)
    transport = one.split(LABEL)
    assert transport.remote_static is not None
    uses: list[Call] = [
        one.write_message,
        lambda: one.read_message(b""),
        lambda: one.split(LABEL),
        lambda: one.split_one_way(LABEL),
        lambda: one.handshake_hash,
        lambda: one.remote_static,
    ]
    for use in uses:
        with pytest.raises(UsageError) as caught:
            use()
        assert caught.value.code == "noise.consumed"
    assert one.finished
    held = b"".join(repr(getattr(one, name)).encode() for name in Handshake.__slots__)
    assert transport.exporter.hex().encode() not in held
    assert PSK.hex().encode() not in held


def test_after_the_split_nothing_of_the_handshake_can_make_its_keys_again() -> None:
    one, two = pair()
    run(one, two)
    (handshake_hash, chaining_key, *_), ephemeral = one._symmetric.mark(), one._ephemeral
    assert one.split(LABEL).handshake_hash == handshake_hash
    assert ephemeral is not None
    with pytest.raises(UsageError):  # wiped
        ephemeral.agree(AgreementSecret.generate().public)
    held = {one._symmetric.mark()[1], one._psks, one._static, one._ephemeral, one._kem}
    assert not held & {chaining_key, (PSK,), ephemeral}
    assert held >= {(), None}


def test_the_exporter_depends_on_its_label_and_on_the_handshake() -> None:
    seen = set()
    for label in (LABEL, "another", LABEL):
        one, two = pair()
        run(one, two)
        exported = one.split(label).exporter
        assert exported == two.split(label).exporter
        seen.add(exported)
    assert len(seen) == 3


def test_the_wrong_kind_of_split_is_refused_and_the_right_one_still_works() -> None:
    one, two = pair(parse("N"))
    run(one, two)
    with pytest.raises(UsageError) as caught:
        one.split(LABEL)
    assert caught.value.code == "noise.wrong-split"
    assert one.split_one_way(LABEL).exporter == two.split_one_way(LABEL).exporter
    channel, _ = run_pair()
    with pytest.raises(UsageError):
        channel.split_one_way(LABEL)
    assert channel.split(LABEL).handshake_hash


def run_pair() -> tuple[Handshake, Handshake]:
    one, two = pair()
    run(one, two)
    return one, two


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("XX", {}),
        ("XX", {"static": True, "remote_static": True}),
        ("NN", {"static": True}),
        ("N", {}),
        ("IK", {"static": True}),
        ("XXpsk0", {"static": True}),
        ("XX", {"static": True, "psks": [PSK]}),
        ("NNpsk0", {"psks": [b"short"]}),
        ("NNpsk0+psk2", {"psks": [PSK]}),
    ],
)
def test_keys_that_do_not_fit_the_pattern_are_refused_before_anything_happens(
    name: str, given: dict[str, object]
) -> None:
    key = AgreementSecret.generate()
    with pytest.raises(UsageError) as caught:
        Handshake(
            parse(name),
            initiator=True,
            static=key if given.get("static") else None,
            remote_static=key.public if given.get("remote_static") else None,
            psks=given.get("psks", ()),  # type: ignore[arg-type]  # the table above mixes kinds
        )
    assert caught.value.code == "noise.bad-setup"


def test_the_remote_static_key_shows_from_the_message_that_carries_it() -> None:
    one, two = pair()
    assert (one.remote_static, two.remote_static) == (None, None)
    run(one, two, 2)
    assert (one.remote_static is None, two.remote_static is None) == (False, True)
    two.read_message(one.write_message())
    assert two.remote_static is not None


def test_no_text_of_these_objects_shows_a_secret() -> None:
    one, two = pair()
    run(one, two, 1)
    secrets = [PSK, one._symmetric.mark()[1], one._symmetric.mark()[2] or b"?"]
    run_on = two.write_message()
    one.read_message(run_on)
    two.read_message(one.write_message())
    texts = repr(one) + repr(one._symmetric)
    transport = one.split(LABEL)
    texts += repr(transport) + str(transport)
    sender, recipient = pair(parse("N"))
    run(sender, recipient)
    envelope = sender.split_one_way(LABEL)
    texts += repr(envelope) + str(envelope)
    for secret in [*secrets, transport.exporter, envelope.exporter]:
        assert repr(secret)[2:-1] not in texts
        assert secret.hex() not in texts
