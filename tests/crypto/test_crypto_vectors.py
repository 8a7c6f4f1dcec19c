"""vectors/crypto.json holds for the code, and its tool makes it again to the byte."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nzcore.base.errors import NzError
from nzcore.codec import cbor, cose
from nzcore.crypto.aead import CountingCipher, TransactionOpener, open_secret
from nzcore.crypto.hashing import hkdf
from nzcore.crypto.keys import AgreementPublic, AgreementSecret, KemPublic, KemSecret, SigningKey, VerifyKey
from nzcore.crypto.passphrase import Cost, derive
from nzcore.crypto.secrets import StoreKey, WrappingKey
from tools.vectors import __main__ as tool

FILE = Path(__file__).parents[2] / "vectors" / "crypto.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


class Fields:
    """A case whose hex fields read as bytes."""

    def __init__(self, case: dict[str, object]) -> None:
        self.case = case

    def __getitem__(self, name: str) -> bytes:
        return bytes.fromhex(str(self.case[name]))

    def __contains__(self, name: str) -> bool:
        return name in self.case


def check_cbor(c: Fields) -> None:
    assert cbor.encode(cbor.decode(c["encoded"])) == c["encoded"]


def check_sign1(c: Fields) -> None:
    label = str(c.case["label"])
    sign1 = cose.decode_sign1(c["encoded"], max_bytes=4096)
    VerifyKey(c["public"]).verify(sign1.signature, cose.to_be_signed(sign1.payload, label))
    assert (sign1.payload, cose.to_be_signed(sign1.payload, label)) == (c["payload"], c["signed"])
    assert SigningKey.from_seed(c["seed"]).sign(c["signed"]) == sign1.signature
    assert cose.encode_sign1(sign1) == c["encoded"]


def check_signature(c: Fields) -> None:
    VerifyKey(c["public"]).verify(c["signature"], c["message"])
    key = SigningKey.from_seed(c["seed"])
    assert (key.public, key.sign(c["message"])) == (c["public"], c["signature"])


def check_agreement(c: Fields) -> None:
    secret = AgreementSecret.from_bytes(c["secret"])
    assert secret.public == c["own_public"]
    assert secret.agree(AgreementPublic(c["public"])) == c["shared"]


def check_kem(c: Fields) -> None:
    public = KemPublic(c["public"])
    public.encapsulate()
    key = KemSecret.from_seed(c["seed"])
    assert key.public == public
    assert key.decapsulate(c["ciphertext"]) == c["shared"]


def check_hkdf(c: Fields) -> None:
    assert hkdf(c["ikm"], salt=c["salt"], info=c["info"], length=int(str(c.case["length"]))) == c["output"]


def check_cipher(c: Fields) -> None:
    sealer, opener = CountingCipher(c["key"]), CountingCipher(c["key"])
    messages = c.case["messages"]
    assert isinstance(messages, list)
    for message in map(Fields, messages):
        opened = opener.decrypt(message["ad"], message["sealed"])
        if "plaintext" in message:
            assert opened == message["plaintext"]
            assert sealer.encrypt(message["ad"], opened) == message["sealed"]


def check_transaction(c: Fields) -> None:
    opener = TransactionOpener(StoreKey(c["key"]), c["salt"], str(c.case["label"]))
    assert opener.open(int(str(c.case["index"])), c["aad"], c["sealed"]) == c["plaintext"]


def check_secret(c: Fields) -> None:
    opened = open_secret(WrappingKey(c["key"]), str(c.case["label"]), c["sealed"], aad=c["aad"])
    assert opened.reveal() == c["plaintext"]


def check_passphrase(c: Fields) -> None:
    cost = Cost.stored(int(str(c.case["operations"])), int(str(c.case["memory_bytes"])))
    assert derive(str(c.case["passphrase"]), c["salt"], cost).reveal() == c["key"]


CHECKS: dict[str, Callable[[Fields], None]] = {
    "cbor": check_cbor, "sign1": check_sign1, "signature": check_signature, "agreement": check_agreement,
    "kem": check_kem, "hkdf": check_hkdf, "cipher": check_cipher, "transaction": check_transaction,
    "secret": check_secret, "passphrase": check_passphrase,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_vector_holds(case: dict[str, object]) -> None:
    check = CHECKS[str(case["kind"])]
    if case["expect"] == "ok":
        check(Fields(case))
    else:
        with pytest.raises(NzError) as caught:
            check(Fields(case))
        assert caught.value.code == case["expect"]


def test_every_kind_has_a_good_and_a_bad_vector_where_it_can_fail() -> None:
    kinds = {kind: {case["expect"] == "ok" for case in CASES if case["kind"] == kind} for kind in CHECKS}
    assert kinds.pop("hkdf") == {True}
    assert all(found == {True, False} for found in kinds.values())


def test_the_tool_makes_the_same_file_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.made("crypto") == FILE.read_text(encoding="utf-8")
    assert tool.main(["--check", "crypto"]) == 0
    assert capsys.readouterr().out == "crypto: same\n"


def test_the_tool_tells_a_file_that_differs_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "VECTORS", tmp_path)
    assert tool.main(["--check", "crypto"]) == 1
    assert not list(tmp_path.iterdir())
    assert tool.main(["crypto"]) == 0
    assert tool.main(["--check", "crypto"]) == 0
    assert capsys.readouterr().out.splitlines() == ["crypto: differs", "crypto: written", "crypto: same"]
    with pytest.raises(SystemExit):
        tool.main(["unheard-of"])
