"""vectors/handshake.json against the code, against its own tool, and against a second derivation of the psk."""

import hmac
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.base.reasons import reason
from nzcore.crypto.keys import AgreementSecret, KemSecret, SigningKey
from nzcore.proto.handshake.payload import Introduction, encode_payload
from nzcore.proto.handshake.preface import Mode, ticket_id, ticket_psk, window_key
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.node_keys import NodeKeys
from tools.vectors import __main__ as vectors
from tools.vectors import handshake as tool
from tools.vectors import noise
from tools.vectors.handshake_cast import Choices, Facts, FixedInitiator, FixedResponder

FILE = Path(__file__).parents[3] / "vectors" / "handshake.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))
CASES = DOCUMENT["cases"]


def by_name(case: dict[str, Any]) -> str:
    return f"{case['reader']['role']}: {case['name']}"


def reader_of(case: dict[str, Any]) -> FixedInitiator | FixedResponder:
    """The machine, out of nothing but what stands in the file."""
    told = case["reader"]

    def binary(name: str) -> bytes:
        return bytes.fromhex(told[name])

    certificate = Certificate.parse(binary("certificate"))
    signing, agreement = SigningKey.from_seed(binary("signing")), AgreementSecret.from_bytes(binary("agreement"))
    keys = NodeKeys(signing, agreement, certificate)
    facts = Facts(
        network_secret=binary("network_secret") or None,
        window=binary("instance") or None,
        tickets=tuple(bytes.fromhex(secret) for secret in told["tickets"]),
        held=Certificate.parse(binary("held")) if told["held"] else None,
        retired=told["retired"],
        admits=told["admits"],
    )
    choices = Choices("from the file")
    choices.ephemeral = AgreementSecret.from_bytes(binary("ephemeral"))
    choices.kem = KemSecret.from_seed(bytes.fromhex(DOCUMENT["kem"]["seed"]))
    said = encode_payload(certificate.encoded, binary("boot"), Introduction(told["version"], tuple(told["features"])))
    assert said.hex() == told["payload"]
    if told["role"] == "responder":
        return FixedResponder(keys, facts, choices=choices, payload=said)
    target = NodeId(binary("target")) if told["target"] else None
    return FixedInitiator(keys, facts, target=target, mode=Mode(told["mode"]), choices=choices, payload=said)


def test_the_tool_makes_the_same_file_again() -> None:
    assert vectors.made("handshake") == FILE.read_text(encoding="utf-8")
    assert tool.generate() == tool.generate()


def test_the_encapsulation_is_what_its_randomness_gives() -> None:
    secret, ciphertext = noise.encapsulation()
    assert (secret.hex(), ciphertext.hex()) == (DOCUMENT["kem"]["secret"], DOCUMENT["kem"]["ciphertext"])
    assert KemSecret.from_seed(bytes.fromhex(DOCUMENT["kem"]["seed"])).decapsulate(ciphertext) == secret


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_a_reader_sends_and_ends_as_the_vector_says(case: dict[str, Any]) -> None:
    reader = reader_of(case)
    sent, established, code = [reader.outgoing()], None, ""
    for flight in case["received"]:
        try:
            established = reader.receive(bytes.fromhex(flight))
        except PeerError as error:
            code = error.code
            break
        sent.append(reader.outgoing())
    assert [flight.hex() for flight in sent if flight] == case["sent"]
    assert reader.psk.hex() == case["psk"]
    assert reader.may_answer is not case["silent"]
    if established is None:
        assert (code, case["silent"]) == (case["expect"], True)
        assert reason(code).meaning
        assert reader.outgoing() == b""
        return
    assert (established.refusal or "ok") == case["expect"]
    transport, evidence = established.transport, established.evidence
    assert established.certificate.node.hex() == case["remote_node"]
    assert established.boot.hex() == case["remote_boot"]
    assert ("" if evidence is None else evidence.encoded.hex()) == case["evidence"]
    assert transport.handshake_hash.hex() == case["handshake_hash"]
    assert transport.exporter.hex() == case["exporter"]
    assert transport.send.encrypt(b"", b"one").hex() == case["sends"]
    assert transport.receive.decrypt(b"", bytes.fromhex(case["receives"])) == b"two"


def test_the_two_readers_of_one_handshake_agree() -> None:
    by_title = {case["name"]: case for case in CASES}
    for mode in ("known node", "ticket", "window", "network secret"):
        ours, theirs = by_title[f"{mode}, initiator"], by_title[f"{mode}, responder"]
        assert ours["psk"] == theirs["psk"]
        assert ours["sent"] == theirs["received"]
        assert ours["received"] == theirs["sent"]
        assert ours["exporter"] == theirs["exporter"]
        assert ours["handshake_hash"] == theirs["handshake_hash"]


def extract_and_expand(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 for one block of output."""
    return hmac.new(hmac.new(salt or bytes(32), ikm, "sha256").digest(), info + b"\1", "sha256").digest()[:length]


@pytest.mark.parametrize("name", ["known node", "ticket", "window", "network secret"])
def test_the_psk_is_what_the_specification_says_in_plain_steps(name: str) -> None:
    case = next(case for case in CASES if case["name"] == f"{name}, initiator")
    told = case["reader"]
    instance, target = bytes.fromhex(told["instance"]), bytes.fromhex(told["target"])
    x = sha256(b"NZ-DISCOVERY-01 pair\0" + instance).digest() if instance else target
    n = bytes.fromhex(told["network_secret"]) or bytes(32)
    t, tid = bytes(32), bytes(8)
    if told["tickets"]:
        secret = bytes.fromhex(told["tickets"][0])
        t = extract_and_expand(secret, b"", b"NZ-TICKET-01 psk", 32)
        tid = extract_and_expand(secret, b"", b"NZ-TICKET-01 id", 8)
    preface = b"nzc1" + bytes([told["mode"], 0, 0, 0]) + tid
    assert bytes.fromhex(case["sent"][0]).startswith(preface + (1248).to_bytes(2, "big"))
    assert extract_and_expand(x + n + t, b"NZ-HANDSHAKE-01 psk", preface, 32).hex() == case["psk"]


def test_tickets_and_windows_derive_as_the_file_says() -> None:
    ticket, window = DOCUMENT["derivations"]
    assert ticket_id(bytes.fromhex(ticket["secret"])).hex() == ticket["tid"]
    assert ticket_psk(bytes.fromhex(ticket["secret"])).hex() == ticket["psk"]
    assert window_key(bytes.fromhex(window["instance"])).hex() == window["key"]
