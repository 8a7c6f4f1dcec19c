"""The second half of vectors/identity.json: what leaves a node as a text for people."""

from hashlib import sha256

from nzcore.codec import cbor
from nzcore.codec.cbor import Encodable
from nzcore.proto.identity import armour
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.proto.identity.certificate import Certificate, Flags
from nzcore.proto.identity.document import sign_document
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.identity.rotation import PendingKeys, RotationRequest, approve
from tools.vectors.identity_cast import (
    EPOCH,
    NOW,
    Case,
    Fields,
    case,
    flip,
    make_certificate,
    make_keys,
    make_node,
    make_root,
    sign,
    swap_last,
)


def requests() -> list[Case]:
    root, label = make_root(), "NZ-IDENTITY-01 request"
    current = make_certificate(root)
    signing, agreement = make_keys("alice 2")
    good = PendingKeys(signing, agreement).request(current)
    fields: Fields = {0: 1, 1: current.encoded, 2: signing.public, 3: agreement.public}
    old_signing, old_agreement = make_keys("alice")
    rows = [
        (
            "signed by the current key",
            "only the pending key proves that its holder asks",
            "crypto.bad-signature",
            sign(old_signing, label, fields),
        ),
        (
            "keeps the signing key",
            "both keys must be new",
            "identity.keys-reused",
            sign(old_signing, label, {**fields, 2: old_signing.public}),
        ),
        (
            "keeps the agreement key",
            "both keys must be new",
            "identity.keys-reused",
            sign(signing, label, {**fields, 3: old_agreement.public}),
        ),
        (
            "one key for both uses",
            "pending keys differ",
            "identity.keys-reused",
            sign(signing, label, {**fields, 3: signing.public}),
        ),
        (
            "forged certificate inside",
            "the current certificate is verified too",
            "crypto.bad-signature",
            sign(signing, label, {**fields, 1: flip(current.encoded, len(current.encoded) - 1)}),
        ),
        (
            "without dh_pk",
            "field 3 is absent",
            "identity.bad-request",
            sign(signing, label, {0: 1, 1: current.encoded, 2: signing.public}),
        ),
    ]
    first = case("request", "plain", "what the code on both screens is made of", encoded=good.encoded, code=good.code)
    return [first] + [case("request", name, comment, code, encoded=data) for name, comment, code, data in rows]


def answers() -> list[Case]:
    """What a node does with the certificate that answers its request."""
    root, (signing, agreement) = make_root(), make_keys("alice 2")
    current, other = make_certificate(root), make_keys("bob")

    def answer(who: str = "alice 2", epoch: int = EPOCH + 1, flags: Flags = Flags.NONE, index: int = 0) -> Certificate:
        return make_certificate(root, who, epoch=epoch, flags=flags, index=index)

    half = root.certify(0, signing.public, other[1].public, epoch=EPOCH + 1, issued=NOW)
    rows = [
        ("the pending keys", "a higher epoch over them is taken up", "ok", answer()),
        ("other keys", "the answer to another request", "identity.request-mismatch", answer("bob")),
        ("another agreement key", "one of two keys is not enough", "identity.request-mismatch", half),
        ("another node", "index 1 of the same identity", "identity.other-node", answer(index=1)),
        ("a lower epoch", "older than the current certificate", "identity.older-epoch", answer(epoch=EPOCH - 1)),
        ("the same epoch", "a fork of the current certificate", "identity.forked", answer(epoch=EPOCH)),
        ("a final certificate", "the node is retired instead", "identity.retired", answer(flags=Flags.FINAL)),
    ]
    keys = {"sign_seed": signing.seed().reveal(), "agree_seed": agreement.seed().reveal()}
    return [
        case("answer", name, comment, code, current=current.encoded, answer=made.encoded, **keys)
        for name, comment, code, made in rows
    ]


def approvals() -> list[Case]:
    """What the holder of the mnemonic does with a request; each by the clock of NOW and with nothing else known."""
    root, pending = make_root(), PendingKeys(*make_keys("alice 2"))
    request = pending.request(make_certificate(root)).encoded
    final = pending.request(make_certificate(root, flags=Flags.FINAL)).encoded
    rows = [
        ("plain", "name and flags stay, the epoch grows", "ok", request, 0),
        ("another identity", "the mnemonic of somebody else", "identity.other-identity", request, 255),
        ("a final certificate", "the node is retired", "identity.retired", final, 0),
    ]
    cases = []
    for name, comment, code, encoded, byte in rows:
        made = {"answer": approve(root, RotationRequest.parse(encoded), NOW).encoded} if code == "ok" else {}
        entropy = bytes([byte]) * 32
        cases.append(case("approval", name, comment, code, entropy=entropy, now=NOW, request=encoded, **made))
    return cases


def messages() -> list[Case]:
    """Bare signatures, for formats without CBOR."""
    keys, label = make_node(make_root()), "NZ-TEST-01 message"
    signature = keys.sign_message(label, b"hello")
    rows = [
        ("plain", "label, a zero byte, message", "ok", label, b"hello"),
        ("another label", "another purpose", "crypto.bad-signature", "NZ-TEST-01 messages", b"hello"),
        ("a moved border", "the zero byte holds label and message apart", "crypto.bad-signature", label + "h", b"ello"),
    ]
    values = {"sign_seed": keys.seeds().signing.reveal(), "sign_pk": keys.certificate.sign_key, "signature": signature}
    return [
        case("message", name, comment, code, label=label_, message=message, **values)
        for name, comment, code, label_, message in rows
    ]


def documents() -> list[Case]:
    keys, content = make_node(make_root()), b"nzcore\n"
    digest, size = sha256(content).digest(), len(content)
    good = sign_document(keys, digest, size, issued=NOW)
    rows: list[tuple[str, str, str, str, Case]] = [
        ("plain", "the file holds “nzcore” and a newline", "ok", good.text, {}),
        ("pasted", "wrapped and lower-cased by a mail program", "ok", good.text.lower().replace("\n", "\r\n "), {}),
        (
            "another file",
            "the digest differs",
            "identity.document-changed",
            good.text,
            {"digest": sha256(b"x").hexdigest()},
        ),
        ("another size", "the size differs", "identity.document-changed", good.text, {"size": size + 1}),
        (
            "another node",
            "valid, but by node 1 of the same identity",
            "identity.other-node",
            sign_document(make_node(make_root(), "alice 1", index=1), digest, size, issued=NOW).text,
            {},
        ),
        *((*row, {}) for row in _wrongly_signed(keys, digest, size)),
        ("a card", "a text of another kind", "identity.bad-text", Card.make(keys.certificate).text, {}),
        ("a changed symbol", "the checksum finds it", "identity.bad-text", swap_last(good.text), {}),
    ]
    base: dict[str, object] = {"digest": digest.hex(), "size": size, "node": keys.node.text}
    return [case("document", name, why, code, text=text, **{**base, **more}) for name, why, code, text, more in rows]


def _wrongly_signed(keys: NodeKeys, digest: bytes, size: int) -> list[tuple[str, str, str, str]]:
    """Name, comment, refusal and text of signatures that no signer of documents makes."""
    label = "NZ-IDENTITY-01 document"
    fields: Fields = {0: 1, 1: keys.certificate.encoded, 2: digest, 3: size, 4: NOW}
    final = make_certificate(make_root(), flags=Flags.FINAL)
    rows = [
        (
            "another key",
            "signed by a key that the certificate does not name",
            "crypto.bad-signature",
            sign(make_keys("bob")[0], label, fields),
        ),
        (
            "another label",
            "signed for another purpose",
            "crypto.bad-signature",
            sign(keys.signing, "NZ-TRUST-01 statement", fields),
        ),
        (
            "final certificate",
            "a retired node signs nothing",
            "identity.retired",
            sign(keys.signing, label, {**fields, 1: final.encoded}),
        ),
        (
            "short digest",
            "31 bytes",
            "identity.bad-document",
            sign(keys.signing, label, {**fields, 2: digest[:31]}),
        ),
    ]
    return [(name, comment, code, armour.encode("nzsig", signed)) for name, comment, code, signed in rows]


def cards() -> list[Case]:
    certificate = make_certificate(make_root())
    texts = [
        "tcp://192.0.2.7:7001",
        "tcp://[2001:db8::7]:7001",
        "tcp://[fe80::7%eth0]:7001",
        "tcp://alice.example:7001",
    ]
    good = Card.make(certificate, tuple(Address.parse(text) for text in texts))
    data = {"node": certificate.node.text, "addresses": texts}
    cases = [
        case("card", "plain", "four addresses", text=good.text, **data),
        case("card", "from a QR code", "all upper case", text=good.qr_text, **data),
        case(
            "card",
            "wrapped",
            "spaces and line ends inside",
            text=" \n".join([good.text[:9], good.text[9:99], good.text[99:]]),
            **data,
        ),
        case(
            "card",
            "no address",
            "found by discovery",
            text=Card.make(certificate).text,
            node=data["node"],
            addresses=[],
        ),
    ]
    rows = [*_bad_contents(certificate, texts), *_bad_texts(good.text)]
    return cases + [case("card", name, comment, code, text=text) for name, comment, code, text in rows]


def _bad_contents(certificate: Certificate, texts: list[str]) -> list[tuple[str, str, str, str]]:
    """Name, comment, refusal and text of cards that say what no card may say."""
    final = make_certificate(make_root(), flags=Flags.FINAL)

    def packed(addresses: Encodable, **fields: Encodable) -> str:
        numbered: Fields = {int(key[1:]): value for key, value in fields.items()}
        base: Fields = {0: 1, 1: certificate.encoded, 2: addresses}
        return armour.encode("nzc", cbor.encode({**base, **numbered}))

    bad = "identity.bad-card"
    return [
        ("nine addresses", "eight at most", bad, packed([f"tcp://192.0.2.{i}:7001" for i in range(9)])),
        ("one address twice", "addresses are distinct", bad, packed(texts[:1] * 2)),
        ("upper-case host", "addresses are canonical", bad, packed(["tcp://ALICE.example:7001"])),
        ("port 0", "nobody can dial it", bad, packed(["tcp://192.0.2.7:0"])),
        ("unspecified address", "nobody can dial it", bad, packed(["tcp://0.0.0.0:7001"])),
        ("not an address", "another scheme", "identity.bad-address", packed(["udp://192.0.2.7:7001"])),
        ("unknown field", "maps are closed", bad, packed([], _3=1)),
        ("version 2", "an unknown version", "identity.unknown-version", packed([], _0=2)),
        ("final certificate", "a retired node can't be added", "identity.retired", packed([], _1=final.encoded)),
        (
            "changed certificate",
            "its signature fails",
            "crypto.bad-signature",
            packed([], _1=flip(certificate.encoded, 50)),
        ),
    ]


def _bad_texts(good: str) -> list[tuple[str, str, str, str]]:
    """The same of texts that hold no card."""
    return [
        ("changed symbol", "the checksum finds it", "identity.bad-text", swap_last(good)),
        ("padded", "base32 padding is not written", "identity.bad-text", good + "="),
        ("no prefix", "the prefix says what it is", "identity.bad-text", good[4:]),
        ("too long", "more than 1 KiB", "identity.bad-text", armour.encode("nzc", bytes(1025))),
    ]


def addresses() -> list[Case]:
    good = [
        ("IPv4", "", "tcp://192.0.2.7:7001", "tcp://192.0.2.7:7001", True),
        ("IPv6", "compressed and in lower case", "tcp://[2001:DB8:0:0::7]:7001", "tcp://[2001:db8::7]:7001", True),
        ("IPv6 with a scope", "the scope keeps its case", "tcp://[FE80::1%Eth0]:1", "tcp://[fe80::1%Eth0]:1", True),
        ("a name", "in lower case", "tcp://Node-7.Example:80", "tcp://node-7.example:80", True),
        ("port 0", "to listen on, not to dial", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0", False),
        ("unspecified", "to listen on, not to dial", "tcp://[::]:7001", "tcp://[::]:7001", False),
        ("multicast", "means many", "tcp://224.0.0.251:7001", "tcp://224.0.0.251:7001", False),
    ]
    bad = [
        ("no scheme", "192.0.2.7:7001"),
        ("another scheme", "udp://192.0.2.7:7001"),
        ("no port", "tcp://192.0.2.7"),
        ("port 65536", "tcp://192.0.2.7:65536"),
        ("port with a leading zero", "tcp://192.0.2.7:07001"),
        ("a path behind", "tcp://192.0.2.7:7001/"),
        ("white space behind", "tcp://192.0.2.7:7001\n"),
        ("IPv4 with three parts", "tcp://192.0.2:7001"),
        ("IPv4 as one hexadecimal number", "tcp://0x7f000001:7001"),
        ("IPv4 with hexadecimal parts", "tcp://0x7F.0x0.0x0.0x1:7001"),
        ("a name that ends in a number", "tcp://alice.example.0x:7001"),
        ("IPv4 with a leading zero", "tcp://192.0.2.07:7001"),
        ("IPv6 without brackets", "tcp://2001:db8::7:7001"),
        ("IPv4 written as IPv6", "tcp://[::ffff:192.0.2.7]:7001"),
        ("IPv4 written as IPv6 in hexadecimal", "tcp://[::ffff:c000:207]:7001"),
        ("a scope on a global address", "tcp://[2001:db8::7%eth0]:7001"),
        ("a scope of 16 characters", "tcp://[fe80::1%0123456789abcdef]:7001"),
        ("a label that ends with a hyphen", "tcp://a-.example:1"),
        ("a label of 64 characters", f"tcp://{'a' * 64}.example:1"),
        ("a name outside ASCII", "tcp://b\u00fccher.example:1"),
    ]
    cases = [
        case("address", name, comment or name, text=text, canonical=canonical, dialable=dialable)
        for name, comment, text, canonical, dialable in good
    ]
    return cases + [case("address", name, name, "identity.bad-address", text=text) for name, text in bad]


def names() -> list[Case]:
    rows = [
        ("plain", "kept", "bob", "bob", "bob"),
        ("decomposed", "composed: NFC", "Ame\u0301lie", "Am\u00e9lie", "Am\u00e9lie"),
        ("right-to-left override", "removed", "bob\u202egpj.exe", "bobgpj.exe", "bobgpj.exe"),
        ("zero-width", "removed", "b\u200bo\u200db\ufeff", "bob", "bob"),
        ("control characters", "removed; line ends become spaces", "bob\x1b[31m\nroot", "bob[31m root", "bob-31m-root"),
        ("an option", "a petname can't start like one", "--force", "--force", "force"),
        ("a NodeId", "a petname can't pose as an id", "nzn1qqqq", "nzn1qqqq", "peer-nzn1qqqq"),
        ("a heap of marks", "two in a row", "z\u0300\u0301\u0302\u0303\u0304", "z\u0300\u0301", "z\u0300\u0301"),
        ("too long", "cut between characters", "\u00e9" * 40, "\u00e9" * 32, "\u00e9" * 32),
        ("nothing left", "shown as nothing, called peer", "\u200b\u2060", "", "peer"),
        ("shell characters", "a petname is safe to type", "bob; rm -rf $HOME", "bob; rm -rf $HOME", "bob-rm-rf-HOME"),
    ]
    return [
        case("name", name, comment, input=given, shown=shown, petname=petname)
        for name, comment, given, shown, petname in rows
    ]
