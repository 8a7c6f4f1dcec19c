"""Makes vectors/envelope.json: envelopes that open, and those that must not (spec/envelope.md §9).

All keys are published test keys. The ephemeral key, which a sealer draws afresh, is fixed here, so the same envelope
comes out each time.
"""

from nzcore.base.errors import PeerError
from nzcore.codec.cbor import Encodable
from nzcore.crypto.aead import CountingCipher
from nzcore.crypto.hashing import sha256
from nzcore.crypto.keys import AgreementPublic, AgreementSecret
from nzcore.proto.envelope.layout import (
    CHUNK_BYTES,
    HEAD_BYTES,
    RECORD_HEADER_BYTES,
    Head,
    Kind,
    RecordHeader,
    prologue,
)
from nzcore.proto.envelope.opener import EnvelopeKey, Opener, open_head
from nzcore.proto.envelope.seal import LABEL, Sign, Transcript, make_seal
from nzcore.proto.envelope.sealer import Sealer
from nzcore.proto.identity.certificate import Certificate, Flags
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.noise.handshake import Handshake
from nzcore.proto.noise.patterns import parse
from tools.vectors.identity_cast import EPOCH, NOW, Case, flip, make_certificate, make_keys, make_root, sign
from tools.vectors.noise import FixedHandshake, secret

_ROOTS = {"alice": 1, "bob": 2, "carol": 3}
_LETTER = b"dear bob, this is for you alone"


class FixedSealer(Sealer):
    """A Sealer whose ephemeral key is given: for vectors and tests, which is why it is not in the product."""

    __slots__ = ()

    def _new_handshake(self) -> Handshake:
        node = self._recipient
        handshake = FixedHandshake(parse("N"), initiator=True, prologue=prologue(node.node), remote_static=node.dh_key)
        handshake.fix(ephemeral())
        return handshake


def ephemeral() -> AgreementSecret:
    return secret("envelope ephemeral")


def cast(who: str) -> NodeKeys:
    """A node with published keys: alice seals, bob opens, carol is somebody else."""
    return NodeKeys(*make_keys(who), make_certificate(make_root(_ROOTS[who]), who, name=who))


def sealer_of(sender: NodeKeys, recipient: Certificate, *, sign: Sign | None = None) -> Sealer:
    return FixedSealer(recipient, sign or (lambda transcript: make_seal(sender, transcript, issued=NOW)))


def seal(sender: NodeKeys, recipient: Certificate, content: bytes, *, sign: Sign | None = None) -> bytes:
    sealer = sealer_of(sender, recipient, sign=sign)
    return sealer.start() + sealer.chunk(content) + sealer.finish()


def opener_of(keys: NodeKeys) -> Opener:
    return Opener(lambda head: open_head(keys, head))


def records(sealed: bytes) -> list[tuple[Kind, int]]:
    """Kind and ciphertext size of each record."""
    found, at = [], HEAD_BYTES
    while at < len(sealed):
        header = RecordHeader.parse(sealed[at : at + RECORD_HEADER_BYTES])
        found.append((header.kind, header.size))
        at += RECORD_HEADER_BYTES + header.size
    return found


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/envelope.md",
        "comment": "byte strings are hex; keys here are published and must never be used",
        "cast": {who: _person(cast(who)) for who in _ROOTS},
        "cases": [*_good(), *_damaged(), *_misdirected(), *_ill_sealed(), *_known()],
    }


def _person(keys: NodeKeys) -> dict[str, str]:
    seeds = keys.seeds()
    return {
        "sign_seed": seeds.signing.reveal().hex(),
        "dh_secret": seeds.agreement.reveal().hex(),
        "certificate": keys.certificate.encoded.hex(),
        "node": keys.node.text,
    }


def _good() -> list[Case]:
    alice, bob = cast("alice"), cast("bob")
    small = [
        _opens("a short letter", "one content record and the seal", alice, bob, _LETTER),
        _opens("nothing at all", "an empty file: the seal alone", alice, bob, b""),
        _opens("to oneself", "sender and recipient may be one node", bob, bob, b"note"),
    ]
    content = bytes(CHUNK_BYTES + 1)
    large: Case = {
        "name": "two content records",
        "comment": f"{len(content)} zero bytes, too long to print; the last 900 bytes and the size of the envelope",
        "expect": "ok",
        "recipient": "bob",
        "sender": "alice",
        "ephemeral": ephemeral().seed().reveal().hex(),
        "zeros": len(content),
    }
    sealed = seal(alice, bob.certificate, content)
    return [*small, large | {"size": len(sealed), "tail": sealed[-900:].hex()}]


def _opens(name: str, comment: str, sender: NodeKeys, recipient: NodeKeys, content: bytes) -> Case:
    sealed = seal(sender, recipient.certificate, content)
    key = open_head(recipient, sealed[:HEAD_BYTES])
    return {
        "name": name,
        "comment": comment,
        "expect": "ok",
        "recipient": recipient.certificate.name,
        "sender": sender.certificate.name,
        "ephemeral": ephemeral().seed().reveal().hex(),
        "content": content.hex(),
        "envelope": sealed.hex(),
        "handshake": key.handshake.hex(),
        "key": key.key.hex(),
        "issued": NOW,
    }


def _damaged() -> list[Case]:
    alice, bob = cast("alice"), cast("bob")
    sealed = seal(alice, bob.certificate, _LETTER)
    end = HEAD_BYTES + RECORD_HEADER_BYTES + len(_LETTER) + 16
    closed, bad = "envelope.damaged", "envelope.bad-record"
    key = open_head(bob, sealed[:HEAD_BYTES])
    late = sealed[:end] + _record(key, 2, Kind.SEAL, b"x")
    return [
        _refused("a text file", "envelope.not-an-envelope", b"hello, world, this is no envelope"),
        _refused("one wrong byte", "envelope.not-an-envelope", b"x", "it ends before it could be told apart otherwise"),
        _refused("version 2", "envelope.unknown-version", sealed[:7] + b"\2" + sealed[8:]),
        _refused("an empty file", "envelope.truncated", b"", "it is the beginning of an envelope"),
        _refused("cut within the head", "envelope.truncated", sealed[: HEAD_BYTES - 1]),
        _refused("cut after the head", "envelope.truncated", sealed[:HEAD_BYTES]),
        _refused("cut within a record", "envelope.truncated", sealed[: end - 1]),
        _refused("cut before the seal", "envelope.truncated", sealed[:end], "all content is there, and nobody's word"),
        _refused("cut within the seal", "envelope.truncated", sealed[:-1]),
        _refused("a byte after the seal", "envelope.trailing", sealed + b"\0"),
        _refused("a second envelope after the seal", "envelope.trailing", sealed + sealed),
        _refused("first hint changed", "envelope.other-recipient", flip(sealed, 8)),
        _refused("second hint changed", "envelope.other-keys", flip(sealed, 16)),
        _refused("ephemeral key changed", "envelope.other-recipient", flip(sealed, 24), "the hints depend on it"),
        _refused("tag of the handshake changed", closed, flip(sealed, HEAD_BYTES - 1)),
        _refused("ephemeral key of small order", closed, _small_order(bob), "es is all-zero"),
        _refused("content changed", closed, flip(sealed, HEAD_BYTES + 3)),
        _refused("tag of the content changed", closed, flip(sealed, end - 1)),
        _refused("seal changed", closed, flip(sealed, end + 3)),
        _refused("content record left out", closed, sealed[:HEAD_BYTES] + sealed[end:], "the counter does not fit"),
        _refused("content record repeated", closed, sealed[:end] + sealed[HEAD_BYTES:]),
        _refused("content relabelled as seal", closed, _relabel(sealed, HEAD_BYTES, Kind.SEAL)),
        _refused("seal relabelled as content", closed, _relabel(sealed, end, Kind.CONTENT)),
        _refused("seal under a later counter", closed, late, "a record between was taken out"),
        _refused("unknown kind of record", bad, sealed[:HEAD_BYTES] + b"\2" + sealed[HEAD_BYTES + 1 :]),
        _refused("empty content record", bad, sealed[:HEAD_BYTES] + _record(key, 0, Kind.CONTENT, b"")),
        _refused("record shorter than a tag", bad, sealed[:HEAD_BYTES] + b"\0\0\x0f" + bytes(15)),
        _refused("seal of 769 bytes", bad, sealed[:HEAD_BYTES] + b"\1\3\x11", "refused by its size, before it is read"),
    ]


def _misdirected() -> list[Case]:
    alice, bob, carol = (cast(who) for who in _ROOTS)
    signing, agreement = make_keys("bob before")
    old = make_root(2).certify(0, signing.public, agreement.public, epoch=EPOCH - 1, issued=NOW, name="bob")
    mine = seal(alice, bob.certificate, _LETTER)
    hints = Head.make(bob.certificate, Head.parse(seal(alice, carol.certificate, b"")[:HEAD_BYTES]).message).encode()
    stolen = Transcript(*_transcript(mine, bob))
    return [
        _refused("for carol", "envelope.other-recipient", seal(alice, carol.certificate, _LETTER)),
        _refused("for bob's former keys", "envelope.other-keys", seal(alice, old, _LETTER), "they are not kept"),
        _refused("for carol, with hints at bob", "envelope.damaged", hints + mine[HEAD_BYTES:]),
        _refused(
            "alice's seal for bob, passed on to carol",
            "envelope.other-content",
            seal(bob, carol.certificate, _LETTER, sign=lambda _: make_seal(alice, stolen, issued=NOW)),
            "surreptitious forwarding: bob seals for carol what alice wrote and signed for bob",
            recipient="carol",
        ),
    ]


def _ill_sealed() -> list[Case]:
    alice, bob, carol = (cast(who) for who in _ROOTS)
    final = NodeKeys(*make_keys("alice"), make_certificate(make_root(1), "alice", name="alice", flags=Flags.FINAL))

    def fields(transcript: Transcript, **changed: Encodable) -> dict[int, Encodable]:
        names = ("version", "certificate", "recipient", "handshake", "digest", "size", "issued")
        values: list[Encodable] = [
            1,
            alice.certificate.encoded,
            *(bytes(x) for x in transcript[:3]),
            transcript.size,
            NOW,
        ]
        return dict(enumerate((dict(zip(names, values, strict=True)) | changed).values()))

    def sealed(keys: NodeKeys = alice, label: str = LABEL, **changed: Encodable) -> bytes:
        return seal(
            alice, bob.certificate, _LETTER, sign=lambda script: sign(keys.signing, label, fields(script, **changed))
        )

    bad, other = "envelope.bad-seal", "envelope.other-content"
    return [
        _refused("no seal but noise", bad, seal(alice, bob.certificate, _LETTER, sign=lambda _: b"signed, alice")),
        _refused("signed by carol with alice's certificate", bad, sealed(carol)),
        _refused("signed under another label", bad, sealed(label="NZ-IDENTITY-01 document")),
        _refused("seal of version 2", bad, sealed(version=2)),
        _refused("a field too many", bad, sealed(more=b"")),
        _refused("a certificate that is none", bad, sealed(certificate=b"alice")),
        _refused("a size that is no number", bad, sealed(size=True)),
        _refused("signed for carol", other, sealed(recipient=bytes(carol.node))),
        _refused("signed with another handshake", other, sealed(handshake=bytes(32))),
        _refused("signed with another digest", other, sealed(digest=bytes(32))),
        _refused("signed with another size", other, sealed(size=len(_LETTER) + 1)),
        _refused(
            "sender's certificate is final", "envelope.sender-retired", sealed(certificate=final.certificate.encoded)
        ),
    ]


def _known() -> list[Case]:
    """The letter is good; what the reader remembers of alice is not in its favour."""
    sealed = seal(cast("alice"), cast("bob").certificate, _LETTER)
    root = make_root(1)
    newer = make_certificate(root, "alice after", name="alice", epoch=EPOCH + 1)
    forked = make_certificate(root, "alice twice", name="alice")
    final = make_certificate(root, "alice", name="alice", epoch=EPOCH - 1, flags=Flags.FINAL)
    return [
        _refused("a newer certificate of alice is known", "envelope.sender-rotated", sealed, known=newer),
        _refused("another certificate of this epoch is known", "envelope.sender-forked", sealed, known=forked),
        _refused("alice is known to be retired", "envelope.sender-retired", sealed, known=final),
    ]


def _refused(
    name: str,
    expect: str,
    envelope: bytes,
    comment: str = "",
    *,
    recipient: str = "bob",
    known: Certificate | None = None,
) -> Case:
    found = refusal(cast(recipient), envelope, known)
    if found != expect:
        raise AssertionError(f"{name}: {found} instead of {expect}")
    case: Case = {"name": name, "comment": comment or "one fault in an envelope that would open", "expect": expect}
    case |= {"recipient": recipient, "envelope": envelope.hex()}
    return case | ({"known": known.encoded.hex()} if known else {})


def refusal(keys: NodeKeys, envelope: bytes, known: Certificate | None = None) -> str:
    """The code with which `keys` refuse an envelope; `ok` if they don't."""
    opener = opener_of(keys)
    try:
        opener.feed(envelope)
        opener.finish(lambda _: known)
    except PeerError as error:
        return error.code
    return "ok"


def _transcript(sealed: bytes, keys: NodeKeys) -> Transcript:
    """What was signed of an envelope, as only its recipient can tell."""
    key = open_head(keys, sealed[:HEAD_BYTES])
    content = b"".join(opener_of(keys).feed(sealed))
    return Transcript(key.recipient, key.handshake, sha256(content), len(content))


def _record(key: EnvelopeKey, counter: int, kind: Kind, plaintext: bytes) -> bytes:
    """A record under the right key, at a counter of choice."""
    cipher = CountingCipher(key.key)
    for _ in range(counter):
        cipher.encrypt(b"", b"")
    header = RecordHeader(kind, len(plaintext) + 16).encode()
    return header + cipher.encrypt(header, plaintext)


def _relabel(sealed: bytes, at: int, kind: Kind) -> bytes:
    return sealed[:at] + bytes([kind]) + sealed[at + 1 :]


def _small_order(recipient: NodeKeys) -> bytes:
    """A head whose hints fit, around a key of order 8."""
    point = AgreementPublic(bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"))
    return Head.make(recipient.certificate, point + bytes(16)).encode() + bytes(64)
