"""spec/identity.md says what the code does: labels, limits, codes and the worked example."""

import re
from pathlib import Path

from nzcore.base.ids import IdentityId, NodeId
from nzcore.base.reasons import identity as reasons
from nzcore.proto.identity import card, certificate, document, root, rotation
from nzcore.proto.identity.certificate import Certificate
from tools.vectors.identity_cast import EPOCH, make_certificate, make_keys, make_root

SPEC = (Path(__file__).parents[3] / "spec" / "identity.md").read_text(encoding="utf-8")
EXAMPLE = SPEC[SPEC.index("## 12.") :]


def test_the_worked_example_is_the_certificate_of_the_cast():
    layout = EXAMPLE[EXAMPLE.index("84 43a10127") :]
    lines = [line.split("  ")[0] if line[0] != " " else line[2:].split("  ")[0] for line in layout.splitlines() if line]
    hexadecimal = [re.sub(r"[^0-9a-f ]", "", line) for line in lines[: lines.index("```")]]
    encoded = bytes.fromhex("".join(hexadecimal))
    assert encoded == make_certificate(make_root()).encoded
    assert Certificate.parse(encoded).epoch == EPOCH


def test_the_worked_example_holds_the_values_of_the_cast():
    made, signing, agreement = make_root(), *make_keys("alice")
    for value in (made.identity, made.backup_public, made.nonce(0), made.node_id(0)):
        assert bytes(value).hex() in EXAMPLE
    for secret in (signing.seed(), agreement.seed()):
        assert secret.reveal().hex() in EXAMPLE
    assert re.findall(r"nzi1\w+", EXAMPLE) == [IdentityId(made.identity).text]
    assert re.findall(r"nzn1\w+", EXAMPLE) == [NodeId(made.node_id(0)).text]


def test_every_label_and_prefix_of_the_code_stands_in_the_specification():
    labels = [certificate.LABEL, certificate.RETIRE_LABEL, rotation.LABEL, document.LABEL]
    infos = [root.ROOT_INFO, root.BACKUP_INFO, certificate.NODE_LABEL, rotation.CODE_LABEL]
    prefixes = {
        card.TEXT_PREFIX: card.CARD_BYTES,
        certificate.TEXT_PREFIX: 512,
        certificate.RETIREMENT_PREFIX: certificate.RETIREMENT_BYTES,
        rotation.TEXT_PREFIX: rotation.REQUEST_BYTES,
        document.TEXT_PREFIX: document.SIGNATURE_BYTES,
    }
    assert [label for label in labels if f"| `{label}` |" not in SPEC] == []
    assert [info for info in infos if f'"{info.decode()}"' not in SPEC] == []
    rows = dict(re.findall(r"^\| `(nz\w+)` \| .* \| ([0-9,]+) B \|$", SPEC, flags=re.MULTILINE))
    assert {prefix: int(size.replace(",", "")) for prefix, size in rows.items()} == prefixes


def test_every_code_of_the_room_stands_in_the_specification_and_no_other():
    named = set(re.findall(r"`identity\.([a-z-]+)`", SPEC))
    assert named == set(reasons.REASONS)


def test_the_largest_certificate_is_as_large_as_the_specification_says():
    flags = certificate.Flags.VOICE
    largest = make_certificate(make_root(), name="n" * 64, epoch=certificate.MAX_EPOCH, flags=flags)
    signing, agreement = make_keys("alice")
    latest = make_root().certify(
        0, signing.public, agreement.public, epoch=certificate.MAX_EPOCH, issued=(1 << 37) - 1, name="n" * 64
    )
    assert len(largest.encoded) <= len(latest.encoded)
    assert f"has {len(latest.encoded)} bytes" in SPEC
