"""Numbers that were kept, held to a plain set of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nzcore.base.errors import UnavailableError
from nzcore.codec.frames import pack, unpack
from nzcore.proto.fabric.seen import OUTBOXES, RANGES, Numbers, Seen

TURNS = st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=40)
BOX = bytes(16)


@given(TURNS)
@settings(max_examples=200)
def test_ranges_hold_exactly_what_a_set_would(turns: list[tuple[bool, int]]) -> None:
    numbers, plain, floor = Numbers(), set[int](), 1
    for is_floor, number in turns:
        if is_floor:
            numbers, floor = numbers.raised(number), max(floor, number)
        else:
            numbers = numbers.with_number(number)
            plain.add(number)
    assert [n in numbers for n in range(1, 50)] == [n < floor or n in plain for n in range(1, 50)]
    ends = [end for ends in numbers.ranges for end in ends]
    assert ends == sorted(ends)
    assert all(after[0] > before[1] + 1 for before, after in zip(numbers.ranges, numbers.ranges[1:], strict=False))
    again = Seen.of(unpack(pack(Seen({BOX: numbers}).plain())))
    assert [again.has(BOX, n) for n in range(1, 50)] == [n in numbers for n in range(1, 50)]


def test_only_gaps_cost_memory_and_their_number_is_bounded() -> None:
    numbers = Numbers()
    for number in range(1, 5000):
        numbers = numbers.with_number(number)
    assert numbers == Numbers(5000)
    for number in range(6000, 6000 + 2 * RANGES, 2):
        assert not numbers.is_full
        numbers = numbers.with_number(number)
    assert numbers.is_full


def test_the_outboxes_used_last_are_remembered() -> None:
    seen = Seen()
    boxes = [bytes([number]) * 16 for number in range(OUTBOXES + 1)]
    for box in boxes:
        seen.add(box, 1)
        seen.note_floor(boxes[0], 1)
    assert [seen.has(box, 1) for box in boxes] == [True, False, True, True, True]


def test_a_copy_changes_without_its_original() -> None:
    seen = Seen()
    other = seen.copy()
    other.add(BOX, 1)
    assert (seen.has(BOX, 1), other.has(BOX, 1)) == (False, True)


@pytest.mark.parametrize(
    "value", [None, 5, [1], [[b"short", 1, []]], [[BOX, "1", []]], [[BOX, 5, [9, 7]]], [[BOX, 1, [2]]]]
)
def test_what_the_store_never_held_is_a_damaged_row(value: object) -> None:
    with pytest.raises(UnavailableError) as caught:
        Seen.of(value)
    assert caught.value.code == "store.damaged-row"
