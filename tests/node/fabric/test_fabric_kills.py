"""A short slice of `tools/prove fabric`, and that it would notice what it looks for."""

import pytest

from tools.proofs import fabric as kill


@pytest.mark.real
def test_killed_nodes_lose_no_delivery_and_handle_none_twice() -> None:
    # by this seed both nodes are killed at once
    seen = kill.prove(1, seed=12)
    assert seen["kills"] == 1
    assert isinstance(seen["delivered"], int)
    assert seen["delivered"] > 0


def test_the_proof_notices_a_lost_delivery_and_a_double_one() -> None:
    kill.check({"0-1"}, {"0-1": 1, "0-2": 1})
    with pytest.raises(AssertionError, match="were lost"):
        kill.check({"0-1", "0-2"}, {"0-1": 1})
    with pytest.raises(AssertionError, match="handled twice"):
        kill.check({"0-1"}, {"0-1": 2})
