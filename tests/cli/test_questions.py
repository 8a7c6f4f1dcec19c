"""Questions to a person in a real terminal: what counts as an answer, and what is left where there is none."""

from pathlib import Path

import pytest

from .conftest import spawn
from .terminal import Terminal

OFFER = "make one and start it? [Y/n]: "


def test_what_is_neither_yes_nor_no_is_asked_again(tmp_path: Path) -> None:
    with Terminal("--home", str(tmp_path / "home"), "invite") as person:
        person.expect(OFFER)
        person.enter("maybe")
        assert "y for yes, n for no" in person.expect(OFFER)
        person.enter("NO")
        assert person.end() == 130
        assert person.shown.endswith("NO\r\n")
    assert not (tmp_path / "home").exists()


def test_a_line_is_asked_for_until_it_is_not_empty(home: str) -> None:
    with Terminal("--home", home, "peer", "add") as person:
        person.expect("the card: ")
        person.enter("")
        person.expect("the card: ")
        person.enter("no card")
        assert person.end() == 1


def test_nobody_is_asked_for_a_card_that_no_node_could_take(tmp_path: Path) -> None:
    with Terminal("--home", str(tmp_path / "home"), "peer", "add") as person:
        assert "the card" not in person.expect(OFFER)
        person.enter("no")
        assert person.end() == 130
    missing = spawn("--home", str(tmp_path / "home"), "--json", "peer", "add", stdin="nzc:card")
    assert (missing.code, missing.error["code"]) == (3, "node.no-home")


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
@pytest.mark.parametrize(("words", "question"), [(("join",), OFFER), (("peer", "add"), "the card: ")])
def test_whoever_leaves_a_question_leaves_its_line(
    tmp_path: Path, home: str, key: bytes, words: tuple[str, ...], question: str
) -> None:
    with Terminal("--home", str(tmp_path / "home") if question == OFFER else home, *words) as person:
        person.expect(question)
        person.press(key)
        assert person.end() == 130
        left = person.shown.partition(question)[2]
        assert left.removeprefix("^C").removeprefix("^D\b\b") == "\r\n"
