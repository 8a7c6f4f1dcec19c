"""Two machines and a wire in memory: who gets an answer, who gets silence, who gets a reason."""

import pytest

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.reasons import catalogue
from nzcore.crypto.hashing import sha256
from nzcore.proto.handshake import verdict
from nzcore.proto.handshake.machine import Initiator, Responder, State
from nzcore.proto.handshake.payload import Introduction
from nzcore.proto.handshake.preface import Mode, Preface, ticket_id
from nzcore.proto.handshake.verdict import identify, judge, read_evidence
from nzcore.proto.identity.certificate import Certificate, Flags
from nzcore.proto.identity.node_keys import NodeKeys
from tools.vectors.handshake_cast import (
    BOOTS,
    INSTANCE,
    INTRODUCTION,
    NETWORK,
    TICKET,
    Facts,
    FixedInitiator,
    FixedResponder,
    node,
    run,
    said,
)
from tools.vectors.identity_cast import EPOCH, make_certificate, make_keys, make_root

ALICE, BOB, MALLORY = node("alice"), node("bob"), node("mallory")


def dial(keys: NodeKeys = ALICE, facts: Facts | None = None, **more: object) -> Initiator:
    facts = facts or Facts()
    more = {"target": BOB.node, "policy": facts.policy} | more
    return Initiator(keys, BOOTS["alice"], INTRODUCTION, facts, **more)  # type: ignore[arg-type] # a test's shorthand


def answer(keys: NodeKeys = BOB, facts: Facts | None = None) -> Responder:
    facts = facts or Facts()
    return Responder(keys, BOOTS["bob"], INTRODUCTION, facts, policy=facts.policy)


def refused(machine: Initiator | Responder, data: bytes) -> PeerError:
    """The error, from a machine that has then nothing to say and nothing more to hear."""
    with pytest.raises(PeerError) as caught:
        machine.receive(data)
    assert not machine.may_answer
    assert machine.outgoing() == b""
    assert machine.state is State.DEAD
    with pytest.raises(UsageError, match=r"handshake\.over"):
        machine.receive(b"more")
    return caught.value


def test_two_strangers_meet_and_know_each_other() -> None:
    ours, theirs = run(dial(), answer())
    assert (ours.certificate, theirs.certificate) == (BOB.certificate, ALICE.certificate)
    assert (ours.boot, theirs.boot) == (BOOTS["bob"], BOOTS["alice"])
    assert (ours.version, ours.features) == ("0.1.0", ("first", "second"))
    assert (ours.initiator, theirs.initiator) == (True, False)
    assert ours.refusal == theirs.refusal == ""
    assert ours.transport.handshake_hash == theirs.transport.handshake_hash
    assert ours.transport.exporter == theirs.transport.exporter
    sealed = ours.transport.send.encrypt(b"", b"hello")
    assert theirs.transport.receive.decrypt(b"", sealed) == b"hello"


@pytest.mark.parametrize(
    ("mode", "facts"),
    [
        (Mode.KNOWN, Facts(network_secret=NETWORK)),
        (Mode.TICKET, Facts(tickets=(TICKET,))),
        (Mode.TICKET, Facts(tickets=(TICKET,), network_secret=NETWORK)),
        (Mode.WINDOW, Facts(window=INSTANCE)),
    ],
)
def test_every_door_opens_to_whoever_has_its_key(mode: Mode, facts: Facts) -> None:
    secret = TICKET if mode is Mode.TICKET else None
    instance = INSTANCE if mode is Mode.WINDOW else None
    dialler = dial(facts=facts, mode=mode, ticket_secret=secret, instance=instance)
    ours, theirs = run(dialler, answer(facts=facts))
    assert ours.mode is theirs.mode is mode
    assert ours.tid == theirs.tid == (ticket_id(TICKET) if secret else bytes(8))


def test_no_two_handshakes_have_keys_in_common() -> None:
    seen = {run(dial(), answer())[0].transport.exporter for _ in range(3)}
    assert len(seen) == 3


@pytest.mark.parametrize("size", [1, 7, 500])
def test_any_cutting_of_the_bytes_gives_the_same_end(size: int) -> None:
    dialler, answerer = dial(), answer()
    reached = []
    for sender, receiver in ((dialler, answerer), (answerer, dialler), (dialler, answerer)):
        flight = sender.outgoing()
        found = [receiver.receive(memoryview(flight)[at : at + size]) for at in range(0, len(flight), size)]
        reached.append([bool(end) for end in found].index(True) == len(found) - 1 if any(found) else None)
    assert reached == [None, True, True]


def test_what_follows_message_3_is_the_channels() -> None:
    dialler, answerer = dial(), answer()
    answerer.receive(dialler.outgoing())
    dialler.receive(answerer.outgoing())
    assert answerer.rest == b""
    assert answerer.receive(dialler.outgoing() + b"first record") is not None
    assert answerer.rest == b"first record"
    assert dialler.rest == b""


def test_a_finished_handshake_takes_no_more() -> None:
    dialler, answerer = dial(), answer()
    run(dialler, answerer)
    for ended in (dialler, answerer):
        with pytest.raises(UsageError, match=r"handshake\.over"):
            ended.receive(b"")
        assert ended.outgoing() == b""


# Silence.


def test_a_scanner_without_the_node_id_costs_no_key_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = dial(target=MALLORY.node).outgoing()

    def forbidden(*_: object) -> bytes:
        raise AssertionError("a key was used")

    monkeypatch.setattr("nzcore.crypto.keys.AgreementSecret.agree", forbidden)
    monkeypatch.setattr("nzcore.crypto.keys.AgreementSecret.generate", forbidden)
    monkeypatch.setattr("nzcore.crypto.keys.KemPublic.encapsulate", forbidden)
    assert refused(answer(), stranger).code == "handshake.silence"


def test_a_wrong_beginning_is_refused_at_its_first_wrong_byte() -> None:
    assert refused(answer(), b"G").code == "handshake.bad-preface"
    assert answer().receive(b"nzc") is None


def test_a_prober_cannot_tell_an_unknown_ticket_from_a_known_one_without_message_1() -> None:
    preface = Preface(Mode.TICKET, ticket_id(TICKET)).encode()
    for facts in (Facts(), Facts(tickets=(TICKET,))):
        assert answer(facts=facts).receive(preface + b"\x04\xe0" + bytes(1247)) is None
    assert refused(answer(), preface + b"\x04\xe0" + bytes(1248)).code == "handshake.unknown-ticket"


def test_a_node_of_a_closed_network_answers_nobody_outside_it() -> None:
    inside, outside = Facts(network_secret=NETWORK), Facts()
    assert refused(answer(facts=inside), dial(facts=outside).outgoing()).code == "handshake.silence"
    assert refused(answer(facts=outside), dial(facts=inside).outgoing()).code == "handshake.silence"
    other = Facts(network_secret=sha256(NETWORK))
    assert refused(answer(facts=inside), dial(facts=other).outgoing()).code == "handshake.silence"


def test_a_replayed_dial_gets_one_answer_and_no_further() -> None:
    dialler, answerer = dial(), answer()
    first = dialler.outgoing()
    answerer.receive(first)
    dialler.receive(answerer.outgoing())
    third = dialler.outgoing()
    again = answer()
    assert again.receive(first) is None
    assert len(again.outgoing()) > 1200
    assert refused(again, third).code == "noise.not-authentic"


def test_a_replay_in_one_piece_costs_nothing() -> None:
    dialler, answerer = dial(), answer()
    first = dialler.outgoing()
    answerer.receive(first)
    dialler.receive(answerer.outgoing())
    assert refused(answer(), first + dialler.outgoing()).code == "handshake.early"


def test_an_initiator_finds_its_own_words_strange() -> None:
    dialler = dial()
    own = dialler.outgoing()
    assert refused(dialler, own).code == "handshake.bad-length"
    dialler = dial()
    assert refused(dialler, dialler.outgoing()[16:]).code == "noise.reflected"


def test_a_dial_that_is_carried_to_another_node_gets_silence() -> None:
    assert refused(answer(MALLORY), dial(target=BOB.node).outgoing()).code == "handshake.silence"


def test_a_node_that_dials_itself_by_its_window_finds_out() -> None:
    window = Facts(window=INSTANCE)
    dialler = dial(facts=window, target=None, mode=Mode.WINDOW, instance=INSTANCE)
    answerer = answer(ALICE, window)
    answerer.receive(dialler.outgoing())
    assert refused(dialler, answerer.outgoing()).code == "handshake.own-node"


def test_another_node_behind_the_address_learns_nothing_of_the_dialler() -> None:
    dialler = dial()
    impostor = FixedResponder(MALLORY, Facts(), poses_as=BOB.node)
    impostor.receive(dialler.outgoing())
    error = refused(dialler, impostor.outgoing())
    assert error.code == "handshake.other-node"
    assert (error.facts["expected"], error.facts["got"]) == (BOB.node, MALLORY.node)


def test_a_window_may_be_bound_to_a_node_too() -> None:
    window = Facts(window=INSTANCE)
    dialler = dial(facts=window, target=BOB.node, mode=Mode.WINDOW, instance=INSTANCE)
    answerer = answer(MALLORY, window)
    answerer.receive(dialler.outgoing())
    assert refused(dialler, answerer.outgoing()).code == "handshake.other-node"


@pytest.mark.parametrize("victim", [BOB, ALICE])
def test_a_stolen_certificate_is_worth_nothing_without_its_key(victim: NodeKeys) -> None:
    dialler = dial()
    thief = FixedResponder(MALLORY, Facts(), payload=said(victim.certificate.encoded), poses_as=BOB.node)
    thief.receive(dialler.outgoing())
    assert refused(dialler, thief.outgoing()).code == "handshake.other-key"
    answerer = answer()
    thief_dials = FixedInitiator(MALLORY, Facts(), target=BOB.node, payload=said(victim.certificate.encoded))
    answerer.receive(thief_dials.outgoing())
    thief_dials.receive(answerer.outgoing())
    assert refused(answerer, thief_dials.outgoing()).code == "handshake.other-key"


def test_a_certificate_over_somebody_elses_key_misleads_nobody() -> None:
    """Mallory's root certifies Alice's public key as a node of Mallory's; Mallory can't speak with that key."""
    signing, _ = make_keys("mallory")
    claim = make_root(2).certify(
        0, signing.public, ALICE.certificate.dh_key, epoch=EPOCH, issued=ALICE.certificate.issued, name="m"
    )
    answerer = answer()
    misbinder = FixedInitiator(MALLORY, Facts(), target=BOB.node, payload=said(claim.encoded))
    answerer.receive(misbinder.outgoing())
    misbinder.receive(answerer.outgoing())
    assert refused(answerer, misbinder.outgoing()).code == "handshake.other-key"
    assert judge(claim, ALICE.certificate, Facts(), Facts().policy, Mode.KNOWN, b"").refusal == "handshake.own-node"


def test_an_initiator_says_nothing_to_a_node_that_it_must_not_trust() -> None:
    newer = make_certificate(make_root(1), "bob new", epoch=EPOCH + 1)
    for facts, code in (
        (Facts(held=newer), "handshake.older-epoch"),
        (Facts(retired=True), "handshake.retired"),
        (Facts(admits=False), "handshake.not-admitted"),
    ):
        dialler, answerer = dial(facts=facts), answer()
        answerer.receive(dialler.outgoing())
        error = refused(dialler, answerer.outgoing())
        assert error.code == code
        assert error.facts["certificate"] == BOB.certificate
        assert error.facts["evidence"] == facts.held


# Reasons, said inside the channel.


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (Facts(held=make_certificate(make_root(0), "alice new", epoch=EPOCH + 1)), "handshake.older-epoch"),
        (Facts(held=make_certificate(make_root(0), "alice new")), "handshake.forked"),
        (Facts(held=make_certificate(make_root(0), flags=Flags.FINAL, epoch=EPOCH - 9)), "handshake.retired"),
        (Facts(retired=True), "handshake.retired"),
        (Facts(admits=False), "handshake.not-admitted"),
    ],
)
def test_a_responder_tells_a_proven_node_why_not(facts: Facts, code: str) -> None:
    dialler, answerer = dial(), answer(facts=facts)
    ours, theirs = run(dialler, answerer)
    assert (theirs.refusal, ours.refusal) == (code, "")
    assert answerer.may_answer
    assert theirs.evidence == facts.held
    sealed = theirs.transport.send.encrypt(b"", b"CLOSE")
    assert ours.transport.receive.decrypt(b"", sealed) == b"CLOSE"
    if theirs.evidence is not None and not theirs.evidence.final:
        assert read_evidence(ALICE.certificate, theirs.evidence.encoded) == facts.held


def test_evidence_is_about_this_node_and_about_other_keys() -> None:
    for shown in (ALICE.certificate, BOB.certificate, make_certificate(make_root(0), "alice old", epoch=EPOCH - 1)):
        with pytest.raises(PeerError, match=r"handshake\.bad-evidence"):
            read_evidence(ALICE.certificate, shown.encoded)
    with pytest.raises(PeerError):
        read_evidence(ALICE.certificate, b"")


def test_a_final_certificate_is_refused_and_handed_on_to_be_remembered() -> None:
    final = NodeKeys(*make_keys("alice"), make_certificate(make_root(0), flags=Flags.FINAL))
    _, theirs = run(dial(final), answer())
    assert theirs.refusal == "handshake.retired"
    assert theirs.certificate.final


def test_the_first_reason_against_a_node_decides() -> None:
    worst = Facts(held=make_certificate(make_root(1), "x", epoch=EPOCH + 1), retired=True, admits=False)
    own = judge(BOB.certificate, BOB.certificate, worst, worst.policy, Mode.KNOWN, b"")
    assert own.refusal == "handshake.own-node"
    assert (
        judge(BOB.certificate, ALICE.certificate, worst, worst.policy, Mode.KNOWN, b"").refusal == "handshake.retired"
    )
    worst.is_retired = False
    verdict = judge(BOB.certificate, ALICE.certificate, worst, worst.policy, Mode.KNOWN, b"")
    assert verdict.refusal == "handshake.older-epoch"


def test_refusals_have_numbers_of_their_own_on_the_wire() -> None:
    numbers = {code: entry.wire for code, entry in catalogue().items() if entry.wire and code.startswith("handshake.")}
    assert sorted(numbers.values()) == [64, 65, 66, 67, 68]
    assert numbers["handshake.older-epoch"] == 64
    every = [entry.wire for entry in catalogue().values() if entry.wire]
    assert len(set(every)) == len(every)


# Our caller's contract.


def test_values_that_do_not_fit_the_mode_are_our_own_fault() -> None:
    with pytest.raises(UsageError, match=r"handshake\.own-node"):
        dial(target=ALICE.node)
    for more in (
        {"target": None},
        {"mode": Mode.TICKET},
        {"mode": Mode.WINDOW},
        {"ticket_secret": TICKET},
        {"instance": INSTANCE},
        {"mode": Mode.TICKET, "ticket_secret": TICKET, "target": None},
        {"mode": Mode.TICKET, "ticket_secret": TICKET[1:]},
        {"facts": Facts(network_secret=bytes(32))},
        {"facts": Facts(network_secret=NETWORK[1:])},
    ):
        with pytest.raises(UsageError, match=r"handshake\.bad-setup"):
            dial(**more)
    with pytest.raises(UsageError, match=r"handshake\.bad-setup"):
        Responder(BOB, bytes(15), INTRODUCTION, Facts(), policy=Facts().policy)
    for version, features in (("", ()), ("v" * 33, ()), ("1", ("a b",)), ("1", ("",)), ("1", ("f",) * 33), ("ü", ())):
        with pytest.raises(UsageError, match=r"handshake\.bad-setup"):
            Introduction(version, features)


def test_a_directory_that_fails_leaves_a_dead_machine() -> None:
    class Broken(Facts):
        def ticket_secret(self, tid: bytes) -> bytes | None:
            raise RuntimeError("the store is gone")

    answerer = answer(facts=Broken())
    with pytest.raises(RuntimeError):
        answerer.receive(dial(mode=Mode.TICKET, ticket_secret=TICKET).outgoing())
    assert answerer.state is State.DEAD
    assert not answerer.may_answer


def test_a_representation_tells_no_secret() -> None:
    dialler = dial(mode=Mode.TICKET, ticket_secret=TICKET)
    assert repr(dialler) == "<Initiator, MESSAGE 2>"
    assert repr(answer()) == "<Responder, PREFACE>"


def test_a_known_certificate_is_verified_once_and_a_refused_one_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict.verified.cache_clear()
    calls: list[bytes] = []
    parse = Certificate.parse

    def counted(data: bytes) -> Certificate:
        calls.append(data)
        return parse(data)

    monkeypatch.setattr(Certificate, "parse", counted)
    for _ in range(3):
        assert identify(BOB.certificate.encoded, BOB.agreement.public) == BOB.certificate
        with pytest.raises(PeerError, match=r"crypto\.bad-signature"):
            identify(BOB.certificate.encoded[:-1] + b"\0", BOB.agreement.public)
        with pytest.raises(PeerError, match=r"handshake\.other-key"):
            identify(BOB.certificate.encoded, ALICE.agreement.public)
    assert len(calls) == 4
