"""Names of received files: whatever comes, what is written is harmless and distinct."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.proto.files.names import MAX_NAME_BYTES, FreeNames, folded, numbered, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("letter.txt", "letter.txt"),
        ("Grüße aus Köln.pdf", "Grüße aus Köln.pdf"),
        ("写真.jpg", "写真.jpg"),
        (".bashrc", "_.bashrc"),
        ("..", "file"),
        ("...", "file"),
        ("-rf", "_-rf"),
        ("~root", "_~root"),
        ("a\\b", "a_b"),
        ("C:evil.exe", "C_evil.exe"),
        ("new\nline", "new_line"),
        ("\x1b[31mred", "_[31mred"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("zero\u200bwidth", "zero_width"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("Com1.tar.gz", "_Com1.tar.gz"),
        ("aux .h", "_aux .h"),
        ("lpt¹", "_lpt¹"),
        ("console.log", "console.log"),
        ("trailing. . ", "trailing"),
        ("  leading", "leading"),
        ("", "file"),
        ("\udcff\udcfe", "__"),
        ("a" * 300 + ".jpeg", "a" * 195 + ".jpeg"),
        ("x." + "y" * 300, ("x." + "y" * 300)[:200]),
    ],
)
def test_a_name_is_made_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_becomes_one_ordinary_name(name: str) -> None:
    safe = safe_name(name)
    assert 1 <= len(safe.encode()) <= MAX_NAME_BYTES
    assert safe not in (".", "..")
    assert not safe.startswith((".", "-", "~", " "))
    assert not safe.endswith((".", " "))
    assert not set(safe) & set('/\\:*?"<>|')
    assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs") for character in safe)
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a.txt", "a (2).txt"),
        ("a", "a (2)"),
        ("a.tar.gz", "a.tar (2).gz"),
        ("v1." + "x" * 30, "v1." + "x" * 30 + " (2)"),
    ],
)
def test_a_number_goes_before_the_ending(name: str, second: str) -> None:
    assert numbered(name, 1) == name
    assert numbered(name, 2) == second


def test_names_that_differ_only_in_case_or_unicode_form_get_numbers() -> None:
    names = FreeNames()
    assert [names.take(name) for name in ("A.txt", "a.txt", "a (2).txt", "é", "e\u0301", "STRASSE", "straße")] == [
        "A.txt",
        "a (2).txt",
        "a (2) (2).txt",
        "é",
        "e\u0301 (2)",
        "STRASSE",
        "straße (2)",
    ]


@given(st.lists(st.sampled_from(["a", "A", "a (2)", "A (2)", "b.c", "B.C", "b (2).c"]), max_size=30))
def test_taken_names_are_distinct_to_every_file_system(wishes: list[str]) -> None:
    names = FreeNames()
    taken = [folded(names.take(wish)) for wish in wishes]
    assert len(set(taken)) == len(taken)
