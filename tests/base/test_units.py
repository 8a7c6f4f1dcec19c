"""Amounts as people say them."""

import pytest

from nzcore.base.units import size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (99_950, "100 kB"),
        (999_600, "1.0 MB"),
        (1_500_000, "1.5 MB"),
        (25e6, "25.0 MB"),
        (10**13, "10.0 TB"),
        (10**15, "1.0 PB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_a_size_has_three_digits_and_a_decimal_unit(count: float, text: str) -> None:
    assert size(count) == text
