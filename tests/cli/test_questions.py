"""Questions to a person in a real terminal: what counts as an answer, and what is left where there is none."""

from pathlib import Path

import pytest

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


def test_a_line_is_asked_for_until_it_is_not_empty(tmp_path: Path) -> None:
    with Terminal("--home", str(tmp_path / "home"), "peer", "add") as person:
        person.expect("the card: ")
        person.enter("")
        person.expect("the card: ")
        person.enter("no card")  # there is no node either
        assert person.end() == 3


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
@pytest.mark.parametrize(("words", "question"), [(("join",), OFFER), (("peer", "add"), "the card: ")])
def test_whoever_leaves_a_question_leaves_its_line(
    tmp_path: Path, key: bytes, words: tuple[str, ...], question: str
) -> None:
    with Terminal("--home", str(tmp_path / "home"), *words) as person:
        person.expect(question)
        person.press(key)
        assert person.end() == 130
        left = person.shown.partition(question)[2]
        assert left.removeprefix("^C").removeprefix("^D\b\b") == "\r\n"
