"""Topics and patterns of the bus (spec/core.md §7): dotted words, `*` for one level, a last `**` for any number.

Knows text only: who listens is the bus's business.
"""

from nzcore.base.errors import UsageError

MAX_CHARACTERS = 256
"""Longest topic or pattern: three names of 64 bytes and room; bounds the routes' cache."""


def check_topic(topic: str) -> tuple[str, ...]:
    """The words of a topic. *Raises* UsageError `kernel.bad-topic` for empty words, wildcards, spaces or length."""
    words = _words(topic)
    if any("*" in word for word in words):
        raise UsageError("kernel.bad-topic", topic=topic)
    return words


def check_pattern(pattern: str) -> tuple[str, ...]:
    """The words of a pattern; `**` may only stand last. *Raises* UsageError `kernel.bad-topic`."""
    words = _words(pattern)
    if any("*" in word and word != "*" for word in words[:-1]) or ("*" in words[-1] and words[-1] not in ("*", "**")):
        raise UsageError("kernel.bad-topic", topic=pattern)
    return words


def matches(pattern: tuple[str, ...], topic: tuple[str, ...]) -> bool:
    """Whether a topic falls under a pattern: `a.*` is one level below `a`; `a.**` is `a` and everything below it."""
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        topic = topic[: len(pattern)]
    return len(pattern) == len(topic) and all(p in ("*", t) for p, t in zip(pattern, topic, strict=True))


def _words(text: str) -> tuple[str, ...]:
    words = tuple(text.split("."))
    if len(text) > MAX_CHARACTERS or not all(words) or any(c.isspace() for c in text):
        raise UsageError("kernel.bad-topic", topic=text[:MAX_CHARACTERS])
    return words
