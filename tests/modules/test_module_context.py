"""What a module was granted works, and is its own."""

import trio

from nzcore.base.errors import NzError
from nzcore.module import Scope
from nzcore.testing import ask, pair_with, run_module
from tests.refusals import refused

from .conftest import provides, write

USER = """
from typing import Any


class Main(Module):
    got: list = []

    @operation
    async def put(self, name: str, value: str) -> int:
        "Store."
        return await self.context.kv("things").put(name, value.encode())

    @operation
    async def get(self, name: str) -> Any:
        "Read."
        entry = await self.context.kv("things").get(name)
        return entry.value.decode() if entry else None

    @operation
    async def names(self) -> list[str]:
        "List."
        return list(await self.context.kv("things").list())

    @operation
    async def delete(self, name: str) -> None:
        "Delete."
        await self.context.kv("things").delete(name)

    @service
    async def watch(self) -> None:
        async with self.context.kv("things").watch("w") as changes:
            async for change in changes:
                self.got.append((change.name, change.deleted))

    @operation
    async def file(self, path: str, text: str) -> list[str]:
        "Write a file."
        await self.context.files.write(path, text.encode())
        assert await self.context.files.read(path) == text.encode()
        return list(await self.context.files.list())

    @operation
    async def me(self) -> dict[str, Any]:
        "Say what is known."
        now = self.context.now()
        return {"node": self.context.node.text, "name": self.context.name, "now": now}

    @operation
    async def who(self) -> list[str]:
        "List peers."
        return [f"{peer.name} {peer.connected}" for peer in self.context.peers()]

    @operation
    async def sign(self, data: bytes) -> bytes:
        "Sign."
        return self.context.sign(data)

    @operation
    async def verify(self, node: str, data: bytes, signature: bytes) -> bool:
        "Verify."
        return self.context.verify(NodeId.parse(node), data, signature)
"""
OPERATIONS = ("put", "get", "names", "delete", "file", "me", "who", "sign", "verify")
CAPABILITIES = ["kv:things", "files", "peers", "sign", "timer"]


def user(folder, name="user"):
    tables = provides(*OPERATIONS, services=("watch",))
    return write(folder / name, USER, capabilities=CAPABILITIES, tables=tables)


async def test_two_modules_with_one_namespace_do_not_see_each_other(tmp_path, autojump_clock):
    async with pair_with(user(tmp_path, "one"), user(tmp_path, "two")) as (world, alice, _):
        await alice.call("one.put", name="a", value="1")
        assert await alice.call("two.get", name="a") is None
        await alice.call("one.put", name="w1", value="x")
        await alice.call("one.delete", name="w1")
        assert await alice.call("one.names") == ["a"]
        await world.settle()
        assert alice.node.modules.running["one"].loaded.kind.got == [("w1", False), ("w1", True)]
        await alice.restart()
        assert await alice.call("one.get", name="a") == "1"


async def test_files_stay_in_the_modules_own_folder(tmp_path, autojump_clock):
    async with pair_with(user(tmp_path)) as (_, alice, _bob):
        assert await alice.call("user.file", path="a/b.txt", text="x") == ["a/b.txt"]
        folder = alice.node.home.module_files / "user"
        assert (folder / "a" / "b.txt").stat().st_mode & 0o777 == 0o600
        for path in ("../x", "/etc/x", "a/../../x", ".hidden", "a//b", "", "a/" * 9 + "b", "a\\b"):
            code = ""
            try:
                await alice.call("user.file", path=path, text="x")
            except NzError as error:
                code = error.code
            assert code == "module.bad-name", path
        (folder / "out").symlink_to(tmp_path)
        try:
            await alice.call("user.file", path="out/x", text="x")
        except NzError as error:
            code = error.code
        assert code == "module.unreadable"
        assert not (tmp_path / "x").exists()


async def test_a_module_knows_its_node_its_peers_and_the_time(tmp_path, autojump_clock):
    async with pair_with(user(tmp_path)) as (_, alice, _bob):
        me = await alice.call("user.me")
        assert me == {"node": alice.id.text, "name": "user", "now": alice.wall_time()}
        assert await alice.call("user.who") == ["bob True"]


async def test_a_signature_is_the_nodes_and_the_modules(tmp_path, autojump_clock):
    async with pair_with(user(tmp_path, "one"), user(tmp_path, "one-1")) as (_, alice, bob):
        signature = await alice.call("one.sign", data=b"x")
        told = {"node": alice.id.text, "data": b"x", "signature": signature}
        assert await bob.call("one.verify", **told) is True
        assert await bob.call("one.verify", **{**told, "data": b"y"}) is False
        assert await bob.call("one.verify", **{**told, "node": bob.id.text}) is False
        assert await bob.call("one.verify", **{**told, "signature": b"short"}) is False
        assert await bob.call("one-1.verify", **told) is False
        # "one" signing "-1…" must not be "one-1" signing "…": the name's length stands before it
        assert (
            await bob.call("one-1.verify", **{**told, "signature": await alice.call("one.sign", data=b"-1x")}) is False
        )


STREAM = """
class Main(Module):
    @protocol("/echo/1")
    async def serve(self, stream):
        data = await stream.receive_some()
        if data == b"raise":
            raise ValueError("served wrong")
        if data == b"leave":
            raise SystemExit
        if data == b"hang":
            await trio.sleep_forever()
        await stream.send_all(data)
        await stream.send_eof()

    @operation
    async def say(self, peer: str, data: str) -> str:
        "Say it over a stream."
        node = next(one.node for one in self.context.peers() if one.name == peer)
        stream = await self.context.open_stream(node, "/echo/1")
        async with stream:
            await stream.send_all(data.encode())
            return (await stream.receive_some()).decode()
"""


async def test_streams_are_served_and_end_with_the_module(tmp_path, autojump_clock):
    folder = write(tmp_path / "echo", STREAM, capabilities=["stream:/echo/1", "peers"], tables=provides("say"))
    async with pair_with(folder) as (world, alice, bob):
        assert await alice.call("echo.say", peer="bob", data="hi") == "hi"
        for data in ("raise", "leave"):
            try:
                await alice.call("echo.say", peer="bob", data=data)
            except NzError as error:
                assert error.code.startswith(("channel.", "module."))  # noqa: PT017 - both ends may say it first
            else:
                raise AssertionError(data)
        lost = []

        async def hang():
            try:
                await alice.call("echo.say", peer="bob", data="hang")
            except NzError as error:
                lost.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang)
            await world.run_for(1)
            await bob.call("module.disable", name="echo")
        assert len(lost) == 1
        assert bob.is_connected(alice)
        assert [one.name for one in bob.node.supervisor.list() if one.restarts] == []
        await bob.call("module.enable", name="echo")
        assert await alice.call("echo.say", peer="bob", data="again") == "again"


async def test_a_peer_needs_the_scope_that_the_author_asked_for(tmp_path, autojump_clock):
    code = """
class Main(Module):
    @operation(scope=Scope.FILES)
    async def give(self, who: Caller) -> str:
        "Give."
        return who.node.text
"""
    folder = write(tmp_path / "giver", code, capabilities=["fabric:giver.give"], tables=provides("give"))
    async with pair_with(folder) as (_, alice, bob):
        asked = alice.node.fabric.request
        assert await asked(bob.id, "giver.give", {}, deadline_s=5) == alice.id.text
        bob.node.trust.set(alice.id, {Scope.CONNECT, Scope.MESSAGE})
        try:
            await asked(bob.id, "giver.give", {}, deadline_s=5)
        except NzError as error:
            code = error.code
        assert code.startswith(("control.", "fabric.", "channel."))


async def test_a_reload_loses_no_message_of_others(tmp_path, autojump_clock):
    counter = """
class Main(Module):
    got: list = []

    @on("peer.tick")
    async def count(self, event):
        self.got.append(event.value)
"""
    one = write(tmp_path / "one", counter, capabilities=["bus:subscribe:peer.tick"])
    two = write(tmp_path / "two", counter, capabilities=["bus:subscribe:peer.tick"])
    async with pair_with(one, two) as (world, alice, _):
        got = alice.node.modules.running["one"].loaded.kind.got

        async def reload():
            for _ in range(5):
                await run_module(alice, two)
                await alice.call("module.reload", name="two")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reload)
            for number in range(500):
                await alice.node.bus.publish("peer.tick", number)
                await trio.lowlevel.checkpoint()
        await world.settle()
        assert got == list(range(500))


LISTENER = """
from collections.abc import AsyncIterator


class Main(Module):
    heard: list = []

    @service
    async def listen(self):
        async with self.context.subscribe("peer.*") as events:
            async for event in events:
                self.heard.append((event.topic, event.value))

    @service
    async def receive(self):
        async with self.context.fabric.subscribe("talk.*") as messages:
            async for message in messages:
                self.heard.append((message.topic, message.body, message.origin))

    @received("talk.*")
    async def fail(self, message):
        raise ValueError(message.body)

    @operation(scope=Scope.MESSAGE)
    async def count(self, to: int) -> AsyncIterator[int]:
        "Count."
        for number in range(to):
            yield number

    @operation
    async def follow(self) -> None:
        "Try to call a stream."
        await self.context.call("ears.count", to=2)

    @operation
    async def tidy(self) -> list[str]:
        "Write and delete."
        await self.context.files.write("a", b"x")
        await self.context.files.delete("a")
        await self.context.files.delete("never there")
        await self.context.sleep(5)
        return list(await self.context.files.list())

    @operation
    async def hurry(self) -> None:
        "Tick too often."
        async for _ in self.context.every(0):
            pass
"""


async def test_subscriptions_streams_for_peers_and_time(tmp_path, autojump_clock):
    folder = write(
        tmp_path / "ears",
        LISTENER,
        capabilities=[
            "bus:subscribe:peer.*",
            "fabric:talk.*",
            "fabric:ears.count",
            "call:ears.count",
            "files",
            "timer",
        ],
        tables=provides("count", "follow", "tidy", "hurry", services=("listen", "receive")),
    )
    async with pair_with(folder) as (world, alice, bob):
        await world.run_for(2)
        bob.node.bus.emit("peer.x", (1, "two"))
        await alice.node.fabric.publish("talk.low", {"n": 7})
        await world.run_for(2)
        heard = bob.node.modules.running["ears"].loaded.kind.heard
        assert ("talk.low", {"n": 7}, alice.id) in heard
        assert [value for topic, *value in heard if topic == "peer.x"] == [[(1, "two")]]
        assert world.trace.of("bob", "module.ears.trouble")[0].value.error == "ValueError: {'n': 7}"
        assert await ask(alice, bob, "ears.count", to=3) == [0, 1, 2]
        assert (await refused(ask(alice, bob, "ears.count", to=2000))).code == "module.bad-handler"
        assert (await refused(bob.call("ears.follow"))).code == "module.bad-handler"
        began = world.now
        assert await bob.call("ears.tidy") == []
        assert world.now - began >= 5
        assert (await refused(bob.call("ears.hurry"))).code == "module.bad-handler"
        assert bob.node.supervisor.info("module-ears").restarts == 0
