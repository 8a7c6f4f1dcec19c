"""Events a second over the bus, published by one task to one and to ten subscribers, every event counted on arrival."""

import time

import trio

from nzcore.kernel import Bus

BURST = 2_000  # events between two looks at the clock


def measure(seconds: float = 1.0) -> dict[str, float]:
    """Events delivered per second: `one` to one subscriber, `ten` to ten together, each over half of the seconds.

    A lost event is an AssertionError, not a better figure.
    """
    return {"one": trio.run(_rate, 1, seconds / 2), "ten": trio.run(_rate, 10, seconds / 2)}


async def _rate(subscribers: int, seconds: float) -> float:
    bus = Bus()
    received = [0] * subscribers

    async def count(index: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        taken = 0
        async with bus.subscribe("bench.*") as events:
            task_status.started()
            async for event in events:
                if event.value is None:
                    break
                taken += 1
        received[index] = taken

    published = 0
    async with trio.open_nursery() as nursery:
        for index in range(subscribers):
            await nursery.start(count, index)
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for number in range(BURST):
                await bus.publish("bench.event", number)
            published += BURST
        await bus.publish("bench.event", None)
    spent = time.perf_counter() - begun
    assert received == [published] * subscribers, "the bus lost events"
    return published * subscribers / spent
