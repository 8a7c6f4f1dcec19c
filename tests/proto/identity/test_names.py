import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import UsageError
from nzcore.base.limits import NAME_BYTES
from nzcore.proto.identity.names import check_petname, fold, sanitise, unique_petname

ANY = st.text(max_size=100) | st.text(st.sampled_from("bob-_. 2n1zi\u202e\u200b\u0301\u0300é/$\n\ufe0f"), max_size=80)


@given(ANY)
def test_what_is_sanitised_is_one_harmless_line_and_stays_as_it_is(text):
    name = sanitise(text)
    assert sanitise(name) == name
    assert len(name.encode()) <= NAME_BYTES
    assert unicodedata.is_normalized("NFC", name)
    assert name == name.strip()
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=NAME_BYTES))
def test_plain_text_is_what_it_is_among_other_characters(text):
    assert sanitise(text) == sanitise(f"{text}\u200b") == " ".join(text.split())


@pytest.mark.parametrize(
    "invisible", [0x34F, 0x115F, 0x180E, 0x200B, 0x200D, 0x202E, 0x2066, 0x2800, 0x3164, 0xFE0F, 0xE0101]
)
def test_characters_that_show_as_nothing_vanish(invisible):
    assert sanitise(f"b{chr(invisible)}ob{chr(invisible)}") == "bob"
    assert unique_petname(f"bo{chr(invisible)}b", ["bob"]) == "bob-2"


def test_what_removal_brings_together_is_composed():
    assert sanitise("e\u200b\u0301") == "\u00e9"
    assert sanitise("\u1100\u200b\u1161") == "\uac00"


@given(ANY, st.lists(ANY, max_size=5))
def test_a_petname_is_usable_and_unlike_all_that_are_taken(suggestion, others):
    taken = [unique_petname(other, []) for other in others]
    name = unique_petname(suggestion, taken)
    assert check_petname(name) == name
    assert fold(name) not in {fold(other) for other in taken}
    assert name[0].isalnum()
    assert len(name.encode()) <= NAME_BYTES
    assert not any(c.isspace() or c in "/\\$;&|<>*?'\"`!" for c in name)


@given(ANY)
def test_a_thousand_peers_may_suggest_the_same_name(suggestion):
    taken: list[str] = []
    for _ in range(12):
        taken.append(unique_petname(suggestion, taken))
    assert len({fold(name) for name in taken}) == 12


def test_the_second_bob_is_bob_2():
    assert unique_petname("bob", []) == "bob"
    assert unique_petname("bob", ["bob"]) == "bob-2"
    assert unique_petname("bob", ["bob", "bob-2"]) == "bob-3"
    assert unique_petname("Bob", ["bob"]) == "Bob-2"
    assert unique_petname("ｂｏｂ", ["bob"]) == "ｂｏｂ-2"
    assert unique_petname("bo\u200bb\u202e", ["bob"]) == "bob-2"


def test_a_long_name_keeps_its_number():
    long = "x" * 80
    assert unique_petname(long, [unique_petname(long, [])]) == "x" * 62 + "-2"


@pytest.mark.parametrize("text", ["", " ", "\u200b", "---", "...", "\u0301", "🎉"])
def test_an_unusable_suggestion_becomes_peer(text):
    assert unique_petname(text, ["x"]) == "peer"


@pytest.mark.parametrize("text", ["-rf", ".hidden", "nzn1abc", "NZI1abc", "a b", "a/b", "", "bob\n", "x" * 65, "bob-"])
def test_what_can_not_be_typed_safely_is_no_petname(text):
    with pytest.raises(UsageError) as caught:
        check_petname(text)
    assert check_petname(caught.value.facts["usable"])


@pytest.mark.parametrize("text", ["bob", "bob-2", "Amélie", "老王", "node_7.example", "محمد"])
def test_names_of_all_scripts_are_petnames(text):
    assert check_petname(text) == text
