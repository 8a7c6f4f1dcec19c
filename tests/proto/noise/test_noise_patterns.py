"""Names become patterns: by the tables of the specification and of the HFS draft, and nothing else is accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import UsageError
from nzcore.proto.noise.patterns import BASES, Pattern, parse

HYBRID = {
    "NNhfs": "e e1 / e ee ekem1",
    "NKhfs": "e es e1 / e ee ekem1",
    "NXhfs": "e e1 / e ee ekem1 s es",
    "XNhfs": "e e1 / e ee ekem1 / s se",
    "XKhfs": "e es e1 / e ee ekem1 / s se",
    "XXhfs": "e e1 / e ee ekem1 s es / s se",
    "KNhfs": "e e1 / e ee ekem1 se",
    "KXhfs": "e e1 / e ee ekem1 se s es",
    "INhfs": "e e1 s / e ee ekem1 se",
    "IKhfs": "e es e1 s ss / e ee ekem1 se",
    "IXhfs": "e e1 s / e ee ekem1 se s es",
    "KKhfs": "e es e1 ss / e ee ekem1 se",
}


def text(pattern: Pattern) -> str:
    return " / ".join(" ".join(token.value for token in message) for message in pattern.messages)


@pytest.mark.parametrize("name", HYBRID)
def test_hfs_places_its_tokens_as_the_draft_says(name: str) -> None:
    assert text(parse(name)) == HYBRID[name]
    assert parse(name).hybrid


def test_the_channel_pattern_and_its_sizes_are_what_the_handshake_chapter_promises() -> None:
    pattern = parse("XXhfs+psk0")
    assert text(pattern) == "psk e e1 / e ee ekem1 s es / s se"
    assert pattern.overheads == (1248, 1200, 64)
    assert pattern.protocol_name == "Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NNpsk0+psk2", "psk e / e ee psk"),
        ("XXpsk3", "e / e ee s es / s se psk"),
        ("XXpsk0+psk1+psk2+psk3", "psk e psk / e ee s es psk / s se psk"),
        ("Xpsk1", "e es s ss psk"),
        ("XXpsk0+hfs", "psk e e1 / e ee ekem1 s es / s se"),
    ],
)
def test_psk_modifiers_open_the_first_message_or_end_theirs(name: str, expected: str) -> None:
    assert text(parse(name)) == expected
    assert parse(name).psk_count == expected.count("psk")


@pytest.mark.parametrize(
    "name",
    [
        *("", "hfs", "XX+hfs", "XXhfs+", "XXhfs+hfs", "XXpsk0+psk0", "NNpsk3", "Nhfs", "Npsk2", "XXfallback", "xx"),
        *("ZZ", "XXXX", "XXpsk10", "XX psk0", "XXpsk٠", "NN1", "XXhfs+psk0\n", "Noise_XX_25519_ChaChaPoly_SHA256"),
    ],
)
def test_a_name_outside_the_tables_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(name)
    assert caught.value.code == "noise.unknown-pattern"


@given(st.one_of(st.text(max_size=30), st.from_regex(r"[NKXI1]{1,4}(hfs|psk\d)?(\+(hfs|psk\d)){0,3}", fullmatch=True)))
def test_any_text_becomes_a_pattern_or_a_usage_error(name: str) -> None:
    try:
        pattern = parse(name)
    except UsageError:
        return
    assert pattern.name == name
    assert len(pattern.overheads) == len(pattern.messages)


@pytest.mark.parametrize("name", BASES)
def test_every_base_sends_an_ephemeral_key_first_and_agrees_only_on_keys_that_are_there(name: str) -> None:
    """§7.3 of the specification, checked on the tables: a slip of the pen would show here."""
    pattern = parse(name)
    there = {("e", True): False, ("e", False): False}
    there |= {("s", True): pattern.knows_initiator, ("s", False): pattern.knows_responder}
    seen: list[str] = []
    for index, message in enumerate(pattern.messages):
        initiator = index % 2 == 0
        for token in (token.value for token in message):
            if len(token) == 1:
                assert not there[token, initiator]
                there[token, initiator] = True
            else:
                assert there[token[0], True]
                assert there[token[1], False]
                seen.append(token)
        assert message[0].value == "e" or index >= (1 if pattern.one_way else 2) or "1" in name
    assert len(set(seen)) == len(seen)
    if not pattern.one_way:
        assert "ee" in seen
        assert ("se" in seen) == there["s", True]
    assert ("es" in seen) == there["s", False]
