"""A short slice of `tools/prove crash`, and that it would notice what it looks for."""

from pathlib import Path

import pytest
import trio

from nzcore.store.inline import InlineKV
from nzcore.store.kv import Put
from tools.proofs import crash


@pytest.mark.real
def test_killed_writers_lose_nothing_acknowledged_and_leave_nothing_half_or_plain() -> None:
    seen = crash.prove(6, seed=11)
    assert seen["runs"] == 6
    assert seen["acknowledged"] > 0
    assert seen["killed early"] > 0
    assert seen["torn logs opened"] > 0


def test_the_proof_notices_a_lost_acknowledgement(tmp_path: Path) -> None:
    async def one_step() -> None:
        async with InlineKV(crash.KEY, tmp_path / "store.db") as kv:
            value = crash.state("0-0", 0)
            assert value is not None
            await kv.write([Put(crash.NAMESPACE, f"{crash.NAME}/0-0/{half}", value) for half in "ab"])
        await crash._check(tmp_path / "store.db", {"0-0": 0})
        with pytest.raises(AssertionError, match="lost step 4"):
            await crash._check(tmp_path / "store.db", {"0-0": 4})

    trio.run(one_step)


def test_the_proof_notices_half_a_transaction(tmp_path: Path) -> None:
    async def half() -> None:
        async with InlineKV(crash.KEY, tmp_path / "store.db") as kv:
            await kv.put(crash.NAMESPACE, f"{crash.NAME}/0-0/a", crash.VALUE)
            with pytest.raises(AssertionError, match="half a transaction"):
                await crash._pair(kv, "0-0")

    trio.run(half)


def test_the_search_notices_plain_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"..." + crash.VALUE)
    with pytest.raises(AssertionError):
        crash.search(tmp_path)
