"""The whole story of a bad neighbour: dropped, enabled, called from afar, failing in every way, edited, gone."""

import trio

from nzcore.testing import ask, pair_with, run_module
from tests.refusals import refused

from .conftest import ECHO, provides, state, write

BAD = """
class Main(Module):
    calls = 0

    @operation(scope=Scope.MESSAGE)
    async def work(self, text: str) -> str:
        "Do the right thing."
        return "VERSION " + text

    @operation(scope=Scope.MESSAGE)
    async def fail(self) -> None:
        "Raise."
        raise ValueError("inside")

    @operation(scope=Scope.MESSAGE, deadline_s=3)
    async def hang(self) -> None:
        "Never end."
        await trio.sleep_forever()

    @operation(scope=Scope.MESSAGE)
    async def flood(self) -> int:
        "Say ten thousand things."
        for number in range(10_000):
            await self.context.publish("bad.noise", number)
        return number

    @operation(scope=Scope.MESSAGE)
    async def peek(self) -> None:
        "Ask for what was not granted."
        self.context.kv("secrets")
"""
NAMES = ("work", "fail", "hang", "flood", "peek")


def drop(node, version, *, capabilities=("fabric:bad.**", "bus:publish:bad.noise")):
    folder = node.node.home.modules / "bad"
    code = BAD.replace("VERSION", version)
    return write(folder, code, capabilities=list(capabilities), tables=provides(*NAMES))


async def test_a_bad_neighbour_costs_nobody_else_anything(tmp_path, autojump_clock):
    echo = write(tmp_path / "echo", ECHO, tables=provides("echo"))
    async with pair_with(echo) as (world, alice, bob):
        calm = trio.Event()
        answers = []

        async def use_the_other_module():
            while not calm.is_set():
                answers.append(await bob.call("echo.echo", text="x"))
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use_the_other_module)
            drop(bob, "one", capabilities=())
            assert await state(bob, "bad") == "found"
            assert (await refused(bob.call("module.enable", name="bad"))).code == "module.not-granted"
            assert await state(bob, "bad") == "failed"
            assert not bob.node.state().healthy

            drop(bob, "one")
            assert await state(bob, "bad") == "changed"
            await bob.call("module.enable", name="bad")
            assert bob.node.state().healthy
            assert await ask(alice, bob, "bad.work", text="far") == "one far"

            assert (await refused(ask(alice, bob, "bad.fail"))).code == "module.raised"
            assert (await refused(ask(alice, bob, "bad.hang"))).code == "module.hung"
            assert (await refused(ask(alice, bob, "bad.peek"))).code == "module.not-granted"
            assert (await refused(ask(alice, bob, "bad.flood"))).code in ("module.hung", "fabric.too-slow")
            assert await state(bob, "bad") == "running"

            drop(bob, "two")
            assert await state(bob, "bad") == "changed"
            assert (await refused(bob.call("module.reload", name="bad"))).code == "module.changed"
            assert await ask(alice, bob, "bad.work", text="still") == "one still"
            await bob.call("module.enable", name="bad")
            assert await ask(alice, bob, "bad.work", text="now") == "two now"
            await bob.call("module.reload", name="bad")

            await bob.call("module.disable", name="bad")
            assert await state(bob, "bad") == "disabled"
            assert (await refused(ask(alice, bob, "bad.work", text="x"))).code.split(".")[0] in ("fabric", "control")
            calm.set()

        assert set(answers) == {"x"}
        assert len(answers) > 100
        assert await state(bob, "echo") == "running"
        assert [one.name for one in bob.node.supervisor.list() if one.restarts] == []
        assert bob.node.state().healthy
        assert alice.is_connected(bob)
        assert world.trace.of("bob", "channel.closed") == []


async def test_what_is_delivered_while_a_module_is_stopped_reaches_it_afterwards(tmp_path, autojump_clock):
    code = """
class Main(Module):
    got: list = []

    async def start(self):
        self.store = self.context.kv("got")

    @delivered("box.put")
    async def put(self, message):
        await self.store.put(str(message.body), b"x")

    @operation
    async def all(self) -> list[str]:
        "List."
        return list(await self.store.list())
"""
    box = write(tmp_path / "box", code, capabilities=["kv:got", "fabric:box.put"], tables=provides("all"))
    async with pair_with(box) as (world, alice, bob):
        await bob.call("module.disable", name="box")
        for number in range(5):
            await alice.node.fabric.deliver(bob.id, "box.put", number)
        await world.run_for(30)
        await run_module(bob, box)
        await world.run_for(300)
        assert await bob.call("box.all") == ["0", "1", "2", "3", "4"]
