"""Makes vectors/handshake.json: one reader a case, what it gets, sends, and how it ends (spec/handshake.md §10).

All keys are fixed test keys. The randomness of the encapsulation is that of vectors/noise.json.
"""

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.codec.frames import pack, unpack
from nzcore.crypto.keys import AgreementPublic, KemPublic
from nzcore.proto.handshake.machine import Established, Initiator, Responder
from nzcore.proto.handshake.payload import encode_payload
from nzcore.proto.handshake.preface import Mode, Preface, ticket_id, ticket_psk, window_key
from nzcore.proto.identity.certificate import Flags
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.noise.kernel import CHANNEL_EXPORT
from tools.vectors import noise
from tools.vectors.handshake_cast import (
    BOOTS,
    INSTANCE,
    INTRODUCTION,
    NETWORK,
    TICKET,
    Choices,
    Facts,
    FixedInitiator,
    FixedResponder,
    node,
    said,
)
from tools.vectors.identity_cast import EPOCH, make_certificate, make_keys, make_root

Case = dict[str, object]

ALICE, BOB, MALLORY = node("alice"), node("bob"), node("mallory")
KNOWN = Facts()
PREFACE = Preface(Mode.KNOWN, bytes(8)).encode()


def generate() -> dict[str, object]:
    """The whole document."""
    shared, ciphertext = noise.encapsulation()
    return {
        "specification": "spec/handshake.md",
        "comment": "values are hex except names, modes and flags; secrets here are published and must never be used",
        "export_label": CHANNEL_EXPORT,
        "kem": {
            "seed": noise.seed("kem", 64).hex(),
            "randomness": noise.seed("kem randomness").hex(),
            "ciphertext": ciphertext.hex(),
            "secret": shared.hex(),
        },
        "derivations": _derivations(),
        "cases": [*_good(), *_bad_first(), *_bad_third(), *_refused_third(), *_bad_second()],
    }


def _derivations() -> list[Case]:
    """What precedes message 1, by mode."""
    return [
        {
            "name": "ticket",
            "comment": "what 16 secret bytes name and add",
            "secret": TICKET.hex(),
            "tid": ticket_id(TICKET).hex(),
            "psk": ticket_psk(TICKET).hex(),
        },
        {
            "name": "window",
            "comment": "X of a pairing window, out of the mDNS instance's ASCII bytes",
            "instance": INSTANCE.hex(),
            "key": window_key(INSTANCE).hex(),
        },
    ]


# Cases. A reader is set up as `reader` says, receives the flights of `received` in turn and has then sent `sent`.


def dialler(facts: Facts = KNOWN, mode: Mode = Mode.KNOWN, target: NodeId | None = None) -> FixedInitiator:
    """Alice dials Bob, unless told otherwise."""
    return FixedInitiator(ALICE, facts, target=None if mode is Mode.WINDOW else target or BOB.node, mode=mode)


def answerer(facts: Facts = KNOWN) -> FixedResponder:
    return FixedResponder(BOB, facts)


def record(reader: FixedInitiator | FixedResponder, received: list[bytes]) -> Case:
    """Feeds a reader to its end; what it sent, and how it ended."""
    sent = [reader.outgoing()]
    found: Case = {"expect": "unfinished"}
    for flight in received:
        try:
            established = reader.receive(flight)
        except PeerError as error:
            found = {"expect": error.code, "silent": True}
            break
        sent.append(reader.outgoing())
        if established is not None:
            found = _ending(established)
    return {**found, "received": [flight.hex() for flight in received], "sent": [f.hex() for f in sent if f]}


def _ending(established: Established) -> Case:
    transport = established.transport
    return {
        "expect": established.refusal or "ok",
        "silent": False,
        "remote_node": established.certificate.node.hex(),
        "remote_boot": established.boot.hex(),
        "evidence": "" if established.evidence is None else established.evidence.encoded.hex(),
        "handshake_hash": transport.handshake_hash.hex(),
        "exporter": transport.exporter.hex(),
        "sends": transport.send.encrypt(b"", b"one").hex(),
        "receives": transport.receive.encrypt(b"", b"two").hex(),  # as the other side would seal it
    }


def describe(reader: FixedInitiator | FixedResponder, keys: NodeKeys, facts: Facts, **more: object) -> Case:
    """All that a stranger needs to be this reader."""
    seeds = keys.seeds()
    initiator = isinstance(reader, Initiator)
    boot = BOOTS["alice" if initiator else "bob"]
    return {
        "role": "initiator" if initiator else "responder",
        "certificate": keys.certificate.encoded.hex(),
        "signing": seeds.signing.reveal().hex(),
        "agreement": seeds.agreement.reveal().hex(),
        "boot": boot.hex(),
        "version": INTRODUCTION.version,
        "features": list(INTRODUCTION.features),
        "payload": encode_payload(keys.certificate.encoded, boot, INTRODUCTION).hex(),
        "ephemeral": noise.seed(reader.choices.name).hex(),
        "network_secret": (facts.network_secret or b"").hex(),
        "instance": (facts.window or b"").hex(),
        "tickets": [secret.hex() for secret in facts.tickets],
        "held": "" if facts.held is None else facts.held.encoded.hex(),
        "retired": facts.is_retired,
        "admits": facts.admits,
        **more,
    }


def answering(name: str, expect: str, comment: str, received: list[bytes], facts: Facts = KNOWN) -> Case:
    """A case that Bob reads."""
    reader = answerer(facts)
    return _case(name, expect, comment, describe(reader, BOB, facts), record(reader, received), reader.psk)


def dialling(
    name: str, expect: str, comment: str, received: list[bytes], facts: Facts = KNOWN, mode: Mode = Mode.KNOWN
) -> Case:
    """A case that Alice reads."""
    reader = dialler(facts, mode)
    target = "" if mode is Mode.WINDOW else BOB.node.hex()
    setup = describe(reader, ALICE, facts, mode=mode.value, target=target)
    return _case(name, expect, comment, setup, record(reader, received), reader.psk)


def _case(name: str, expect: str, comment: str, setup: Case, found: Case, psk: bytes) -> Case:
    if found.pop("expect") != expect:
        raise AssertionError(f"{name}: not {expect}")
    return {"name": name, "comment": comment, "expect": expect, "psk": psk.hex(), "reader": setup, **found}


def flights(initiator: Initiator, responder: Responder) -> list[bytes]:
    """The three flights of a handshake that ends."""
    first = initiator.outgoing()
    responder.receive(first)
    second = responder.outgoing()
    initiator.receive(second)
    return [first, second, initiator.outgoing()]


def _good() -> list[Case]:
    cases = []
    settings = [
        ("known node", "the dialler knows the NodeId", Mode.KNOWN, KNOWN),
        ("ticket", "the ticket's secret is part of the psk, its id part of the preface", Mode.TICKET, _with_ticket()),
        ("window", "X is the hash of the announced instance; nobody knows a NodeId yet", Mode.WINDOW, _with_window()),
        ("network secret", "N in place of 32 zeros", Mode.KNOWN, Facts(network_secret=NETWORK)),
    ]
    for name, comment, mode, facts in settings:
        first, second, third = flights(dialler(facts, mode), answerer(facts))
        cases.append(dialling(f"{name}, initiator", "ok", comment, [second], facts, mode))
        cases.append(answering(f"{name}, responder", "ok", comment, [first, third], facts))
    remembered = Facts(held=ALICE.certificate)
    first, _, third = flights(dialler(), answerer())
    cases.append(
        answering("certificate already known", "ok", "the same payload as the one held", [first, third], remembered)
    )
    older = Facts(held=make_certificate(make_root(0), "alice old", epoch=EPOCH - 1))
    cases.append(answering("certificate newer than known", "ok", "the shell remembers it", [first, third], older))
    more = pack({**_map(ALICE), "later": {"anything": [1, None]}})
    first, _, third = flights(_saying(more), answerer())
    cases.append(answering("unknown key in payload 3", "ok", "ignored: a later version says more", [first, third]))
    return cases


def _with_ticket() -> Facts:
    return Facts(tickets=(TICKET,))


def _with_window() -> Facts:
    return Facts(window=INSTANCE)


def _map(keys: NodeKeys, who: str = "alice") -> dict[str, object]:
    value = unpack(encode_payload(keys.certificate.encoded, BOOTS[who], INTRODUCTION))
    assert isinstance(value, dict)
    return value


def _saying(payload: bytes, keys: NodeKeys = ALICE) -> FixedInitiator:
    return FixedInitiator(keys, KNOWN, target=BOB.node, payload=payload)


def _bad_first() -> list[Case]:
    """What a responder refuses before it has sent a byte."""
    first = dialler().outgoing()
    ticket = dialler(_with_ticket(), Mode.TICKET).outgoing()
    other_ticket = Preface(Mode.TICKET, ticket_id(TICKET)).encode() + ticket[16:-1] + b"\0"
    window = dialler(_with_window(), Mode.WINDOW).outgoing()
    elsewhere = dialler(target=MALLORY.node).outgoing()
    bad, length, silence = "handshake.bad-preface", "handshake.bad-length", "handshake.silence"
    closed = Facts(network_secret=NETWORK)
    return [
        answering("another magic", bad, "an HTTP client", [b"GET / HTTP/1.1\r\n"]),
        answering("mode 3", bad, "there are three", [_set(first, 4, 3)]),
        answering("reserved byte set", bad, "all three are zero", [_set(first, 6, 1)]),
        answering("tid without a ticket", bad, "zeros unless the mode is 1", [_set(first, 15, 1)]),
        answering("message 1 of 1,247 bytes", length, "exactly 1,248", [first[:16] + b"\x04\xdf" + first[18:]]),
        answering("message 1 of 1,249 bytes", length, "exactly 1,248", [first[:16] + b"\x04\xe1" + first[18:]]),
        answering("message 1 of 65,535 bytes", length, "refused before it is there", [PREFACE + b"\xff\xff"]),
        answering("bytes behind message 1", "handshake.early", "nobody can answer message 2 yet", [first + b"\0"]),
        answering("for another node", silence, "the psk has another NodeId", [elsewhere]),
        answering("without the network secret", silence, "the responder has one", [first], closed),
        answering("ephemeral changed", silence, "one bit of message 1", [_flip(first, 18)]),
        answering("KEM key changed", silence, "one bit of message 1", [_flip(first, 600)]),
        answering("last tag changed", silence, "one bit of message 1", [_flip(first, -1)]),
        answering("another ticket's secret", silence, "the right id, the wrong key", [other_ticket], _with_ticket()),
        answering("mode changed on the way", silence, "the preface is the prologue", [PREFACE + window[16:]]),
        answering("unknown ticket", "handshake.unknown-ticket", "said nowhere but in the log", [ticket]),
        answering("window closed", "handshake.not-offered", "said nowhere but in the log", [window]),
        answering("ephemeral of small order", "noise.weak-key", "by one who knows the NodeId", [_weak_point()]),
        answering("KEM key not reduced", "noise.weak-key", "FIPS 203 §7.2: coefficients below q", [_weak_kem()]),
    ]


def _bad_third() -> list[Case]:
    """What a responder refuses in silence after its message 2: nobody has proven anything."""
    first, _, third = flights(dialler(), answerer())
    recorded = _recorded()
    payload, key = "handshake.bad-payload", "handshake.other-key"
    cases = [
        answering("message 3 changed", "noise.not-authentic", "one bit of the static key", [first, _flip(third, 2)]),
        answering("replay", "noise.not-authentic", "a whole recorded dial, first and third flight", recorded),
        answering("message 1 again", "handshake.bad-length", "its preface read as a length", [first, first]),
        answering(
            "message 3 too short", "handshake.bad-length", "64 bytes and no payload", [first, b"\0\x40" + third[2:]]
        ),
        answering("message 3 too long", "handshake.bad-length", "4,096 bytes of payload at most", [first, b"\x10\x41"]),
    ]
    full = _map(ALICE)
    for name, said_, comment in (
        ("payload is no map", pack([1, 2]), "an array"),
        ("payload is no MessagePack", b"\xc1", "the one byte that is never used"),
        ("payload with more behind", pack(full) + b"\0", "exactly one value"),
        ("payload without a boot", pack({k: v for k, v in full.items() if k != "boot"}), "all four keys are there"),
        ("boot of 15 bytes", pack(full | {"boot": bytes(15)}), "16"),
        ("certificate of 513 bytes", pack(full | {"certificate": bytes(513)}), "512 at most"),
        ("certificate as text", pack(full | {"certificate": "text"}), "bytes"),
        ("version of 33 characters", pack(full | {"version": "v" * 33}), "32 at most"),
        ("version with a line feed", pack(full | {"version": "1\n"}), "printable ASCII"),
        ("33 features", pack(full | {"features": ["f"] * 33}), "32 at most"),
        ("feature with a space", pack(full | {"features": ["a b"]}), "visible ASCII"),
    ):
        sent = flights(_saying(said_), answerer())
        cases.append(answering(name, payload, comment, [sent[0], sent[2]]))
    stolen = flights(_saying(said(ALICE.certificate.encoded), MALLORY), answerer())
    cases.append(answering("somebody else's certificate", key, "not about the static key", [stolen[0], stolen[2]]))
    broken = flights(_saying(said(_flip(ALICE.certificate.encoded, -1), "alice")), answerer())
    cases.append(answering("certificate changed", "crypto.bad-signature", "one bit", [broken[0], broken[2]]))
    return cases


def _refused_third() -> list[Case]:
    """What a responder says inside the channel, to a node that has proven who it is."""
    first, _, third = flights(dialler(), answerer())
    root = make_root(0)
    newer = make_certificate(root, "alice new", epoch=EPOCH + 1)
    other = make_certificate(root, "alice new")
    gone = make_certificate(root, "alice new", epoch=EPOCH - 1, flags=Flags.FINAL)
    final = NodeKeys(*make_keys("alice"), make_certificate(root, flags=Flags.FINAL))
    last = flights(FixedInitiator(final, KNOWN, target=BOB.node), answerer())
    copy = flights(_copy_of_bob(), answerer())
    sent = [first, third]
    return [
        answering("older epoch", "handshake.older-epoch", "the held one is the evidence", sent, Facts(held=newer)),
        answering("forked", "handshake.forked", "one epoch, another payload", sent, Facts(held=other)),
        answering("retired by certificate", "handshake.retired", "final beats any epoch", sent, Facts(held=gone)),
        answering(
            "retired by its root", "handshake.retired", "a retirement of the identity", sent, Facts(retired=True)
        ),
        answering("a final certificate", "handshake.retired", "to be remembered", [last[0], last[2]]),
        answering("own node", "handshake.own-node", "a copy of Bob dials Bob", [copy[0], copy[2]]),
        answering("not admitted", "handshake.not-admitted", "the policy's word", sent, Facts(admits=False)),
    ]


def _bad_second() -> list[Case]:
    """What an initiator refuses, before message 3 tells anybody who it is."""
    own, second, _ = flights(dialler(), answerer())
    root = make_root(1)
    newer = make_certificate(root, "bob new", epoch=EPOCH + 1, name="bob")
    forked = make_certificate(root, "bob new", name="bob")
    authentic = "noise.not-authentic"
    mirrored = _answer(FixedResponder(ALICE, _with_window()), Mode.WINDOW)
    return [
        dialling("own message back", "noise.reflected", "without its preface", [own[16:]]),
        dialling("own flight back", "handshake.bad-length", "its preface read as a length", [own]),
        dialling("message 2 changed", authentic, "one bit of the KEM ciphertext", [_flip(second, 100)]),
        dialling("message 2 too short", "handshake.bad-length", "1,200 bytes and no payload", [b"\x04\xb0"]),
        dialling("bytes behind message 2", "handshake.early", "the channel has no keys yet", [second + b"\0"]),
        dialling("another node", "handshake.other-node", "it knows the psk", [_impostor(None)]),
        dialling("a stolen certificate", "handshake.other-key", "the right one, without its key", [_impostor(BOB)]),
        dialling("older epoch", "handshake.older-epoch", "no word to a copy of Bob", [second], Facts(held=newer)),
        dialling("forked", "handshake.forked", "an alarm for the owner", [second], Facts(held=forked)),
        dialling("retired", "handshake.retired", "by its root", [second], Facts(retired=True)),
        dialling("itself", "handshake.own-node", "its own window", [mirrored], _with_window(), Mode.WINDOW),
    ]


def _answer(responder: FixedResponder, mode: Mode = Mode.KNOWN) -> bytes:
    """The second flight to Alice's dial."""
    responder.receive(dialler(_with_window() if mode is Mode.WINDOW else KNOWN, mode).outgoing())
    return responder.outgoing()


def _impostor(victim: NodeKeys | None) -> bytes:
    """Mallory answers in Bob's place, under her own certificate or the victim's."""
    payload = said((victim or MALLORY).certificate.encoded)
    return _answer(FixedResponder(MALLORY, KNOWN, payload=payload, poses_as=BOB.node))


def _copy_of_bob() -> FixedInitiator:
    """Bob's keys and certificate in other hands: a node itself would not dial its own NodeId."""
    choices = Choices("initiator")
    choices.static = BOB.agreement
    return FixedInitiator(ALICE, KNOWN, target=BOB.node, choices=choices, payload=said(BOB.certificate.encoded))


def _recorded() -> list[bytes]:
    """What Alice sent to Bob another time, when his ephemeral key was another."""
    first, _, third = flights(dialler(), FixedResponder(BOB, KNOWN, choices=Choices("another responder")))
    return [first, third]


def _weak_point() -> bytes:
    choices = Choices("initiator")
    point = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")  # order 8, RFC 7748 §6.1
    choices.ephemeral.public = AgreementPublic(point)
    return FixedInitiator(ALICE, KNOWN, target=BOB.node, choices=choices).outgoing()


def _weak_kem() -> bytes:
    choices = Choices("initiator")
    choices.kem.public = KemPublic(b"\xff" * KemPublic.SIZE)
    return FixedInitiator(ALICE, KNOWN, target=BOB.node, choices=choices).outgoing()


def _flip(data: bytes, at: int) -> bytes:
    return _set(data, at, data[at] ^ 1)


def _set(data: bytes, at: int, value: int) -> bytes:
    changed = bytearray(data)
    changed[at] = value
    return bytes(changed)
