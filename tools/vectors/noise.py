"""Makes vectors/noise.json: our three handshakes and a few general ones, good and bad (spec/noise.md §7).

All keys are fixed test keys, and the ML-KEM encapsulation has fixed randomness: `ml_kem` beside this file makes it,
because the library can't be seeded; the library then decapsulates it to the same secret.
"""

from functools import lru_cache, partial

from nzcore.base.errors import PeerError
from nzcore.crypto.keys import AgreementPublic, AgreementSecret, KemPublic, KemSecret
from nzcore.proto.noise.handshake import Handshake, OneWayTransport, Transport
from nzcore.proto.noise.patterns import Pattern, Token, parse
from tools.vectors import ml_kem
from tools.vectors.seeds import seed_of

Case = dict[str, object]

LABEL = "NZ-CHANNEL-01 export"
PROLOGUE = b"NZ-VECTORS-01 noise"


class FixedHandshake(Handshake):
    """A Handshake whose random choices are given: for vectors and tests, which is why it is not in the product."""

    __slots__ = ("_fixed_encapsulation", "_fixed_ephemeral", "_fixed_kem")

    def fix(
        self,
        ephemeral: AgreementSecret | None = None,
        kem: KemSecret | None = None,
        encapsulation: tuple[bytes, bytes] | None = None,
    ) -> None:
        """Gives the choices; what is not given and needed is an AssertionError."""
        self._fixed_ephemeral = ephemeral
        self._fixed_kem = kem
        self._fixed_encapsulation = encapsulation

    def _new_ephemeral(self) -> AgreementSecret:
        assert self._fixed_ephemeral is not None
        return self._fixed_ephemeral

    def _new_kem(self) -> KemSecret:
        assert self._fixed_kem is not None
        return self._fixed_kem

    def _new_encapsulation(self, public: KemPublic) -> tuple[bytes, bytes]:
        if public != kem().public:  # the choice is not for this key, and it may be one to refuse
            return super()._new_encapsulation(public)
        assert self._fixed_encapsulation is not None
        return self._fixed_encapsulation


seed = partial(seed_of, "noise")


def secret(name: str) -> AgreementSecret:
    return AgreementSecret.from_bytes(seed(name))


def kem() -> KemSecret:
    return KemSecret.from_seed(seed("kem", 64))


@lru_cache(maxsize=1)
def encapsulation() -> tuple[bytes, bytes]:
    """Secret and ciphertext for the public half of `kem()`."""
    shared, ciphertext = ml_kem.encapsulate(kem().public, seed("kem randomness"))
    if kem().decapsulate(ciphertext) != shared:
        raise AssertionError("the slow ML-KEM and the library's differ")
    return shared, ciphertext


def pair(pattern: Pattern, *, prologue: bytes = PROLOGUE, psk_name: str = "psk") -> tuple[Handshake, Handshake]:
    """Initiator and responder over the fixed test keys."""
    sides = []
    for initiator in (True, False):
        local, remote = ("initiator", "responder") if initiator else ("responder", "initiator")
        knows_remote = pattern.knows_responder if initiator else pattern.knows_initiator
        side = FixedHandshake(
            pattern,
            initiator=initiator,
            prologue=prologue,
            static=secret(f"{local} static") if pattern.has_static(initiator=initiator) else None,
            remote_static=secret(f"{remote} static").public if knows_remote else None,
            psks=[seed(psk_name)] * pattern.psk_count,
        )
        side.fix(secret(f"{local} ephemeral"), kem(), encapsulation())
        sides.append(side)
    return sides[0], sides[1]


def payload(index: int) -> bytes:
    return b"" if index == 0 else f"payload {index}".encode()


def generate() -> dict[str, object]:
    """The whole document."""
    names = ["XXhfs+psk0", "NNhfs+psk0", "N", "X", "XX", "IK", "NNpsk0", "IKhfs", "KKhfs", "XXpsk3"]
    cases = [_good(parse(name)) for name in names]
    return {
        "specification": "spec/noise.md",
        "comment": "keys are hex; secrets here are published and must never be used",
        "cases": cases + _bad(),
    }


def setup(pattern: Pattern) -> Case:
    """Everything that a reader needs to make both sides; keys that the pattern has no use for are left out."""
    tokens = {token for message in pattern.messages for token in message}
    found: Case = {"protocol_name": pattern.protocol_name, "pattern": pattern.name, "prologue": PROLOGUE.hex()}
    found["psks"] = [seed("psk").hex()] * pattern.psk_count
    for initiator, side in ((True, "initiator"), (False, "responder")):
        if pattern.has_static(initiator=initiator):
            found[f"{side}_static"] = seed(f"{side} static").hex()
    found["initiator_ephemeral"] = seed("initiator ephemeral").hex()
    if not pattern.one_way:
        found["responder_ephemeral"] = seed("responder ephemeral").hex()
    if Token.E1 in tokens:
        shared, ciphertext = encapsulation()
        found |= {"kem_seed": seed("kem", 64).hex(), "kem_randomness": seed("kem randomness").hex()}
        found |= {"kem_ciphertext": ciphertext.hex(), "kem_secret": shared.hex()}
    return found


def exchange(initiator: Handshake, responder: Handshake, count: int) -> list[bytes]:
    """The first `count` messages, each written and read."""
    messages = []
    for index in range(count):
        writer, reader = (initiator, responder) if index % 2 == 0 else (responder, initiator)
        messages.append(writer.write_message(payload(index)))
        if reader.read_message(messages[-1]) != payload(index):
            raise AssertionError("a payload changed on its way")
    return messages


def _good(pattern: Pattern) -> Case:
    initiator, responder = pair(pattern)
    messages = exchange(initiator, responder, len(pattern.messages))
    case: Case = {
        "name": f"{pattern.name} complete",
        "comment": "every message, both splits, and the first two transport messages of each direction",
        "expect": "ok",
        **setup(pattern),
        "messages": [{"payload": payload(i).hex(), "message": message.hex()} for i, message in enumerate(messages)],
        "export_label": LABEL,
    }
    end: Transport | OneWayTransport
    if pattern.one_way:
        end = initiator.split_one_way(LABEL)
        case["initiator_sends"] = [end.cipher.encrypt(b"", text).hex() for text in (b"one", b"two")]
    else:
        end = initiator.split(LABEL)
        case["initiator_sends"] = [end.send.encrypt(b"", text).hex() for text in (b"one", b"two")]
        answering = responder.split(LABEL).send
        case["responder_sends"] = [answering.encrypt(b"", text).hex() for text in (b"one", b"two")]
    return case | {"handshake_hash": end.handshake_hash.hex(), "exporter": end.exporter.hex()}


def _bad() -> list[Case]:
    """One fault a case: `count` genuine messages, then `message`, which the next reader refuses with `expect`."""
    channel = parse("XXhfs+psk0")
    first, second, third = exchange(*pair(channel), 3)
    stranger, _ = pair(channel, psk_name="another psk")
    elsewhere, _ = pair(channel, prologue=b"another prologue")
    hybrid = exchange(*pair(parse("NNhfs")), 1)[0]
    rekey = parse("NNhfs")
    point = _small_order()
    closed, weak, cut = "noise.not-authentic", "noise.weak-key", "noise.truncated"
    return [
        _refused("first byte of e changed", closed, channel, 0, _flip(first, 0)),
        _refused("encrypted KEM key changed", closed, channel, 0, _flip(first, 40)),
        _refused("tag of message 1 changed", closed, channel, 0, _flip(first, -1)),
        _refused("message 1 cut by a byte", cut, channel, 0, first[:-1], "sizes are checked before any key is used"),
        _refused("message 1 with a byte more", closed, channel, 0, first + b"\0", "the tag is no longer where it was"),
        _refused("message 1 empty", cut, channel, 0, b"", "nothing at all"),
        _refused("another psk", closed, channel, 0, stranger.write_message(), "a scanner who does not know the NodeId"),
        _refused("another prologue", closed, channel, 0, elsewhere.write_message(), "another preface was sent before"),
        _refused("message 1 reflected", "noise.reflected", channel, 1, first, "its e is the reader's own"),
        _refused("KEM ciphertext changed", closed, channel, 1, _flip(second, 40)),
        _refused("responder's static changed", closed, channel, 1, _flip(second, 32 + 1104)),
        _refused("message 2 cut by a byte", cut, channel, 1, second[: channel.overheads[1] - 1], "shorter than any"),
        _refused("initiator's static changed", closed, channel, 2, _flip(third, 0)),
        _refused("message 2 as message 3", closed, channel, 2, second, "replayed where it does not belong"),
        _refused("ephemeral of zeros", weak, parse("NN"), 1, bytes(32) + bytes(16), "ee is all-zero"),
        _refused("ephemeral of small order", weak, parse("NN"), 1, point + bytes(16), "ee is all-zero"),
        _refused("sealed by a small order", weak, parse("N"), 0, point + bytes(16), "es is all-zero"),
        _refused("KEM key not reduced", weak, rekey, 0, hybrid[:32] + b"\xff" * 1184, "FIPS 203 §7.2: below q"),
    ]


def _refused(name: str, expect: str, pattern: Pattern, count: int, message: bytes, comment: str = "") -> Case:
    found = refusal(pattern, count, message)
    if found != expect:
        raise AssertionError(f"{pattern.name} {name}: {found} instead of {expect}")
    return {
        "name": f"{pattern.name} {name}",
        "comment": comment or "one bit differs from the genuine message",
        "expect": expect,
        **setup(pattern),
        "count": count,
        "message": message.hex(),
    }


def refusal(pattern: Pattern, count: int, message: bytes) -> str:
    """The code with which the reader of message `count` refuses it, then or when it has to use what was in it."""
    initiator, responder = pair(pattern)
    exchange(initiator, responder, count)
    reader = responder if count % 2 == 0 else initiator
    try:
        reader.read_message(message)
        reader.write_message()
    except PeerError as error:
        return error.code
    raise AssertionError("the message was accepted")


def _flip(message: bytes, at: int) -> bytes:
    changed = bytearray(message)
    changed[at] ^= 1
    return bytes(changed)


def _small_order() -> AgreementPublic:
    """A point of order 8 (RFC 7748 §6.1 and its security considerations)."""
    return AgreementPublic(bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"))
