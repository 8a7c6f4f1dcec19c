"""A short slice of `tools/prove faults`: a real node is broken by seed, and heals."""

import pytest

from tools.proofs.faults import prove

pytestmark = pytest.mark.real


def test_a_node_heals_from_every_fault_and_gives_up_where_settings_say_so() -> None:
    figures = prove(60, seed=7)
    assert figures["faults"] == 60
    assert figures["answered"] == 3
    assert figures["failed after"] == 6
    assert isinstance(figures["restarts"], int)
    assert figures["restarts"] > 10
