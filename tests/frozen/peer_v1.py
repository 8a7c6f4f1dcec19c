"""A peer of the first version, kept as it was. DO NOT CHANGE THIS FILE: every later nzcore must talk to it as it is.

Written from the specifications (NZ-HANDSHAKE-01, NZ-CHANNEL-01, NZ-IDENTITY-01) with the primitives alone; it imports
nothing of nzcore. It dials, greets, opens streams, answers pings, gives credit, renews keys when it is asked to, and
ignores whatever a later version says beside what it knows. Bytes go in and out; a test moves them.
"""

import hashlib
import hmac
import os
import struct

import cbor2
import msgpack
import nacl.signing
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

PAD, HELLO, OPEN, DATA, CREDIT, END, RESET, PING, PONG, REKEY, CLOSE = range(11)
ASK, M1, M2, DONE = range(4)
HEADER = struct.Struct(">BIH")
CHANNEL = b"Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256"
RENEWAL = b"Noise_NNhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256"


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    key, block, out = mac(salt or bytes(32), ikm), b"", b""
    while len(out) < length:
        block = mac(key, block, info, bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def dh(secret: X25519PrivateKey, public: bytes) -> bytes:
    return secret.exchange(X25519PublicKey.from_public_bytes(public))


class Cipher:
    def __init__(self, key: bytes) -> None:
        self.aead, self.count = ChaCha20Poly1305(key), 0

    def nonce(self) -> bytes:
        self.count += 1
        return bytes(4) + struct.pack("<Q", self.count - 1)

    def seal(self, data: bytes, ad: bytes = b"") -> bytes:
        return self.aead.encrypt(self.nonce(), data, ad)

    def open(self, data: bytes, ad: bytes = b"") -> bytes:
        return self.aead.decrypt(self.nonce(), data, ad)


class Symmetric:
    """Noise's symmetric state, always keyed: the psk comes first."""

    def __init__(self, name: bytes, prologue: bytes, psk: bytes) -> None:
        self.ck = self.h = sha256(name)
        self.mix_hash(prologue)
        self.ck, mixed, key = self.stretch(psk, 3)
        self.mix_hash(mixed)
        self.cipher = Cipher(key)

    def stretch(self, material: bytes, count: int) -> list[bytes]:
        temp, out = mac(self.ck, material), [b""]
        for number in range(count):
            out.append(mac(temp, out[-1], bytes([number + 1])))
        return out[1:]

    def mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h, data)

    def mix_key(self, material: bytes) -> None:
        self.ck, key = self.stretch(material, 2)
        self.cipher = Cipher(key)

    def ephemeral(self, public: bytes) -> bytes:
        self.mix_hash(public)
        self.mix_key(public)  # a rule of psk handshakes
        return public

    def seal(self, data: bytes) -> bytes:
        sealed = self.cipher.seal(data, self.h)
        self.mix_hash(sealed)
        return sealed

    def open(self, data: bytes) -> bytes:
        opened = self.cipher.open(data, self.h)
        self.mix_hash(data)
        return opened

    def split(self) -> tuple[Cipher, Cipher, bytes]:
        first, second = self.stretch(b"", 2)
        return Cipher(first), Cipher(second), mac(self.ck, b"NZ-CHANNEL-01 export\0", self.h)


def sign1(key: nacl.signing.SigningKey, label: str, value: dict) -> bytes:
    payload, protected = cbor2.dumps(value, canonical=True), cbor2.dumps({1: -8})
    signed = cbor2.dumps(["Signature1", protected, label.encode(), payload])
    return cbor2.dumps([protected, {}, payload, key.sign(signed).signature])


class Identity:
    """A node of its own identity: fresh keys and their certificate."""

    def __init__(self, name: str = "frozen", epoch: int = 3_600_000) -> None:
        self.root, self.signing = nacl.signing.SigningKey.generate(), nacl.signing.SigningKey.generate()
        self.static, self.nonce = X25519PrivateKey.generate(), os.urandom(16)
        self.static_public = self.static.public_key().public_bytes_raw()
        root = self.root.verify_key.encode()
        self.node = sha256(b"NZ-IDENTITY-01 node\0", root, self.nonce)
        value = {0: 1, 1: root, 2: self.nonce, 3: epoch, 4: self.signing.verify_key.encode(), 5: self.static_public}
        value |= {6: 0, 7: name, 8: 1_800_000_000}
        self.certificate = sign1(self.root, "NZ-IDENTITY-01 certificate", value)


class Handshake:
    """The initiator's side, mode 0."""

    def __init__(self, identity: Identity, responder: bytes) -> None:
        self.identity, self.responder = identity, responder
        self.preface = b"nzc1" + bytes(12)
        psk = hkdf(responder + bytes(64), b"NZ-HANDSHAKE-01 psk", self.preface, 32)
        self.noise = Symmetric(CHANNEL, b"NZ-HANDSHAKE-01\0" + self.preface, psk)
        self.e, self.kem = X25519PrivateKey.generate(), MLKEM768PrivateKey.generate()
        self.said: dict = {}

    def ephemeral_public(self) -> bytes:
        return self.e.public_key().public_bytes_raw()

    def payload(self) -> dict:
        said = {"certificate": self.identity.certificate, "boot": os.urandom(16), "version": "0.1.0"}
        return said | {"features": ["frozen-1"], "unknown": {"to": ["later", 1, None, 2.5]}}

    def first(self) -> bytes:
        message = self.noise.ephemeral(self.ephemeral_public())
        message += self.noise.seal(self.kem.public_key().public_bytes_raw())
        return self.preface + framed(message + self.noise.seal(b""))

    def second(self, message: bytes) -> None:
        noise = self.noise
        remote_e = noise.ephemeral(message[:32])
        noise.mix_key(dh(self.e, remote_e))
        noise.mix_key(self.kem.decapsulate(noise.open(message[32:1136])))
        remote_static = noise.open(message[1136:1184])
        noise.mix_key(dh(self.e, remote_static))
        self.said = msgpack.unpackb(noise.open(message[1184:]))
        value = cbor2.loads(cbor2.loads(self.said["certificate"])[2])
        assert value[5] == remote_static, "the certificate is about another key"
        assert sha256(b"NZ-IDENTITY-01 node\0", value[1], value[2]) == self.responder, "another node answered"
        self.remote_e, self.remote_static = remote_e, remote_static

    def third(self) -> bytes:
        message = self.noise.seal(self.identity.static_public)
        self.noise.mix_key(dh(self.identity.static, self.remote_e))
        return framed(message + self.noise.seal(msgpack.packb(self.payload())))


def framed(message: bytes) -> bytes:
    return struct.pack(">H", len(message)) + message


def frame(kind: int, stream: int = 0, payload: bytes = b"") -> bytes:
    return HEADER.pack(kind, stream, len(payload)) + payload


class Peer:
    """Handshake and channel together: feed what arrives to `receive`, send what `outgoing` gives."""

    def __init__(self, identity: Identity, responder: bytes, handshake: type[Handshake] = Handshake) -> None:
        self.identity = identity
        self.handshake = handshake(identity, responder)
        self.tx: Cipher | None = None
        self.rx: Cipher | None = None
        self.held, self.queue = b"", self.handshake.first()
        self.hello: dict = {}
        self.heard: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.credit: dict[int, int] = {}
        self.pongs: list[bytes] = []
        self.closed_by: int | None = None
        self.renewals, self.renewal = 0, None
        self.next_stream = 1

    @property
    def is_open(self) -> bool:
        return bool(self.hello) and self.closed_by is None

    def outgoing(self) -> bytes:
        queue, self.queue = self.queue, b""
        return queue

    def send(self, *frames: bytes) -> None:
        """One record."""
        assert self.tx is not None
        self.queue += framed(self.tx.seal(b"".join(frames)))

    def open(self, protocol: str) -> int:
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.heard[stream], self.credit[stream] = b"", 8192
        self.send(frame(OPEN, stream, protocol.encode()))
        return stream

    def write(self, stream: int, data: bytes) -> int:
        taken = data[: min(self.credit[stream], 32_768)]
        if taken:
            self.credit[stream] -= len(taken)
            self.send(frame(DATA, stream, taken))
        return len(taken)

    def end(self, stream: int) -> None:
        self.send(frame(END, stream))

    def receive(self, data: bytes) -> None:
        self.held += data
        while len(self.held) >= 2 and len(self.held) >= 2 + (size := struct.unpack(">H", self.held[:2])[0]):
            message, self.held = self.held[2 : 2 + size], self.held[2 + size :]
            if self.rx is None:
                self.establish(message)
            else:
                self.read(self.rx.open(message))

    def establish(self, message: bytes) -> None:
        self.handshake.second(message)
        self.queue += self.handshake.third()
        self.tx, self.rx, self.exporter = self.handshake.noise.split()
        self.h = self.handshake.noise.h
        self.send(frame(HELLO, 0, msgpack.packb({"time": 1_800_000_000, "features": ["frozen-1"], "later": [1, {}]})))

    def read(self, plaintext: bytes) -> None:
        while plaintext:
            kind, stream, size = HEADER.unpack_from(plaintext)
            payload, plaintext = plaintext[7 : 7 + size], plaintext[7 + size :]
            self.on_frame(kind, stream, payload)

    def on_frame(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == HELLO:
            self.hello = msgpack.unpackb(payload)
        elif kind == DATA:
            self.heard[stream] += payload
            self.send(frame(CREDIT, stream, struct.pack(">I", len(payload))))
        elif kind == CREDIT:
            self.credit[stream] += struct.unpack(">I", payload)[0]
        elif kind == END:
            self.ended.add(stream)
        elif kind == RESET:
            self.reset[stream] = struct.unpack(">H", payload)[0]
        elif kind == PING:
            self.send(frame(PONG, 0, payload))
        elif kind == PONG:
            self.pongs.append(payload)
        elif kind == REKEY:
            self.on_rekey(payload[0], payload[1:])
        elif kind == CLOSE:
            self.closed_by = struct.unpack(">H", payload[:2])[0]
        elif kind == OPEN:  # it serves nothing
            self.send(frame(RESET, stream, struct.pack(">H", 34)))
        else:
            assert kind == PAD, f"a frame of kind {kind}"

    def on_rekey(self, step: int, message: bytes) -> None:
        if step == ASK:
            self.renew()
        else:
            assert step == M2
            self.finish_renewal(message)

    def renew(self) -> None:
        """Starts new keys; nothing while that is under way."""
        if self.renewal is not None:
            return
        number = struct.pack(">I", self.renewals + 1)
        agreed = dh(self.identity.static, self.handshake.remote_static)
        psk = mac(self.exporter, b"NZ-CHANNEL-01 rekey\0", number, agreed)
        noise = Symmetric(RENEWAL, b"NZ-REKEY-01\0" + self.h + number, psk)
        e, kem = X25519PrivateKey.generate(), MLKEM768PrivateKey.generate()
        message = noise.ephemeral(e.public_key().public_bytes_raw())
        message += noise.seal(kem.public_key().public_bytes_raw())
        self.renewal = (noise, e, kem)
        self.send(frame(REKEY, 0, bytes([M1]) + message + noise.seal(b"")))

    def finish_renewal(self, message: bytes) -> None:
        assert self.renewal is not None
        noise, e, kem = self.renewal
        noise.mix_key(dh(e, noise.ephemeral(message[:32])))
        noise.mix_key(kem.decapsulate(noise.open(message[32:1136])))
        assert noise.open(message[1136:]) == b""
        tx, self.rx, self.exporter = noise.split()
        self.send(frame(REKEY, 0, bytes([DONE])))
        self.tx, self.h, self.renewal = tx, noise.h, None
        self.renewals += 1
