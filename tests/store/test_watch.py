"""Watches at their edges: sharing, ending, cancelling."""

import pytest
import trio
import trio.testing

from nzcore.base.errors import UsageError
from nzcore.crypto.secrets import StoreKey
from nzcore.store.inline import InlineKV
from nzcore.store.watch import Change, Watch

KEY = StoreKey(bytes(32))


async def test_two_tasks_on_one_watch_are_refused() -> None:
    watch = Watch("", 4, "error")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.__anext__)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(UsageError) as caught:
            await watch.__anext__()
        assert caught.value.code == "store.watch-shared"
        watch.offer(Change("a", 1, False))


async def test_a_cancelled_reader_misses_nothing() -> None:
    watch = Watch("", 4, "error")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.__anext__)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    watch.offer(Change("a", 1, False))
    assert await watch.__anext__() == Change("a", 1, False)


async def test_leaving_the_watch_ends_its_iteration_after_what_is_queued() -> None:
    async with InlineKV(KEY) as kv:
        async with kv.watch("notes") as watch:
            await kv.put("notes", "a", b"")
        await kv.put("notes", "b", b"")
        assert [change.name async for change in watch] == ["a"]


async def test_a_watch_needs_room_and_a_namespace() -> None:
    async with InlineKV(KEY) as kv:
        for ns, capacity, code in (("notes", 0, "store.bad-watch"), ("", 1, "store.bad-name")):
            with pytest.raises(UsageError) as caught:
                async with kv.watch(ns, capacity=capacity):
                    pass
            assert caught.value.code == code
