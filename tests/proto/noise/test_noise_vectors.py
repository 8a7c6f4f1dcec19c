"""vectors/noise.json against the code, against its own tool, and against a second derivation without any machine."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nzcore.base.errors import PeerError
from nzcore.crypto.aead import CountingCipher
from nzcore.crypto.keys import KemSecret
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.patterns import parse
from tests.proto.noise.noise_cases import secret
from tools.vectors import noise as tool
from tools.vectors.noise import FixedHandshake

FILE = Path(__file__).parents[3] / "vectors" / "noise.json"
DOCUMENT = json.loads(FILE.read_text())
GOOD = [case for case in DOCUMENT["cases"] if case["expect"] == "ok"]
BAD = [case for case in DOCUMENT["cases"] if case["expect"] != "ok"]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def side(case: dict[str, Any], *, initiator: bool) -> FixedHandshake:
    pattern = parse(case["pattern"])

    local, remote = ("initiator", "responder") if initiator else ("responder", "initiator")
    knows_remote = pattern.knows_responder if initiator else pattern.knows_initiator
    known = secret(case, remote, "static") if knows_remote else None
    machine = FixedHandshake(
        pattern,
        initiator=initiator,
        prologue=bytes.fromhex(case["prologue"]),
        static=secret(case, local, "static"),
        remote_static=known.public if known else None,
        psks=[bytes.fromhex(psk) for psk in case["psks"]],
    )
    kem = KemSecret.from_seed(bytes.fromhex(case["kem_seed"])) if "kem_seed" in case else None
    encapsulation = (bytes.fromhex(case.get("kem_secret", "")), bytes.fromhex(case.get("kem_ciphertext", "")))
    machine.fix(secret(case, local, "ephemeral"), kem, encapsulation)
    return machine


def test_the_tool_makes_the_same_file_again() -> None:
    assert json.dumps(tool.generate(), indent=1) + "\n" == FILE.read_text()


@pytest.mark.parametrize("case", GOOD, ids=by_name)
def test_a_good_vector_is_written_and_read_as_it_stands(case: dict[str, Any]) -> None:
    machines: list[Handshake] = [side(case, initiator=True), side(case, initiator=False)]
    assert machines[0].pattern.protocol_name == case["protocol_name"]
    for index, step in enumerate(case["messages"]):
        writer, reader = machines[index % 2], machines[(index + 1) % 2]
        payload, message = bytes.fromhex(step["payload"]), bytes.fromhex(step["message"])
        assert writer.write_message(payload) == message
        assert reader.read_message(message) == payload
    for machine in machines:
        assert machine.finished
        assert machine.handshake_hash.hex() == case["handshake_hash"]
    if machines[0].pattern.one_way:
        first, second = (machine.split_one_way(case["export_label"]) for machine in machines)
        assert first.exporter == second.exporter == bytes.fromhex(case["exporter"])
        check_direction(first.cipher, second.cipher, case["initiator_sends"])
    else:
        one, two = (machine.split(case["export_label"]) for machine in machines)
        assert one.exporter == two.exporter == bytes.fromhex(case["exporter"])
        check_direction(one.send, two.receive, case["initiator_sends"])
        check_direction(two.send, one.receive, case["responder_sends"])


def check_direction(send: CountingCipher, receive: CountingCipher, sent: list[str]) -> None:
    for text, sealed in zip((b"one", b"two"), sent, strict=True):
        assert send.encrypt(b"", text).hex() == sealed
        assert receive.decrypt(b"", bytes.fromhex(sealed)) == text


@pytest.mark.parametrize("case", BAD, ids=by_name)
def test_a_bad_vector_is_refused_with_its_code(case: dict[str, Any]) -> None:
    initiator, responder = side(case, initiator=True), side(case, initiator=False)
    for index in range(case["count"]):
        writer, reader = (initiator, responder) if index % 2 == 0 else (responder, initiator)
        reader.read_message(writer.write_message())
    reader = responder if case["count"] % 2 == 0 else initiator
    with pytest.raises(PeerError) as caught:
        read_and_use(reader, bytes.fromhex(case["message"]))
    assert caught.value.code == case["expect"]
    assert caught.value.reason.meaning


def read_and_use(reader: Handshake, message: bytes) -> None:
    """Some keys are only found out when they are used, in the reader's answer."""
    reader.read_message(message)
    reader.write_message()


class Running:
    """Hash, chaining key and key as plain values; every step is spelled out by whoever uses it."""

    def __init__(self, name: bytes) -> None:
        self.hash = self.chain = hashlib.sha256(name).digest()
        self.key, self.nonce = b"", 0

    def mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.sha256(self.hash + data).digest()

    def outputs(self, material: bytes, count: int) -> list[bytes]:
        secret = hmac.new(self.chain, material, "sha256").digest()
        found = [b""]
        for index in range(1, count + 1):
            found.append(hmac.new(secret, found[-1] + bytes([index]), "sha256").digest())
        return found[1:]

    def mix_key(self, material: bytes) -> None:
        self.chain, self.key = self.outputs(material, 2)
        self.nonce = 0

    def seal(self, plaintext: bytes) -> bytes:
        nonce = bytes(4) + self.nonce.to_bytes(8, "little")
        sealed = ChaCha20Poly1305(self.key).encrypt(nonce, plaintext, self.hash)
        self.nonce += 1
        self.mix_hash(sealed)
        return sealed


def test_a_channel_handshake_is_what_a_straight_line_derivation_gives() -> None:
    case = next(case for case in GOOD if case["pattern"] == "XXhfs+psk0")
    key = {name: X25519PrivateKey.from_private_bytes(bytes.fromhex(case[name])) for name in case if "static" in name}
    key |= {name: X25519PrivateKey.from_private_bytes(bytes.fromhex(case[name])) for name in case if "ephem" in name}
    public = {name: found.public_key().public_bytes_raw() for name, found in key.items()}
    kem = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(case["kem_seed"]))
    ciphertext = bytes.fromhex(case["kem_ciphertext"])
    payloads = [bytes.fromhex(step["payload"]) for step in case["messages"]]

    def agree(one: str, two: str) -> bytes:
        return key[one].exchange(X25519PublicKey.from_public_bytes(public[two]))

    state = Running(b"Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256")
    state.mix_hash(bytes.fromhex(case["prologue"]))
    # -> psk, e, e1
    state.chain, mixed, state.key = state.outputs(bytes.fromhex(case["psks"][0]), 3)
    state.mix_hash(mixed)
    first = public["initiator_ephemeral"]
    state.mix_hash(first)
    state.mix_key(first)
    first += state.seal(kem.public_key().public_bytes_raw()) + state.seal(payloads[0])
    # <- e, ee, ekem1, s, es
    second = public["responder_ephemeral"]
    state.mix_hash(second)
    state.mix_key(second)
    state.mix_key(agree("initiator_ephemeral", "responder_ephemeral"))
    second += state.seal(ciphertext)
    state.mix_key(kem.decapsulate(ciphertext))
    second += state.seal(public["responder_static"])
    state.mix_key(agree("initiator_ephemeral", "responder_static"))
    second += state.seal(payloads[1])
    # -> s, se
    third = state.seal(public["initiator_static"])
    state.mix_key(agree("initiator_static", "responder_ephemeral"))
    third += state.seal(payloads[2])

    assert [first.hex(), second.hex(), third.hex()] == [step["message"] for step in case["messages"]]
    assert state.hash.hex() == case["handshake_hash"]
    exported = hmac.new(state.chain, b"NZ-CHANNEL-01 export\0" + state.hash, "sha256")
    assert exported.hexdigest() == case["exporter"]
    to_responder, to_initiator = state.outputs(b"", 2)
    for sending, sent in ((to_responder, case["initiator_sends"]), (to_initiator, case["responder_sends"])):
        assert ChaCha20Poly1305(sending).encrypt(bytes(12), b"one", b"").hex() == sent[0]


def test_the_worked_example_of_the_specification_is_the_first_vector() -> None:
    text = (FILE.parents[1] / "spec" / "noise.md").read_text(encoding="utf-8")
    initiator, responder = side(GOOD[0], initiator=True), side(GOOD[0], initiator=False)
    steps = [hashlib.sha256(GOOD[0]["protocol_name"].encode()).digest(), initiator._symmetric.mark()[0]]
    for index in range(3):
        writer, reader = (initiator, responder) if index % 2 == 0 else (responder, initiator)
        reader.read_message(writer.write_message(bytes.fromhex(GOOD[0]["messages"][index]["payload"])))
        steps += reader._symmetric.mark()[:2]
    places = [text.find(step.hex()) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
