"""A send that is cancelled at any of its steps: what stays open, and what the receiver then counts."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nzcore.testing.cancellation import cancel_at_every_step

from .transfers import content, pair, send, tree, written

DESCRIPTORS = Path("/proc/self/fd")


async def for_a_moment(function: Callable[..., Any], /, *args: Any) -> Any:
    with trio.CancelScope(shield=True):  # as a thread, which is waited for
        await trio.sleep(0.001)
    return function(*args)


def open_under(folder: Path) -> list[str]:
    """Files there that this process has open; a descriptor that closes meanwhile was not one of ours."""
    targets = (os.readlink(one) for one in DESCRIPTORS.iterdir() if one.is_symlink())
    return [target for target in targets if target.startswith(str(folder))]


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="this system does not show a process its descriptors in /proc")
async def test_no_file_stays_open_and_the_quota_counts_what_is_there(tmp_path: Path, autojump_clock: MockClock) -> None:
    folder = tmp_path / "photos"
    files = {f"{number}.jpg": content(1_100_000 if number == 1 else 1000, number) for number in range(4)}
    for name, data in files.items():
        written(folder / name, data)
    async with pair(tmp_path) as (world, alice, bob):
        inbox = bob.node.files.inbox
        alice.node.files.inbox.offload = inbox.offload = for_a_moment
        await send(alice, written(tmp_path / "first", b"x"))  # the inbox is counted, and added to from here on

        async def check() -> None:
            await world.run_for(1)
            assert inbox.active == 0
            assert open_under(tmp_path) == []
            there = sum(path.stat().st_size for path in (tmp_path / "inbox").rglob("*") if path.is_file())
            assert inbox._held(alice.id) >= there

        assert await cancel_at_every_step(lambda: send(alice, folder), check) > 20
    whole = {Path(name).name: data for name, data in tree(tmp_path / "inbox").items()}
    assert whole == {**files, "first": b"x"}
