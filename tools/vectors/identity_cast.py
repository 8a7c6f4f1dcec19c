"""The cast of vectors/identity.json and of the tests around it: identities and nodes with fixed, published keys."""

from hashlib import sha256

from nzcore.base.instant import WallTime
from nzcore.codec import cbor, cose
from nzcore.codec.cbor import Encodable
from nzcore.crypto.hashing import hkdf
from nzcore.crypto.keys import AgreementSecret, SigningKey
from nzcore.proto.identity.certificate import Certificate, Flags
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.identity.root import Root

Case = dict[str, object]
Fields = dict[int, Encodable]

NOW = WallTime(1_795_000_000)  # 2026-11-18T17:06:40Z
EPOCH = 3_619_386  # minutes from 2020-01-01T00:00Z to NOW


def make_root(byte: int = 0) -> Root:
    """The root whose mnemonic has the entropy `byte` × 32: public, for tests only."""
    return Root.from_mnemonic(Mnemonic(bytes([byte]) * 32))


def make_keys(who: str) -> tuple[SigningKey, AgreementSecret]:
    seeds = [sha256(f"NZ-VECTORS-01 identity {who} {use}".encode()).digest() for use in ("sign", "agree")]
    return SigningKey.from_seed(seeds[0]), AgreementSecret.from_bytes(seeds[1])


def make_certificate(
    root: Root,
    who: str = "alice",
    *,
    index: int = 0,
    epoch: int = EPOCH,
    name: str = "alice",
    flags: Flags = Flags.NONE,
) -> Certificate:
    signing, agreement = make_keys(who)
    return root.certify(index, signing.public, agreement.public, epoch=epoch, issued=NOW, name=name, flags=flags)


def make_node(root: Root, who: str = "alice", *, index: int = 0, epoch: int = EPOCH) -> NodeKeys:
    return NodeKeys(*make_keys(who), make_certificate(root, who, index=index, epoch=epoch, name=who))


def root_key(byte: int = 0) -> SigningKey:
    """A root's signing key, which the product never gives out: for objects that it would not sign."""
    seed = Mnemonic(bytes([byte]) * 32).seed().reveal()
    return SigningKey.from_seed(hkdf(seed, info=b"NZ-IDENTITY-01 root", length=32))


def sign(key: SigningKey, label: str, fields: Encodable) -> bytes:
    payload = cbor.encode(fields)
    return cose.encode_sign1(cose.Sign1(payload, key.sign(cose.to_be_signed(payload, label))))


def plain_fields(root: Root) -> Fields:
    """The fields of `make_certificate(root)`, to be broken one at a time."""
    fields = cbor.decode(make_certificate(root).payload)
    assert isinstance(fields, dict)
    return dict(fields)


def case(kind: str, name: str, comment: str, expect: str = "ok", /, **data: object) -> Case:
    values = {key: value.hex() if isinstance(value, bytes) else value for key, value in data.items()}
    return {"name": name, "kind": kind, "comment": comment, "expect": expect, **values}


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def swap_last(text: str) -> str:
    """Another symbol in the middle, the same length."""
    place = len(text) // 2
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
