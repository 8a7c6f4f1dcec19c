"""What every `KV` must do, as checks that anyone's implementation can be held to (spec/store.md §3).

    @pytest.mark.parametrize("check", CHECKS)
    async def test_our_kv_conforms(check): async with make() as kv: await check(kv)

Each check gets a fresh, empty store and raises AssertionError where it finds a difference.
"""

from collections.abc import Awaitable, Callable

import trio

from nzcore.base.errors import NzError
from nzcore.store.kv import KV, NAME_BYTES, NAMESPACE_BYTES, VALUE_BYTES, Delete, Entry, Put
from nzcore.store.watch import Change

Check = Callable[[KV], Awaitable[None]]


async def refuses(code: str, call: Awaitable[object]) -> NzError:
    """The error with which `call` ends, which must have this code."""
    try:
        await call
    except NzError as error:
        if error.code != code:
            raise AssertionError(f"{error.code} instead of {code}") from error
        return error
    raise AssertionError(f"not refused with {code}")


async def what_is_put_can_be_got(kv: KV) -> None:
    assert await kv.get("notes", "a") is None
    version = await kv.put("notes", "a", b"one")
    assert await kv.get("notes", "a") == Entry(b"one", version)
    assert version > 0


async def versions_only_grow_even_after_a_delete(kv: KV) -> None:
    seen = [await kv.put("notes", "a", b"one"), await kv.put("notes", "b", b"two")]
    await kv.delete("notes", "b")
    seen += [await kv.put("notes", "b", b"two"), await kv.put("notes", "a", b"one")]
    assert seen == sorted(set(seen))


async def a_deleted_entry_is_gone_and_deleting_nothing_is_fine(kv: KV) -> None:
    await kv.delete("notes", "a")
    await kv.put("notes", "a", b"one")
    await kv.delete("notes", "a")
    assert await kv.get("notes", "a") is None
    assert await kv.list("notes") == []


async def compare_and_set_wins_once(kv: KV) -> None:
    first = await kv.put("notes", "a", b"one", expect=0)
    refused = await refuses("store.conflict", kv.put("notes", "a", b"two", expect=0))
    assert refused.facts["version"] == first
    second = await kv.put("notes", "a", b"two", expect=first)
    await refuses("store.conflict", kv.put("notes", "a", b"three", expect=first))
    await refuses("store.conflict", kv.delete("notes", "a", expect=first))
    assert await kv.get("notes", "a") == Entry(b"two", second)
    await kv.delete("notes", "a", expect=second)
    await refuses("store.conflict", kv.put("notes", "a", b"four", expect=second))


async def of_many_who_race_for_one_version_one_wins(kv: KV) -> None:
    start = await kv.put("notes", "a", b"start")
    won: list[bytes] = []
    lost: list[str] = []

    async def race(value: bytes) -> None:
        try:
            await kv.put("notes", "a", value, expect=start)
        except NzError as error:
            lost.append(error.code)
        else:
            won.append(value)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(race, b"%d" % number)
    entry = await kv.get("notes", "a")
    assert entry is not None
    assert won == [entry.value]
    assert lost == ["store.conflict"] * 19


async def a_conflict_fails_nobody_else(kv: KV) -> None:
    refused: list[str] = []

    async def put(number: int) -> None:
        try:
            await kv.put("notes", f"n{number}", b"x", expect=7 if number % 3 == 0 else 0)
        except NzError as error:
            refused.append(error.code)

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(put, number)
    assert refused == ["store.conflict"] * 10
    assert len(await kv.list("notes")) == 20


async def a_transaction_applies_whole_or_not_at_all(kv: KV) -> None:
    version = await kv.put("notes", "a", b"one")
    writes: list[Put | Delete] = [Put("notes", "b", b"new"), Delete("notes", "a"), Put("other", "c", b"x", expect=5)]
    await refuses("store.conflict", kv.write(writes))
    assert await kv.get("notes", "a") == Entry(b"one", version)
    assert await kv.list("notes") == ["a"]
    assert await kv.list("other") == []
    versions = await kv.write([*writes[:2], Put("other", "c", b"x", expect=0)])
    assert await kv.get("notes", "b") == Entry(b"new", versions[0])
    assert versions[1] == 0
    assert await kv.list("notes") == ["b"]
    assert await kv.list("other") == ["c"]


async def a_transaction_may_change_one_name_twice(kv: KV) -> None:
    versions = await kv.write([Put("notes", "a", b"one", expect=0), Put("notes", "a", b"two"), Put("notes", "b", b"x")])
    assert await kv.get("notes", "a") == Entry(b"two", versions[1])
    await kv.write(
        [Delete("notes", "a"), Put("notes", "b", b"y"), Delete("notes", "b"), Put("notes", "a", b"3", expect=0)]
    )
    assert await kv.list("notes") == ["a"]
    await refuses("store.conflict", kv.write([Delete("notes", "a"), Delete("notes", "a", expect=versions[1])]))
    await refuses("store.bad-transaction", kv.write([]))


async def listing_by_prefix_is_sorted_and_follows_changes(kv: KV) -> None:
    for name in ("b/2", "a", "b/10", "é", "b", "c"):
        await kv.put("notes", name, b"")
    assert await kv.list("notes", "b") == ["b", "b/10", "b/2"]
    await kv.delete("notes", "b")
    await kv.put("notes", "b/0", b"")
    assert await kv.list("notes", "b") == ["b/0", "b/10", "b/2"]
    assert await kv.list("notes") == ["a", "b/0", "b/10", "b/2", "c", "é"]
    assert await kv.list("notes", "x") == []


async def namespaces_are_apart_and_listed(kv: KV) -> None:
    assert await kv.namespaces() == []
    await kv.put("one", "a", b"1")
    assert await kv.namespaces() == ["one"]
    await kv.put("two", "a", b"2")
    assert await kv.namespaces() == ["one", "two"]
    await kv.delete("one", "a")
    assert await kv.list("one") == []
    assert await kv.list("two") == ["a"]
    assert (await kv.get("two", "a") or Entry(b"", 0)).value == b"2"


async def sizes_have_limits(kv: KV) -> None:
    await kv.put("n" * NAMESPACE_BYTES, "a" * NAME_BYTES, bytes(VALUE_BYTES))
    entry = await kv.get("n" * NAMESPACE_BYTES, "a" * NAME_BYTES)
    assert entry is not None
    assert entry.value == bytes(VALUE_BYTES)
    await kv.put("notes", "empty", b"")
    assert (await kv.get("notes", "empty") or Entry(b"x", 0)).value == b""
    for ns, name in (("", "a"), ("n" * 65, "a"), ("n", ""), ("n", "é" * 513), ("n", "\ud800")):
        await refuses("store.bad-name", kv.put(ns, name, b""))
        await refuses("store.bad-name", kv.get(ns, name))
    await refuses("store.bad-value", kv.put("notes", "a", bytes(VALUE_BYTES + 1)))


async def a_watch_sees_changes_under_its_prefix_in_order(kv: KV) -> None:
    await kv.put("notes", "b/0", b"before")
    async with kv.watch("notes", "b/") as watch:
        first = await kv.put("notes", "b/1", b"x")
        await kv.put("notes", "a", b"x")
        await kv.put("other", "b/1", b"x")
        await refuses("store.conflict", kv.put("notes", "b/1", b"x", expect=0))
        second = await kv.put("notes", "b/1", b"y")
        await kv.delete("notes", "b/1")
        seen = [await watch.__anext__() for _ in range(3)]
    assert seen == [Change("b/1", first, False), Change("b/1", second, False), Change("b/1", 0, True)]


async def a_watch_that_is_not_read_overflows_as_it_asked(kv: KV) -> None:
    async with (
        kv.watch("notes", capacity=2) as strict,
        kv.watch("notes", capacity=2, overflow="drop_oldest") as newest,
    ):
        for number in range(4):
            await kv.put("notes", f"{number}", b"")
        assert [(await newest.__anext__()).name for _ in range(2)] == ["2", "3"]
        assert [(await strict.__anext__()).name for _ in range(2)] == ["0", "1"]
        error = await refuses("store.watch-overflow", strict.__anext__())
    assert error.facts["dropped"] == 2
    assert newest.dropped == 2


async def a_waiting_watcher_is_woken(kv: KV) -> None:
    seen: list[str] = []

    async def follow(task_status: trio.TaskStatus[None]) -> None:
        async with kv.watch("notes") as watch:
            task_status.started()
            async for change in watch:
                seen.append(change.name)
                if change.name == "last":
                    return

    async with trio.open_nursery() as nursery:
        await nursery.start(follow)
        await kv.put("notes", "first", b"")
        await kv.put("notes", "last", b"")
    assert seen == ["first", "last"]


async def many_at_once_all_get_their_own(kv: KV) -> None:
    async def own(number: int) -> None:
        name = f"n{number % 40}"
        version = await kv.put("notes", f"{name}/{number}", b"%d" % number)
        assert await kv.get("notes", f"{name}/{number}") == Entry(b"%d" % number, version)

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(own, number)
    assert len(await kv.list("notes")) == 200


async def a_cancelled_write_happened_whole_or_not_at_all(kv: KV) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await kv.write([Put("notes", "a", b""), Put("notes", "b", b"")])
    assert scope.cancelled_caught
    assert await kv.list("notes") in ([], ["a", "b"])


CHECKS: tuple[Check, ...] = (
    what_is_put_can_be_got,
    versions_only_grow_even_after_a_delete,
    a_deleted_entry_is_gone_and_deleting_nothing_is_fine,
    compare_and_set_wins_once,
    of_many_who_race_for_one_version_one_wins,
    a_conflict_fails_nobody_else,
    a_transaction_applies_whole_or_not_at_all,
    a_transaction_may_change_one_name_twice,
    listing_by_prefix_is_sorted_and_follows_changes,
    namespaces_are_apart_and_listed,
    sizes_have_limits,
    a_watch_sees_changes_under_its_prefix_in_order,
    a_watch_that_is_not_read_overflows_as_it_asked,
    a_waiting_watcher_is_woken,
    many_at_once_all_get_their_own,
    a_cancelled_write_happened_whole_or_not_at_all,
)
