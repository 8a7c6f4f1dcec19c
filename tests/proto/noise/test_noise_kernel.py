"""The door: three handshakes, and no way for the rest of nzcore to any other."""

import ast
from pathlib import Path

import pytest

import nzcore
from nzcore.base.errors import UsageError
from nzcore.crypto.keys import AgreementSecret
from nzcore.proto.noise import kernel

ROOT = Path(nzcore.__file__).parent
DOOR = "nzcore.proto.noise.kernel"
INSIDE = ROOT / "proto" / "noise"


def imports_of(source: str) -> set[str]:
    """Full names of the modules, or names in modules, that a source imports from this package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if (name + ".").startswith("nzcore.proto.noise.")}


def passes(name: str) -> bool:
    """Only the door's own public names: not the generic machine, not a private pattern behind it."""
    return name == DOOR or (name.startswith(DOOR + ".") and name.removeprefix(DOOR + ".") in kernel.__all__)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("from nzcore.proto.noise.kernel import channel_handshake, Transport", True),
        ("from nzcore.proto.noise import kernel", True),
        ("from nzcore.proto.noise.kernel import _CHANNEL", False),
        ("from nzcore.proto.noise.patterns import parse", False),
        ("from nzcore.proto.noise import handshake", False),
        ("import nzcore.proto.noise.handshake", False),
        ("def late():\n    from nzcore.proto.noise.symmetric import SymmetricState", False),
        ("import nzcore.proto.noise", False),
    ],
)
def test_the_check_below_tells_the_door_from_the_walls(source: str, allowed: bool) -> None:
    assert all(map(passes, imports_of(source))) == allowed


def test_nothing_outside_this_package_imports_more_than_its_door() -> None:
    sources = [path for path in ROOT.rglob("*.py") if INSIDE not in path.parents]
    assert len(sources) > 10
    trespassers = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources
        for name in imports_of(path.read_text(encoding="utf-8"))
        if not passes(name)
    }
    assert not trespassers


def test_the_kernel_knows_exactly_three_patterns() -> None:
    source = ast.parse((INSIDE / "kernel.py").read_text(encoding="utf-8"))
    parsed = [
        node.args[0].value
        for node in ast.walk(source)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "parse"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert parsed == ["XXhfs+psk0", "NNhfs+psk0", "N"]


def test_a_channel_its_rekey_and_an_envelope_work_through_the_door() -> None:
    one, two = AgreementSecret.generate(), AgreementSecret.generate()
    sides = [
        kernel.channel_handshake(initiator=initiator, prologue=b"p", static=static, psk=b"\1" * 32)
        for initiator, static in ((True, one), (False, two))
    ]
    for index, size in enumerate(kernel.CHANNEL_MESSAGES):
        message = sides[index % 2].write_message()
        assert len(message) == size
        assert sides[1 - index % 2].read_message(message) == b""
    assert (sides[0].remote_static, sides[1].remote_static) == (two.public, one.public)
    exporter = sides[0].split("x").exporter
    assert exporter == sides[1].split("x").exporter

    sides = [kernel.rekey_handshake(initiator=initiator, prologue=b"r", psk=exporter) for initiator in (True, False)]
    for index, size in enumerate(kernel.REKEY_MESSAGES):
        message = sides[index].write_message()
        assert len(message) == size
        sides[1 - index].read_message(message)
    assert sides[0].split("y").exporter == sides[1].split("y").exporter

    sender = kernel.envelope_sender(two.public, prologue=b"e")
    recipient = kernel.envelope_recipient(two, prologue=b"e")
    sealed = sender.write_message(b"header")
    assert len(sealed) == kernel.ENVELOPE_BYTES + 6
    assert recipient.read_message(sealed) == b"header"
    record = sender.split_one_way("z").cipher.encrypt(b"", b"body")
    assert recipient.split_one_way("z").cipher.decrypt(b"", record) == b"body"


def test_a_psk_of_another_size_is_refused_at_the_door() -> None:
    with pytest.raises(UsageError):
        kernel.rekey_handshake(initiator=True, prologue=b"", psk=b"")
