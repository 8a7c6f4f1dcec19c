"""What a node's keys and its identity's words do by command, with a running node and without one."""

from pathlib import Path
from typing import Any

import pytest

from nzcore.cli import qr

from .conftest import Run, spawn
from .terminal import Terminal
from .test_offline import complete


@pytest.fixture
def resting(run: Run, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A home whose node does not run, with its words beside it in `words`."""
    made = run("--home", tmp_path / "a", "--json", "init", "--no-passphrase", "--mnemonic-out", tmp_path / "words").json
    return tmp_path / "a", made


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    path = tmp_path / "letter"
    path.write_bytes(b"dear bob" * 100_000)
    return path


def test_a_node_shows_who_it_is_running_or_not(
    run: Run, home: str, node: dict[str, Any], resting: tuple[Path, dict[str, Any]]
) -> None:
    for place, made in ((home, node), resting):
        shown = run("--home", place, "--json", "identity", "show").json
        assert set(shown) == {"node", "identity", "name", "epoch", "sign_key", "dh_key"}
        assert (shown["node"], shown["identity"]) == (made["node"], made["identity"])


def test_who_a_sealed_node_is_needs_no_passphrase(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    home = tmp_path / "home"
    made = run("--home", home, "--json", "init", "--passphrase-file", secret).json
    public = run("--home", home, "--json", "identity", "show")
    assert public.json["node"] == made["node"]
    assert public.out == run("--home", home, "--json", "identity", "show", "--passphrase-file", secret).out
    (home / "certificate").write_text("nonsense")
    ended = run("--home", home, "--json", "identity", "show")
    assert (ended.code, ended.error["code"]) == (1, "identity.bad-text")


def test_a_signature_verifies_anywhere_and_for_this_file_and_node_only(
    run: Run, home: str, node: dict[str, Any], letter: Path, tmp_path: Path, resting: tuple[Path, dict[str, Any]]
) -> None:
    text = run("--home", home, "identity", "sign", letter).out
    signature = tmp_path / "letter.sig"
    signature.write_text(text)
    for sig in (str(signature), text):
        good = run("--home", tmp_path / "nowhere", "--json", "identity", "verify", letter, sig, node["node"]).json
        assert (good["valid"], good["node"], good["size"]) == (True, node["node"], 800_000)
    assert run("identity", "verify", letter, signature, node["node"]).out.startswith("good signature\n")
    other = run("--json", "identity", "verify", letter, signature, resting[1]["node"])
    assert (other.code, other.error["code"]) == (1, "identity.other-node")
    letter.write_bytes(letter.read_bytes() + b"!")
    changed = run("--json", "identity", "verify", letter, signature, node["node"])
    assert (changed.code, changed.out, changed.error["code"]) == (1, "", "identity.document-changed")


@pytest.mark.real
def test_a_signer_can_be_called_by_petname_while_the_node_runs(
    run: Run, home: str, bob: str, letter: Path, resting: tuple[Path, dict[str, Any]]
) -> None:
    signature = run("--home", bob, "identity", "sign", letter).out
    node = run("--home", bob, "--json", "identity", "show").json["node"]
    for name in ("bob", "BO", node[:20], node, node.upper()):
        good = run("--home", home, "--json", "identity", "verify", letter, signature, name)
        assert (good.code, good.json["node"], good.json["name"]) == (0, node, "bob"), name
    assert run("--home", home, "peer", "rename", "bob", "robert").code == 0
    try:
        shown = run("--home", home, "identity", "verify", letter, signature, "robert").out
        assert f"by            robert  {node}\ncalls itself  bob\n" in shown
        assert complete("identity", "verify", "letter", "sig", "r", home=home) == ["robert"]
    finally:
        run("--home", home, "peer", "rename", "robert", "bob")
    unknown = run("--home", home, "--json", "identity", "verify", letter, signature, "carol")
    assert (unknown.code, unknown.error["code"], unknown.error["candidates"]) == (1, "node.unknown-peer", ["bob"])
    other = run("--home", bob, "--json", "identity", "verify", letter, signature, "tester")
    assert (other.code, other.error["code"]) == (1, "identity.other-node")
    down = run("--home", resting[0], "--json", "identity", "verify", letter, signature, "bob")
    assert (down.code, down.error["code"]) == (3, "ipc.not-running")
    assert "nzn1" in down.error["hint"]
    slip = f"{node[:-1]}{'q' if node[-1] != 'q' else 'p'}"
    assert run("--home", home, "--json", "identity", "verify", letter, signature, slip).error["code"] == "base.bad-text"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("FILE", "nzsig:AAAA", "nzn1x"), "base.bad-text"),
        (("FILE", "nzsig:AAAA", "NODE"), "identity.bad-text"),
        (("FILE", "/nonexistent", "NODE"), "cli.unreadable"),
        (("/nonexistent", "SIG", "NODE"), "cli.unreadable"),
    ],
)
def test_what_is_no_signature_is_one_sentence(
    run: Run, home: str, node: dict[str, Any], letter: Path, words: tuple[str, ...], code: str
) -> None:
    signature = run("--home", home, "--json", "identity", "sign", letter).json["signature"]
    real = {"FILE": str(letter), "NODE": node["node"], "SIG": signature}
    ended = run("--json", "identity", "verify", *(real.get(word, word) for word in words))
    assert (ended.code, ended.error["code"]) == (1, code)


def test_keys_are_rotated_with_the_words_and_the_node_stays(run: Run, resting: tuple[Path, dict[str, Any]]) -> None:
    home, made = resting
    before = run("--home", home, "--json", "identity", "show").json
    after = run("--home", home, "--json", "identity", "rotate", "--mnemonic-file", home.parent / "words").json
    assert after["node"] == made["node"]
    assert after["epoch"] > before["epoch"]
    assert after["sign_key"] != before["sign_key"]
    assert run("--home", home, "--json", "identity", "show").json == after


def test_rotation_needs_the_words(run: Run, resting: tuple[Path, dict[str, Any]]) -> None:
    ended = run("--home", resting[0], "--json", "identity", "rotate")
    assert (ended.code, ended.error["code"]) == (2, "cli.no-mnemonic")


def test_a_rotation_by_request_never_brings_the_words_to_the_node(
    run: Run, resting: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, made = resting
    before = run("--home", home, "--json", "identity", "show").json
    asked = run("--home", home, "identity", "request")
    assert "code to compare" in asked.err
    (tmp_path / "request").write_text(asked.out)
    answer = run("--json", "identity", "sign", tmp_path / "request", "--mnemonic-file", tmp_path / "words").json
    assert answer["node"] == made["node"]
    (tmp_path / "answer").write_text(answer["certificate"])
    after = run("--home", home, "--json", "identity", "apply", tmp_path / "answer").json
    assert (after["node"], after["epoch"]) == (made["node"], answer["epoch"])
    assert after["sign_key"] != before["sign_key"]


@pytest.mark.real
def test_a_person_is_asked_for_the_certificate(run: Run, resting: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, made = resting
    (tmp_path / "request").write_text(run("--home", home, "identity", "request").out)
    answer = run("--json", "identity", "sign", tmp_path / "request", "--mnemonic-file", tmp_path / "words").json
    with Terminal("--home", str(home), "identity", "apply") as terminal:
        terminal.expect("paste the certificate, then Enter and Ctrl-D")
        terminal.enter(answer["certificate"].replace("\n", "\r"))
        terminal.press(b"\x04")
        terminal.expect(made["node"])
        assert terminal.end() == 0


def test_no_certificate_at_all_is_a_slip(resting: tuple[Path, dict[str, Any]]) -> None:
    ended = spawn("--home", str(resting[0]), "--json", "identity", "apply")
    assert (ended.code, ended.error["code"]) == (2, "cli.no-certificate")


def test_an_export_is_the_same_node_elsewhere(run: Run, resting: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, made = resting
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    export = tmp_path / "export"
    assert run("--home", home, "identity", "export", export, "--passphrase-file", secret).code == 0
    assert export.stat().st_mode & 0o077 == 0
    words = ("identity", "import", export, "--no-passphrase", "--passphrase-file")
    wrong = run("--home", tmp_path / "b", "--json", *words, tmp_path / "words")
    assert wrong.code == 1
    assert not (tmp_path / "b").exists()
    moved = run("--home", tmp_path / "b", "--json", *words, secret).json
    assert (moved["node"], moved["identity"]) == (made["node"], made["identity"])
    sealed = run("--home", tmp_path / "c", "--json", *words[:3], "--passphrase-file", secret)
    assert sealed.json["node"] == made["node"]
    told = run("--home", tmp_path / "e", *words, secret)
    assert told.out.endswith(f"\nnext: nzcore --home {tmp_path / 'e'} up -d\n")
    assert not (tmp_path / "c" / "vault.key").exists()
    both = run("--home", tmp_path / "d", "--json", *words, secret, "--export-passphrase-file", secret)
    assert (both.code, both.error["code"]) == (2, "cli.usage")
    over = run("--home", tmp_path / "b", "--json", *words, secret)
    assert (over.code, over.error["code"]) == (1, "cli.home-exists")


def test_an_export_overwrites_nothing_and_needs_a_passphrase(run: Run, home: str, letter: Path, tmp_path: Path) -> None:
    taken = run("--home", home, "--json", "identity", "export", letter)
    assert (taken.code, taken.error["code"]) == (1, "cli.file-exists")
    bare = run("--home", home, "--json", "identity", "export", tmp_path / "new")
    assert (bare.code, bare.error["code"]) == (2, "cli.passphrase-needed")
    assert not (tmp_path / "new").exists()


def test_a_card_is_public_text_and_a_picture(run: Run, home: str) -> None:
    card = run("--home", home, "--json", "identity", "card").json
    assert list(card) == ["card"]
    assert card["card"].lower().startswith("nzc:")
    bare = run("--home", home, "identity", "card", "--no-addresses").out.strip()
    assert len(bare) <= len(card["card"])
    drawn = run("--home", home, "identity", "card", "--qr").out
    assert "█" in drawn
    assert drawn.splitlines()[-1] == card["card"]


def test_the_drawn_code_reads_back_as_the_card() -> None:
    zxing = pytest.importorskip("zxingcpp", reason="pictures are read by the extra zxing-cpp")
    image = pytest.importorskip("PIL.Image", reason="pictures are drawn by the extra pillow")
    text = "nzc:" + "ABCDEFGHIJKLMNOP234567" * 20
    rows = qr.drawn(text.upper()).splitlines()
    pixels = [[c in half for c in row] for row in rows for half in ("█▀", "█▄")]
    picture = image.new("L", (len(pixels[0]) * 4, len(pixels) * 4))
    for y in range(picture.height):
        for x in range(picture.width):
            picture.putpixel((x, y), 255 if pixels[y // 4][x // 4] else 0)
    assert [code.text for code in zxing.read_barcodes(picture)] == [text.upper()]


@pytest.mark.real
def test_a_certificate_comes_by_standard_input_too(resting: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, made = resting
    asked = spawn("--home", str(home), "--json", "identity", "request").json["request"]
    words = str(tmp_path / "words")
    answer = spawn("--json", "identity", "sign", "-", "--mnemonic-file", words, stdin=asked).json["certificate"]
    after = spawn("--home", str(home), "--json", "identity", "apply", stdin=answer)
    assert after.code == 0, after.err
    assert after.json["node"] == made["node"]


@pytest.mark.real
def test_in_a_terminal_a_request_is_answered_when_the_codes_are_the_same(
    resting: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, made = resting
    asked = spawn("--home", str(home), "identity", "request")
    code = asked.err.split()[-1]
    (tmp_path / "request").write_text(asked.out)
    words = ("identity", "sign", str(tmp_path / "request"), "--mnemonic-file", str(tmp_path / "words"))
    for answer, ends in (("n", 130), ("y", 0)):
        with Terminal(*words) as terminal:
            terminal.expect(made["node"])
            terminal.expect(f"code: {code}")
            terminal.expect("same code?")
            terminal.enter(answer)
            assert terminal.end() == ends
            assert ("nzcert:" in terminal.shown) == (answer == "y")
