"""vectors/identity.json holds the code to its word, and its tool makes the same file again."""

import json
from pathlib import Path

import pytest

from nzcore.base.errors import NzError, PeerError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.crypto.keys import SigningKey
from nzcore.crypto.secrets import SecretBytes
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import Card
from nzcore.proto.identity.certificate import Certificate, Retirement, admit, next_epoch
from nzcore.proto.identity.document import verify_document
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.names import sanitise, unique_petname
from nzcore.proto.identity.node_keys import KeySeeds, labelled
from nzcore.proto.identity.root import Root
from nzcore.proto.identity.rotation import PendingKeys, RotationRequest, approve
from tools.vectors import identity

CASES = json.loads(identity.OUTPUT.read_text(encoding="utf-8"))["cases"]


def mnemonic(case):
    words = Mnemonic.parse(case["text"])
    root = Root.from_mnemonic(words)
    assert words.seed().reveal().hex() == case["seed"]
    assert words.reveal() == Mnemonic(bytes.fromhex(case["entropy"])).reveal()
    assert (root.identity.hex(), root.backup_public.hex()) == (case["root"], case["backup_public"])
    assert IdentityId.parse(case["identity"]) == root.identity


def node(case):
    root = Root(SecretBytes(bytes.fromhex(case["seed"])))
    assert root.identity.hex() == case["root"]
    assert root.nonce(case["index"]).hex() == case["nonce"]
    assert root.node_id(case["index"]).hex() == case["node"]
    assert NodeId.parse(case["text"]) == root.node_id(case["index"])


def epoch(case):
    assert next_epoch(case["previous"], case["now"]) == case["epoch"]


def certificate(case):
    parsed = Certificate.parse(bytes.fromhex(case["encoded"]))
    assert (parsed.node.hex(), parsed.epoch) == (case["node"], case["epoch"])
    assert (int(parsed.flags), parsed.name) == (case["flags"], case["shown_name"])


def admission(case):
    held, offered = (Certificate.parse(bytes.fromhex(case[name])) for name in ("held", "offered"))
    assert admit(held, offered) == offered


def retirement(case):
    assert Retirement.parse(bytes.fromhex(case["encoded"])).identity.hex() == case["root"]


def request(case):
    assert RotationRequest.parse(bytes.fromhex(case["encoded"])).code == case["code"]


def approval(case):
    root = Root.from_mnemonic(Mnemonic(bytes.fromhex(case["entropy"])))
    made = approve(root, RotationRequest.parse(bytes.fromhex(case["request"])), case["now"])
    assert made.encoded.hex() == case["answer"]


def answer(case):
    pending = PendingKeys.from_seeds(KeySeeds.decode(bytes.fromhex(case["sign_seed"] + case["agree_seed"])))
    current, made = (Certificate.parse(bytes.fromhex(case[name])) for name in ("current", "answer"))
    assert pending.apply(current, made).certificate == made


def message(case):
    key = SigningKey.from_seed(bytes.fromhex(case["sign_seed"]))
    assert key.public.hex() == case["sign_pk"]
    key.public.verify(bytes.fromhex(case["signature"]), labelled(case["label"], bytes.fromhex(case["message"])))


def address(case):
    parsed = Address.parse(case["text"])
    assert (parsed.text, parsed.dialable) == (case["canonical"], case["dialable"])


def document(case):
    digest, node_id = bytes.fromhex(case["digest"]), NodeId.parse(case["node"])
    assert verify_document(case["text"], digest, case["size"], node_id).node == node_id


def card(case):
    parsed = Card.parse_text(case["text"])
    assert parsed.node.text == case["node"]
    assert [address.text for address in parsed.addresses] == case["addresses"]


def name(case):
    assert sanitise(case["input"]) == case["shown"]
    assert unique_petname(case["input"], []) == case["petname"]


READERS = {
    reader.__name__: reader
    for reader in (
        *(mnemonic, node, epoch, certificate, admission, retirement, message),
        *(request, approval, answer, document, address, card, name),
    )
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}: {case['name']}")
def test_a_vector_is_read_as_it_says(case):
    outcome = "ok"
    try:
        READERS[case["kind"]](case)
    except PeerError as error:
        outcome = error.code
    assert outcome == case["expect"]


def test_each_vector_has_its_own_name_and_says_what_it_shows():
    names = [(case["kind"], case["name"]) for case in CASES]
    assert len(set(names)) == len(names)
    assert all(case["comment"] for case in CASES)
    assert {case["kind"] for case in CASES} == set(READERS)


def test_the_tool_makes_the_same_file_again():
    made = json.dumps(identity.generate(), indent=1, ensure_ascii=True) + "\n"
    assert made == Path(identity.OUTPUT).read_text(encoding="utf-8")


def test_every_refusal_of_a_vector_is_in_the_catalogue():
    for case in CASES:
        if case["expect"] != "ok":
            assert NzError(case["expect"]).reason.hint
