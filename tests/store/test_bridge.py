"""The bridge between Trio and the asyncio thread."""

import asyncio
import threading
import traceback

import pytest
import trio
import trio.testing

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.store import bridge as bridge_module
from nzcore.store.bridge import AsyncioBridge


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def test_a_call_runs_in_the_other_thread_and_returns() -> None:
    async def where() -> int:
        return threading.get_ident()

    async with AsyncioBridge() as bridge:
        assert await bridge.run(double, 21) == 42
        assert await bridge.run(where) != threading.get_ident()
        assert await bridge.run(where) == await bridge.run(where)


async def test_an_exception_climbs_with_its_traceback() -> None:
    async def deep_inside() -> None:
        raise LookupError("in there")

    async with AsyncioBridge() as bridge:
        with pytest.raises(LookupError, match="in there") as caught:
            await bridge.run(deep_inside)
        assert "deep_inside" in "".join(traceback.format_tb(caught.value.__traceback__))
        assert await bridge.run(double, 1) == 2


async def test_cancelling_in_trio_cancels_in_asyncio_and_waits_for_its_end() -> None:
    begun, ended = threading.Event(), []

    async def patient() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async with AsyncioBridge() as bridge, trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run, patient)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
    assert ended == ["cleaned up"]
    assert bridge.statistics()["calls"] == 0


async def test_a_task_that_ignores_cancellation_keeps_its_caller_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge_module, "CANCEL_GRACE_S", 0.0)
    begun, release = threading.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with AsyncioBridge() as bridge:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bridge.run, stubborn)
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()
        assert bridge.statistics()["calls"] == 1  # still in there, still counted

        async def let_go() -> None:
            release.set()

        await bridge.run(let_go)


async def test_cancelling_in_asyncio_is_an_error_in_trio_never_a_cancellation() -> None:
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async with AsyncioBridge() as bridge:
        with pytest.raises(UnavailableError) as caught:
            await bridge.run(cancels_itself)
    assert caught.value.code == "store.call-cancelled"


async def test_no_more_calls_than_allowed_are_inside_and_the_rest_wait() -> None:
    inside: list[int] = []
    most: list[int] = []

    async def visit(number: int) -> int:
        inside.append(number)
        most.append(len(inside))
        await asyncio.sleep(0)
        inside.remove(number)
        return number

    results: list[int] = []
    async with AsyncioBridge(max_calls=3) as bridge:

        async def call(number: int) -> None:
            results.append(await bridge.run(visit, number))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(call, number)
            await trio.testing.wait_all_tasks_blocked(0.0)
        assert bridge.statistics() == {"calls": 0, "peak": 3, "waiting": 0}
    assert sorted(results) == list(range(50))
    assert max(most) <= 3


async def test_a_caller_who_leaves_the_queue_takes_no_place() -> None:
    begun, release = threading.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await release.wait()

    async def let_go() -> None:
        release.set()

    async with AsyncioBridge(max_calls=1) as bridge, trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run, hold)
        await trio.to_thread.run_sync(begun.wait)
        with trio.CancelScope() as scope:
            scope.cancel()
            await bridge.run(double, 1)
        async with trio.open_nursery() as queue:
            queue.start_soon(bridge.run, double, 2)
            await trio.testing.wait_all_tasks_blocked()
            assert bridge.statistics()["waiting"] == 1
            queue.cancel_scope.cancel()
        assert bridge.statistics()["waiting"] == 0
        bridge._loop.call_soon_threadsafe(release.set)
    assert bridge.statistics()["calls"] == 0


async def test_the_death_of_the_thread_is_told_to_all_who_wait_and_all_who_come() -> None:
    begun = threading.Event()
    told: list[UnavailableError] = []

    async def wait_for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def die() -> None:
        raise SystemExit(3)

    async with AsyncioBridge(max_calls=2) as bridge:

        async def call(fn: object) -> None:
            with pytest.raises(UnavailableError) as caught:
                await bridge.run(fn)  # type: ignore[arg-type]  # one helper for both functions
            told.append(caught.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, wait_for_ever)
            await trio.to_thread.run_sync(begun.wait)
            nursery.start_soon(call, die)
        assert [error.code for error in told] == ["store.bridge-down"] * 2
        with pytest.raises(UnavailableError) as caught:
            await bridge.run(double, 1)
        assert caught.value.code == "store.bridge-down"
        assert isinstance(caught.value.__cause__, SystemExit)
        with pytest.raises(UnavailableError):
            await bridge.wait_down()
        assert not bridge.alive


async def test_leaving_cancels_what_still_runs_and_joins_the_thread() -> None:
    begun, ended = threading.Event(), []

    async def wait_for_ever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    caught: list[str] = []

    async def call() -> None:
        try:
            await bridge.run(wait_for_ever)
        except UnavailableError as error:
            caught.append(error.code)

    async with trio.open_nursery() as nursery:
        async with AsyncioBridge(name="test-bridge") as bridge:
            nursery.start_soon(call)
            await trio.to_thread.run_sync(begun.wait)
        assert "test-bridge" not in [thread.name for thread in threading.enumerate()]
    assert ended == ["cancelled"]
    assert caught == ["store.bridge-down"]


async def test_a_bridge_is_entered_once_and_refuses_calls_afterwards() -> None:
    bridge = AsyncioBridge()
    async with bridge:
        with pytest.raises(UsageError):
            await bridge.__aenter__()
    with pytest.raises(UnavailableError):
        await bridge.run(double, 1)
    await bridge.wait_down()
