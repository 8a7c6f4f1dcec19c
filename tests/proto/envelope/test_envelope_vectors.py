"""vectors/envelope.json holds the code to its word, and its tool makes the same file again."""

import json
from pathlib import Path

import pytest

from nzcore.base.errors import PeerError
from nzcore.base.reasons import envelope as reasons
from nzcore.crypto.keys import AgreementSecret, SigningKey
from nzcore.proto.envelope.layout import HEAD_BYTES
from nzcore.proto.envelope.opener import Opener, open_head
from nzcore.proto.envelope.seal import Sender
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.node_keys import NodeKeys
from tools.vectors import envelope
from tools.vectors.__main__ import made

FILE = Path(__file__).parents[3] / "vectors" / "envelope.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))
CASES = DOCUMENT["cases"]


def keys_of(who: str) -> NodeKeys:
    person = DOCUMENT["cast"][who]
    signing = SigningKey.from_seed(bytes.fromhex(person["sign_seed"]))
    agreement = AgreementSecret.from_bytes(bytes.fromhex(person["dh_secret"]))
    return NodeKeys(signing, agreement, Certificate.parse(bytes.fromhex(person["certificate"])))


def opened(case) -> tuple[bytes, Sender]:
    keys = keys_of(case["recipient"])
    known = Certificate.parse(bytes.fromhex(case["known"])) if "known" in case else None
    opener = Opener(lambda head: open_head(keys, head))
    content = b"".join(opener.feed(bytes.fromhex(case["envelope"])))
    return content, opener.finish(lambda _: known)


@pytest.mark.parametrize("case", [case for case in CASES if "content" in case], ids=lambda case: case["name"])
def test_a_good_envelope_opens_as_it_says(case) -> None:
    content, sender = opened(case)
    assert content.hex() == case["content"]
    assert sender == Sender(keys_of(case["sender"]).certificate, case["issued"])
    key = open_head(keys_of(case["recipient"]), bytes.fromhex(case["envelope"])[:HEAD_BYTES])
    assert (key.handshake.hex(), key.key.hex()) == (case["handshake"], case["key"])


@pytest.mark.parametrize("case", [case for case in CASES if case["expect"] != "ok"], ids=lambda case: case["name"])
def test_a_bad_envelope_is_refused_with_its_code(case) -> None:
    with pytest.raises(PeerError) as refused:
        opened(case)
    assert refused.value.code == case["expect"]


def test_a_long_envelope_is_made_of_the_records_that_it_says() -> None:
    (case,) = [case for case in CASES if "zeros" in case]
    made_now = envelope.seal(keys_of(case["sender"]), keys_of(case["recipient"]).certificate, bytes(case["zeros"]))
    assert (len(made_now), made_now[-900:].hex()) == (case["size"], case["tail"])


def test_every_code_that_bytes_can_cause_has_a_case() -> None:
    callers = {"out-of-turn", "bad-argument", "recipient-retired", "weak-recipient"}
    assert {case["expect"] for case in CASES} - {"ok"} == {
        f"envelope.{code}" for code in set(reasons.REASONS) - callers
    }


def test_the_tool_makes_the_same_file_again() -> None:
    assert made("envelope") == FILE.read_text(encoding="utf-8")
