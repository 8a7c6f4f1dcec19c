"""Codes and the catalogue hold each other to account."""

import ast
from pathlib import Path

import pytest

import nzcore
from nzcore.base.errors import NzError, PeerError
from nzcore.base.reasons import catalogue, reason

SOURCE = Path(nzcore.__file__).parent
CODES = catalogue()


def code_like_literals() -> dict[str, list[str]]:
    """Every string literal outside the catalogue that looks like `room.slug` of a known room."""
    rooms = {code.partition(".")[0] for code in CODES}
    found: dict[str, list[str]] = {}
    for path in SOURCE.rglob("*.py"):
        if "reasons" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
                for argument in node.args[:1]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        found.setdefault(argument.value, []).append(f"{path.name}:{node.lineno}")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CODES:
                found.setdefault(node.value, []).append(f"{path.name}:{node.lineno}")
    return {code: places for code, places in found.items() if code.partition(".")[0] in rooms}


def test_every_code_that_is_raised_is_explained() -> None:
    assert {code: places for code, places in code_like_literals().items() if code not in CODES} == {}


def test_every_explained_code_is_used() -> None:
    assert sorted(set(CODES) - set(code_like_literals())) == []


@pytest.mark.parametrize("code", CODES)
def test_a_reason_reads_as_a_sentence_without_its_full_stop(code: str) -> None:
    entry = CODES[code]
    for text in (entry.meaning, entry.hint):
        assert text
        assert not text.endswith(".")
        assert text[0] == text[0].lower() or text.split()[0].isupper() or not text.split()[0].isalpha()


def test_wire_numbers_are_unique() -> None:
    numbers = [entry.wire for entry in CODES.values() if entry.wire]
    assert len(numbers) == len(set(numbers))


def test_message_and_hint_come_from_the_catalogue_unless_given() -> None:
    error = PeerError("base.bad-text")
    assert error.message == reason("base.bad-text").meaning
    assert error.hint == reason("base.bad-text").hint
    special = PeerError("base.bad-text", "a broken text", hint="try again", size=3)
    assert (special.message, special.hint, special.facts) == ("a broken text", "try again", {"size": 3})
    assert str(special) == "a broken text [base.bad-text]"
    assert repr(special) == "PeerError('base.bad-text', 'a broken text', size=3)"


@pytest.mark.parametrize("code", ["nowhere.slug", "base.nothing", "base", "..", "os.path"])
def test_an_unknown_code_is_a_key_error(code: str) -> None:
    with pytest.raises(KeyError):
        _ = NzError(code).reason
