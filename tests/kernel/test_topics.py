"""Topics and patterns: `*` is one word, a last `**` is the rest."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import UsageError
from nzcore.kernel.topics import MAX_CHARACTERS, check_pattern, check_topic, matches

words = st.sampled_from(["a", "b", "c"])
topics = st.lists(words, min_size=1, max_size=4).map(".".join)
patterns = st.tuples(st.lists(words | st.just("*"), min_size=0, max_size=3), words | st.sampled_from(["*", "**"])).map(
    lambda parts: ".".join([*parts[0], parts[1]])
)


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.**", "a", True),
        ("a.**", "a.b.c", True),
        ("a.**", "ab.c", False),
        ("**", "x.y", True),
        ("*.b", "a.b", True),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.d", False),
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
    ],
)
def test_a_pattern_matches_what_the_table_says(pattern, topic, expected):
    assert matches(check_pattern(pattern), check_topic(topic)) is expected


@given(patterns, topics)
def test_matching_agrees_with_a_regular_expression(pattern, topic):
    text = re.escape(pattern).replace(r"\*\*", "@").replace(r"\*", r"[^.]+")
    text = r"[^.]+(\.[^.]+)*" if text == "@" else text.replace(r"\.@", r"(\.[^.]+)*")
    assert matches(check_pattern(pattern), check_topic(topic)) is bool(re.fullmatch(text, topic))


@pytest.mark.parametrize("topic", ["", ".", "a.", ".a", "a..b", "a b", "a.*", "**", "a\n", "x" * (MAX_CHARACTERS + 1)])
def test_a_malformed_topic_is_refused(topic):
    with pytest.raises(UsageError) as refusal:
        check_topic(topic)
    assert refusal.value.code == "kernel.bad-topic"


@pytest.mark.parametrize("pattern", ["", "a.", "a..b", "**.a", "a.b*", "a.***", "a*.b"])
def test_a_malformed_pattern_is_refused(pattern):
    with pytest.raises(UsageError) as refusal:
        check_pattern(pattern)
    assert refusal.value.code == "kernel.bad-topic"


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_a_refusal(text):
    with contextlib.suppress(UsageError):
        assert ".".join(check_pattern(text)) == text
