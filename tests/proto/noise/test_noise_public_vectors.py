"""The public vectors of snow, and the `noiseprotocol` package live in both roles: two independent implementations."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from nzcore.base.errors import UsageError
from nzcore.crypto.aead import CountingCipher
from nzcore.crypto.keys import AgreementPublic, AgreementSecret
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.patterns import Pattern, parse
from tests.proto.noise.noise_cases import secret
from tools.vectors.noise import FixedHandshake

SNOW = Path(__file__).parents[4] / "shared" / "vectors" / "noise-snow.json"
VECTORS: list[dict[str, Any]] = json.loads(SNOW.read_text())["vectors"] if SNOW.exists() else []
PROLOGUE = b"cross-check"
LIVE = [
    *("N", "K", "X", "NN", "NK", "NX", "KN", "KK", "KX", "XN", "XK", "XX", "IN", "IK", "IX"),
    *("Npsk0", "Xpsk1", "NNpsk0", "XXpsk0", "XXpsk3", "IKpsk2", "KKpsk0+psk2"),
]


def pattern_or_skip(protocol_name: str) -> Pattern:
    name = protocol_name.split("_")[1]
    try:
        pattern = parse(name)
    except UsageError:
        pytest.skip(f"pattern {name} is not known here")
    assert pattern.protocol_name == protocol_name
    return pattern


def side(vector: dict[str, Any], pattern: Pattern, role: str) -> Handshake:
    remote = vector.get(f"{role}_remote_static")
    machine = FixedHandshake(
        pattern,
        initiator=role == "init",
        prologue=bytes.fromhex(vector[f"{role}_prologue"]),
        static=secret(vector, role, "static"),
        remote_static=AgreementPublic(bytes.fromhex(remote)) if remote else None,
        psks=[bytes.fromhex(psk) for psk in vector[f"{role}_psks"]],
    )
    machine.fix(secret(vector, role, "ephemeral"))
    return machine


def ciphers(initiator: Handshake, responder: Handshake) -> list[tuple[CountingCipher, CountingCipher]]:
    """Sealing and opening end of each direction, the initiator's first."""
    if initiator.pattern.one_way:
        return [(initiator.split_one_way("x").cipher, responder.split_one_way("x").cipher)]
    one, two = initiator.split("x"), responder.split("x")
    return [(one.send, two.receive), (two.send, one.receive)]


@pytest.mark.skipif(not VECTORS, reason="the folder of public vectors is not here")
def test_the_public_vectors_are_all_there() -> None:
    assert len(VECTORS) == 51


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["protocol_name"].split("_")[1] for vector in VECTORS])
def test_every_vector_of_snow_is_met_byte_for_byte(vector: dict[str, Any]) -> None:
    pattern = pattern_or_skip(vector["protocol_name"])
    initiator, responder = side(vector, pattern, "init"), side(vector, pattern, "resp")
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]
    count = len(pattern.messages)
    for index, (payload, expected) in enumerate(messages[:count]):
        writer, reader = (initiator, responder) if index % 2 == 0 else (responder, initiator)
        assert writer.write_message(payload) == expected
        assert reader.read_message(expected) == payload
        assert len(expected) == len(payload) + pattern.overheads[index]
    assert initiator.handshake_hash == responder.handshake_hash
    directions = ciphers(initiator, responder)
    assert messages[count:]
    for index, (payload, expected) in enumerate(messages[count:], start=count):
        seal, open_ = directions[index % len(directions)]
        assert seal.encrypt(b"", payload) == expected
        assert open_.decrypt(b"", expected) == payload


def foreign(pattern: Pattern, *, initiator: bool, static: bytes, remote: bytes, psks: list[bytes]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unmaintained package: its warnings are not about us
        from noise.connection import Keypair, NoiseConnection

        connection = NoiseConnection.from_name(pattern.protocol_name.encode())
        connection.set_as_initiator() if initiator else connection.set_as_responder()
        connection.set_prologue(PROLOGUE)
        if psks:
            connection.set_psks(psks=psks)
        if pattern.has_static(initiator=initiator):
            connection.set_keypair_from_private_bytes(Keypair.STATIC, static)
        if pattern.knows_responder if initiator else pattern.knows_initiator:
            connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, remote)
        connection.start_handshake()
    return connection


@pytest.mark.parametrize("initiator", [True, False], ids=["we-initiate", "we-respond"])
@pytest.mark.parametrize("name", LIVE)
def test_we_complete_a_handshake_with_another_implementation(name: str, initiator: bool) -> None:
    pattern = parse(name)
    ours, theirs = AgreementSecret.from_bytes(b"\x11" * 32), AgreementSecret.from_bytes(b"\x22" * 32)
    psks = [bytes([7 + index]) * 32 for index in range(pattern.psk_count)]
    other = foreign(pattern, initiator=not initiator, static=b"\x22" * 32, remote=ours.public, psks=psks)
    knows_remote = pattern.knows_responder if initiator else pattern.knows_initiator
    machine = Handshake(
        pattern,
        initiator=initiator,
        prologue=PROLOGUE,
        static=ours if pattern.has_static(initiator=initiator) else None,
        remote_static=theirs.public if knows_remote else None,
        psks=psks,
    )
    for index in range(len(pattern.messages)):
        payload = b"payload %d" % index
        if machine.writes_next:
            assert bytes(other.read_message(machine.write_message(payload))) == payload
        else:
            assert machine.read_message(bytes(other.write_message(payload))) == payload
    assert machine.finished
    assert machine.handshake_hash == other.get_handshake_hash()
    if pattern.has_static(initiator=not initiator):
        assert machine.remote_static == theirs.public
    if pattern.one_way:
        cipher = machine.split_one_way("x").cipher
        send, receive = (cipher, None) if initiator else (None, cipher)
    else:
        transport = machine.split("x")
        send, receive = transport.send, transport.receive
    for text in (b"", b"one", b"two" * 1000):
        if send is not None:
            assert bytes(other.decrypt(send.encrypt(b"", text))) == text
        if receive is not None:
            assert receive.decrypt(b"", bytes(other.encrypt(text))) == text
