"""Makes vectors/identity.json: mnemonics, nodes, certificates, rotation, documents, cards, names (spec/identity.md).

All keys are fixed test keys, and what is expected stands here as a literal; where a good object is made by the product
itself, the test beside it checks it against an independent reading of the specification.
Run `python -m tools.vectors.identity` to write the file.
"""

import json
from pathlib import Path

from nzcore.crypto.keys import SigningKey
from nzcore.proto.identity.certificate import Certificate, Flags
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.root import Root
from tools.vectors.identity_cast import (
    EPOCH,
    NOW,
    Case,
    Fields,
    case,
    flip,
    make_certificate,
    make_keys,
    make_root,
    plain_fields,
    root_key,
    sign,
)
from tools.vectors.identity_texts import addresses, answers, approvals, cards, documents, messages, names, requests

OUTPUT = Path(__file__).parents[2] / "vectors" / "identity.json"
CERTIFICATE = "NZ-IDENTITY-01 certificate"
L = 2**252 + 27742317777372353535851937790883648493  # order of Ed25519's base point
LAX_SIGNATURE = b"\1" + bytes(63)  # R neutral, S = 0: holds for every message where a key of small order is believed


def mnemonics() -> list[Case]:
    zero = " ".join(["abandon"] * 23 + ["art"])
    good = [
        ("all-zero entropy", "BIP-39's first 24-word vector, under the empty passphrase", bytes(32), zero),
        (
            "all-ones entropy",
            "BIP-39's last 24-word vector, under the empty passphrase",
            b"\xff" * 32,
            "zoo " * 23 + "vote",
        ),
        (
            "shouted and numbered",
            "case, white space and numbering don't matter",
            bytes(32),
            "\n".join(f"{i:2}. {word.upper()}\t" for i, word in enumerate(zero.split(), 1)),
        ),
    ]
    bad = [
        (
            "an unknown word",
            "word 3 is not in the list",
            " ".join(["abandon"] * 2 + ["abandonn"] + ["abandon"] * 20 + ["art"]),
        ),
        ("a wrong checksum", "known words, wrong last one", " ".join(["abandon"] * 24)),
        ("23 words", "one word is missing", " ".join(["abandon"] * 23)),
        ("12 words", "a valid BIP-39 mnemonic, but too short for an identity", "abandon " * 11 + "about"),
        ("25 words", "one word too many", zero + " art"),
        ("no words", "nothing but white space", " \n"),
        ("too much text", "more than 1,024 characters are not read", zero + " " * 1024),
    ]
    cases = []
    for name, comment, entropy, text in good:
        with Mnemonic(entropy) as mnemonic, Root.from_mnemonic(mnemonic) as root:
            seed = mnemonic.seed().reveal()
            keys = {"root": root.identity, "identity": root.identity.text, "backup_public": root.backup_public}
            cases.append(case("mnemonic", name, comment, text=text, entropy=entropy, seed=seed, **keys))
    return cases + [case("mnemonic", name, comment, "identity.bad-mnemonic", text=text) for name, comment, text in bad]


def nodes() -> list[Case]:
    cases = []
    for byte, index in ((0, 0), (0, 1), (0, 2**32 - 1), (255, 0)):
        root = make_root(byte)
        node = root.node_id(index)
        comment = f"node number {index} of the identity with entropy {byte:02x} × 32"
        seed = Mnemonic(bytes([byte]) * 32).seed().reveal()
        values = {"index": index, "root": root.identity, "nonce": root.nonce(index), "node": node, "text": node.text}
        cases.append(case("node", f"node {index} of {byte:02x}", comment, seed=seed, **values))
    return cases


def epochs() -> list[Case]:
    rows = [
        ("first by the clock", "minutes since 2020-01-01T00:00Z", 0, NOW, EPOCH),
        ("the clock stands still", "two rotations in one minute", EPOCH, NOW, EPOCH + 1),
        ("the clock fell back to 1970", "a dead battery still only grows", EPOCH, 0, EPOCH + 1),
        ("no past and no clock", "the smallest epoch", 0, 0, 1),
        ("one second before the minute", "whole minutes only", 0, 1_577_836_800 + 179, 2),
    ]
    return [
        case("epoch", name, comment, previous=previous, now=now, epoch=epoch)
        for name, comment, previous, now, epoch in rows
    ]


def certificates() -> list[Case]:
    root, key = make_root(), root_key()
    good = make_certificate(root)
    cases = []
    for name, comment, made in (
        ("plain", "keys, a name, no flags", good),
        ("voice, no name", "field 7 is absent", make_certificate(root, name="", flags=Flags.VOICE)),
        ("final", "the last one of its node", make_certificate(root, flags=Flags.FINAL)),
        ("longest name", "64 bytes of UTF-8", make_certificate(root, name="é" * 32)),
    ):
        fields = {"node": made.node, "epoch": made.epoch, "flags": int(made.flags), "shown_name": made.name}
        cases.append(case("certificate", name, comment, encoded=made.encoded, **fields))
    hostile = sign(key, CERTIFICATE, {**plain_fields(root), 7: "bob\u202etxt"})
    shown = {"node": good.node, "epoch": EPOCH, "flags": 0, "shown_name": "bobtxt"}
    comment = "valid, but a name with a right-to-left override is shown without it"
    cases.append(case("certificate", "hostile name", comment, encoded=hostile, **shown))
    cases += [
        case("certificate", name, comment, code, encoded=sign(key, CERTIFICATE, {**plain_fields(root), **change}))
        for name, comment, code, change in _broken_certificates(root)
    ]
    for missing in (1, 2, 3, 4, 5, 6, 8):
        fields_left = {number: value for number, value in plain_fields(root).items() if number != missing}
        encoded = sign(key, CERTIFICATE, fields_left)
        comment = f"field {missing} is absent"
        cases.append(case("certificate", f"without {missing}", comment, "identity.bad-certificate", encoded=encoded))
    return cases + _forged_certificates(good, key)


def _broken_certificates(root: Root) -> list[tuple[str, str, str, Fields]]:
    bad, fields = "identity.bad-certificate", plain_fields(root)
    return [
        ("version 2", "an unknown version", "identity.unknown-version", {0: 2}),
        ("version true", "a boolean is no number", bad, {0: True}),
        ("unknown field", "maps are closed: a new field is a new version", bad, {9: 0}),
        ("epoch 0", "epochs begin at 1", bad, {3: 0}),
        ("epoch 2^32", "epochs are 32-bit", bad, {3: 1 << 32}),
        ("short nonce", "15 bytes", bad, {2: bytes(15)}),
        ("long key", "33 bytes", bad, {4: bytes(33)}),
        ("flag 4", "an unknown flag", bad, {6: 4}),
        ("issued 2^37", "no calendar shows it", bad, {8: 1 << 37}),
        ("empty name", "a name that is empty must be absent", bad, {7: ""}),
        ("long name", "65 bytes", bad, {7: "n" * 65}),
        ("name of bytes", "text is asked for", bad, {7: b"alice"}),
        ("signs with the root", "sign_pk equals root_pk", bad, {4: fields[1]}),
        ("agrees with the root", "dh_pk equals root_pk", bad, {5: fields[1]}),
        ("one key for both uses", "dh_pk equals sign_pk", bad, {5: fields[4]}),
        ("too large", "513 bytes or more are not read", "codec.too-large", {7: "n" * 350}),
    ]


def _forged_certificates(good: Certificate, key: SigningKey) -> list[Case]:
    forged = "crypto.bad-signature"
    signature = good.encoded[-64:]
    s = int.from_bytes(signature[32:], "little") + L
    lax = sign(key, CERTIFICATE, {**plain_fields(make_root()), 1: b"\1" + bytes(31)})[:-64] + LAX_SIGNATURE
    wrong_label = sign(key, "NZ-IDENTITY-01 retire", plain_fields(make_root()))
    rows = [
        (
            "other root's signature",
            "signed by a root that it does not name",
            forged,
            sign(root_key(255), CERTIFICATE, plain_fields(make_root())),
        ),
        (
            "self-signed",
            "the embedded sign_pk is not believed",
            forged,
            sign(make_keys("alice")[0], CERTIFICATE, plain_fields(make_root())),
        ),
        ("label of another purpose", "signed as a retirement", forged, wrong_label),
        ("changed payload", "one bit of the nonce", forged, flip(good.encoded, good.encoded.index(good.nonce))),
        ("changed signature", "one bit of R", forged, flip(good.encoded, len(good.encoded) - 64)),
        ("S not reduced", "S + L instead of S", forged, good.encoded[:-32] + s.to_bytes(32, "little")),
        (
            "root of small order",
            "the neutral point as root_pk, with a signature that lax verifiers accept",
            forged,
            lax,
        ),
        (
            "epoch 0, forged",
            "the signature is judged before the epoch",
            forged,
            sign(root_key(255), CERTIFICATE, {**plain_fields(make_root()), 3: 0}),
        ),
        (
            "equal keys, forged",
            "the keys are judged before the signature",
            "identity.bad-certificate",
            sign(root_key(255), CERTIFICATE, {**plain_fields(make_root()), 4: bytes(make_root().identity)}),
        ),
        ("trailing byte", "one byte too many", "codec.bad-sign1", good.encoded + b"\0"),
        ("truncated", "one byte too few", "codec.bad-sign1", good.encoded[:-1]),
        ("empty", "no bytes at all", "codec.bad-sign1", b""),
        ("payload is a list", "not a map", "identity.bad-certificate", sign(key, CERTIFICATE, [1])),
    ]
    return [case("certificate", name, comment, code, encoded=encoded) for name, comment, code, encoded in rows]


def admissions() -> list[Case]:
    root = make_root()
    held, final = make_certificate(root), make_certificate(root, flags=Flags.FINAL, epoch=EPOCH - 5)
    rows = [
        ("the same again", "", "ok", held, held),
        ("a higher epoch", "rotation", "ok", held, make_certificate(root, "alice 2", epoch=EPOCH + 1)),
        (
            "a lower epoch",
            "replaced keys",
            "identity.older-epoch",
            held,
            make_certificate(root, "alice 0", epoch=EPOCH - 1),
        ),
        ("a fork", "same epoch, other keys", "identity.forked", held, make_certificate(root, "mallory")),
        (
            "a fork in the name only",
            "payloads are compared, all of them",
            "identity.forked",
            held,
            make_certificate(root, name="b"),
        ),
        (
            "a fork healed",
            "a higher epoch replaces either",
            "ok",
            make_certificate(root, "mallory"),
            make_certificate(root, "alice 3", epoch=EPOCH + 1),
        ),
        ("final of a lower epoch", "final wins whatever the epoch", "identity.retired", held, final),
        ("anything after final", "a retired node does not come back", "identity.retired", final, held),
        ("another node", "index 1 of the same identity", "identity.other-node", held, make_certificate(root, index=1)),
        (
            "another identity",
            "the same index of another root",
            "identity.other-node",
            held,
            make_certificate(make_root(255)),
        ),
    ]
    return [
        case("admission", name, comment or name, code, held=old.encoded, offered=new.encoded)
        for name, comment, code, old, new in rows
    ]


def retirements() -> list[Case]:
    root, key, label = make_root(), root_key(), "NZ-IDENTITY-01 retire"
    good = root.retire_identity().encoded
    rows = [
        ("plain", "retires the identity and all its nodes", "ok", good),
        (
            "by another root",
            "nobody else retires an identity",
            "crypto.bad-signature",
            sign(root_key(255), label, {0: 1, 1: root.identity}),
        ),
        (
            "label of a certificate",
            "another purpose",
            "crypto.bad-signature",
            sign(key, CERTIFICATE, {0: 1, 1: root.identity}),
        ),
        (
            "unknown field",
            "maps are closed",
            "identity.bad-retirement",
            sign(key, label, {0: 1, 1: root.identity, 2: 1}),
        ),
        ("short root", "31 bytes", "identity.bad-retirement", sign(key, label, {0: 1, 1: bytes(31)})),
        ("version 2", "an unknown version", "identity.unknown-version", sign(key, label, {0: 2, 1: root.identity})),
    ]
    return [
        case("retirement", name, comment, code, encoded=encoded, root=root.identity)
        for name, comment, code, encoded in rows
    ]


def generate() -> dict[str, object]:
    """All cases; the same bytes at every run."""
    groups = (
        *(mnemonics, nodes, epochs, certificates, admissions, retirements, messages),
        *(requests, approvals, answers, documents, addresses, cards, names),
    )
    return {
        "specification": "spec/identity.md",
        "comment": "byte strings are hex; mnemonics and keys here are published and must never be used",
        "cases": [entry for group in groups for entry in group()],
    }


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(generate(), indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
