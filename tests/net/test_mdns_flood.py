"""Whatever strangers announce, few names are asked about at a time, and names that no node makes never."""

import asyncio

from nzcore.net.mdns import MAX_RESOLVING, MAX_WAITING, Responder
from nzcore.proto.discovery.pseudonym import Pseudonym
from nzcore.proto.discovery.sighting import SERVICE


class Counting(Responder):
    """Asks nobody, and remembers about how many it would have at the same time."""

    def __init__(self):
        super().__init__([], lambda news: None)
        self.asked = 0

    async def _resolve(self, service):
        async with self._turns:
            self.asked += 1
            await asyncio.sleep(3600)


def test_a_flood_of_names_is_bounded():
    async def flood():
        responder = Counting()
        for number in range(10_000):
            name = Pseudonym(number.to_bytes(8, "big"), bytes(8)).text
            responder.add_service(None, SERVICE, f"{name}.{SERVICE}")
        await asyncio.sleep(0)
        waiting, asked = len(responder._asking), responder.asked
        await responder.close()
        return waiting, asked

    assert asyncio.run(flood()) == (MAX_WAITING, MAX_RESOLVING)


def test_names_that_no_node_makes_are_not_asked_about():
    async def hear():
        responder = Counting()
        for service in ("printer._ipp._tcp.local.", f".{SERVICE}", f"{'x' * 64}.{SERVICE}", f"\x1b.{SERVICE}", ""):
            responder.add_service(None, SERVICE, service)
        return len(responder._asking)

    assert asyncio.run(hear()) == 0
