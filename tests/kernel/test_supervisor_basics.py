"""A first look at the supervisor: start, crash, restart, failure, stop."""

import random

import trio

from nzcore.kernel import Service, State, Supervisor


class Named(Service):
    def __init__(self, name: str, *requires: str) -> None:
        self.name, self.requires = name, requires


async def test_a_crashed_service_is_restarted_and_its_neighbours_run_on(autojump_clock):
    async with Supervisor([Named("chat", "store"), Named("store")], rng=random.Random(1)) as supervisor:
        supervisor.crash("store")
        await supervisor.wait_change()
        assert supervisor.info("store").state is State.BACKOFF
        assert supervisor.info("chat").state is State.RUNNING
        assert not supervisor.healthy
        await trio.sleep(1)
        assert supervisor.info("store").state is State.RUNNING
        assert supervisor.healthy
