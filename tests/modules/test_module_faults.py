"""What a module does wrong costs itself: the node, its events and other modules go on, and `state` tells."""

import threading
from contextlib import suppress

import pytest
import trio

from nzcore.base.errors import NzError
from nzcore.kernel.states import State
from nzcore.node.offload import in_spare_thread, inline
from tests.refusals import refused

from .conftest import ECHO, provides, state, write


@pytest.fixture
async def other(node, drop):
    """A module beside the one that fails; afterwards it is as it was."""
    write(drop / "echo", ECHO, tables=provides("echo"))
    await node.call("module.enable", name="echo")
    yield
    assert await state(node, "echo") == "running"
    assert await node.call("echo.echo", text="calm") == "calm"
    assert node.node.supervisor.info("module-echo").restarts == 0
    for one in node.node.supervisor.list():
        assert one.name.startswith("module-") or (one.state is State.RUNNING and one.restarts == 0)


async def enable(node, drop, code, **manifest):
    write(drop / "bad", code, **manifest)
    return await node.call("module.enable", name="bad")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("raise NzError('no.such-code')", "NzError"),
        (
            "class Odd:\n    def __getattr__(self, name): raise KeyError(name)\nclass Main(Module):\n    odd = Odd()",
            "KeyError",
        ),
        (
            "class Odd:\n    def __getattr__(self, name): raise SystemExit\nclass Main(Module):\n    odd = Odd()",
            "SystemExit",
        ),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E"),
    ],
)
async def test_code_that_raises_while_loading_is_failed(node, drop, other, code, says, autojump_clock):
    error = await refused(enable(node, drop, code))
    assert error.code == "module.load-failed"
    assert says in error.message
    assert await state(node, "bad") == "failed"
    assert any("bad" in problem for problem in node.node.state().problems)
    write(drop / "bad", ECHO, tables=provides("echo"))
    assert (await node.call("module.enable", name="bad"))["state"] == "running"
    assert node.node.state().healthy


async def test_code_that_never_ends_loading_is_left_behind(world, node, drop, other, autojump_clock):
    node.node.modules.offload = in_spare_thread  # as in a real node
    release = threading.Event()
    threading.never_ends = release  # type: ignore[attr-defined]
    try:
        error = await refused(enable(node, drop, "import threading\nthreading.never_ends.wait()\n"))
        assert error.code == "module.load-hung"
        assert await state(node, "bad") == "failed"
    finally:
        release.set()
        del threading.never_ends  # type: ignore[attr-defined]
        node.node.modules.offload = inline


@pytest.mark.parametrize(
    "body",
    [
        "def __init__(self): raise ValueError('made wrong')",
        "async def start(self): raise ValueError('began wrong')",
        "async def start(self): raise NzError('no.such-code')",
        "async def start(self): raise SystemExit",
        "async def start(self): await trio.sleep_forever()",
        "@service\n    async def run(self): raise ValueError('ran wrong')",
        "@service\n    async def run(self):\n        async with trio.open_nursery():\n            raise SystemExit",
        "async def check(self): raise ValueError('not well')",
    ],
)
async def test_a_life_that_fails_again_and_again_ends_as_failed(world, node, drop, other, body, autojump_clock):
    services = ("run",) if "run" in body else ()
    with suppress(NzError):  # a start that fails is told at once, too
        await enable(node, drop, f"class Main(Module):\n    {body}\n", tables=provides(services=services))
    await world.until(lambda: node.node.supervisor.info("module-bad").state is State.FAILED, within_s=600)
    assert await state(node, "bad") == "failed"
    assert any("module-bad failed" in problem for problem in node.node.state().problems)
    assert (await node.call("module.disable", name="bad"))["state"] == "disabled"
    assert node.node.state().healthy


async def test_a_start_that_fails_names_the_service_to_look_at(node, drop, other, autojump_clock):
    error = await refused(
        enable(node, drop, "class Main(Module):\n    async def start(self): raise ValueError('no')\n")
    )
    assert error.code == "kernel.not-started"
    assert error.hint.endswith("nzcore service show module-bad")
    found = {one["check"]: one for one in await node.call("node.doctor")}
    assert found["service module-bad"]["hint"] == "`nzcore service show module-bad` tells more"


async def test_a_module_that_does_not_answer_its_check_is_started_anew(world, node, drop, other, autojump_clock):
    await enable(node, drop, "class Main(Module):\n    async def check(self): await trio.sleep_forever()\n")
    await world.until(lambda: node.node.supervisor.info("module-bad").restarts > 0)
    assert "kernel.hung" in node.node.supervisor.info("module-bad").last_error
    await node.call("module.disable", name="bad")


async def test_a_module_that_failed_runs_again_once_it_is_mended(world, node, drop, other, autojump_clock):
    with suppress(NzError):
        await enable(node, drop, "class Main(Module):\n    async def start(self): raise ValueError('no')\n")
    await world.until(lambda: node.node.supervisor.info("module-bad").state is State.FAILED, within_s=100)
    write(drop / "bad", ECHO, tables=provides("echo"))
    assert (await node.call("module.enable", name="bad"))["state"] == "running"
    await node.call("service.stop", name="module-bad")
    assert await state(node, "bad") == "enabled"
    assert (await node.call("module.reload", name="bad"))["state"] == "running"


async def test_a_module_that_shields_itself_does_not_hold_up_who_stops_it(world, node, drop, other, autojump_clock):
    code = """
class Main(Module):
    @service
    async def run(self):
        with trio.CancelScope(shield=True):
            await trio.sleep(100)
"""
    await enable(node, drop, code, tables=provides(services=("run",)))
    assert (await refused(node.call("module.disable", name="bad"))).code == "module.stuck"
    assert any("does not end" in problem for problem in node.node.state().problems)
    assert (await refused(node.call("module.disable", name="bad"))).code == "module.not-enabled"
    await world.run_for(100)
    assert node.node.state().healthy
    write(drop / "bad", ECHO, tables=provides("echo"))
    assert (await node.call("module.enable", name="bad"))["state"] == "running"


CALLS = """
class Odd(NzError):
    pass


class Main(Module):
    @operation
    async def fail(self) -> None:
        "Raise."
        raise ValueError("secret of the module")

    @operation
    async def leave(self) -> None:
        "Try to end the process."
        raise SystemExit

    @operation
    async def leave_slowly(self) -> None:
        "Try it from a nursery."
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise SystemExit

    @operation
    async def odd(self) -> None:
        "Raise an error without a reason."
        raise Odd("never.declared")

    @operation
    async def refuse(self) -> None:
        "Say no."
        raise Refusal("not today", hint="ask tomorrow", day=7)

    @operation(deadline_s=2)
    async def hang(self) -> None:
        "Never answer."
        await trio.sleep_forever()

    @operation
    async def lie(self) -> int:
        "Answer what no message can hold."
        return object()

    @operation
    async def stream(self, count: int) -> AsyncIterator[int]:
        "Count, then fail."
        for number in range(count):
            yield number
        raise ValueError("enough")
"""
NAMES = ("fail", "leave", "leave_slowly", "odd", "refuse", "hang", "lie", "stream")


async def test_a_call_that_fails_costs_that_call(world, node, drop, other, autojump_clock):
    code = "from collections.abc import AsyncIterator\n" + CALLS
    await enable(node, drop, code, tables=provides(*NAMES))
    for name in ("fail", "leave", "leave_slowly", "odd"):
        error = await refused(node.call(f"bad.{name}"))
        assert error.code == "module.raised", name
    refusal = await refused(node.call("bad.refuse"))
    assert (refusal.code, refusal.message, refusal.hint) == ("module.refused", "not today", "ask tomorrow")
    began = world.now
    assert (await refused(node.call("bad.hang"))).code == "module.hung"
    assert world.now - began == pytest.approx(2)
    with pytest.raises(NzError):
        await node.call("bad.lie")
    assert await state(node, "bad") == "running"
    assert node.node.supervisor.info("module-bad").restarts == 0
    troubles = world.trace.of("alice", "module.bad.trouble")
    assert {one.value.what for one in troubles} >= {"bad.fail", "bad.leave", "bad.odd"}
    assert "secret of the module" in troubles[0].value.trace


async def test_a_stream_sends_what_it_yielded_and_its_failure(node, drop, other, autojump_clock):
    from nzcore.control.verdict import Principal
    from nzcore.node.dispatch import Dispatcher

    await enable(node, drop, "from collections.abc import AsyncIterator\n" + CALLS, tables=provides(*NAMES))
    items = []

    async def keep(item):
        items.append(item)

    error = await refused(Dispatcher(node.node)(Principal("owner", "x"), "bad.stream", {"count": 3}, keep))
    assert error.code == "module.raised"
    assert items == [0, 1, 2]


async def test_calls_under_way_end_with_the_module(world, node, drop, other, autojump_clock):
    await enable(node, drop, "from collections.abc import AsyncIterator\n" + CALLS, tables=provides(*NAMES))
    codes = []

    async def call():
        codes.append((await refused(node.call("bad.hang"))).code)

    async with trio.open_nursery() as nursery:
        for _ in range(70):
            nursery.start_soon(call)
        await world.settle()
        assert codes == ["module.busy"] * 6
        await node.call("module.disable", name="bad")
    assert codes[6:] == ["module.stopped"] * 64


HANDLERS = """
class Main(Module):
    seen = []

    @on("peer.*")
    async def raises(self, event):
        self.seen.append(event.topic)
        raise ValueError(event.topic)

    @on("peer.*", capacity=4)
    async def hangs(self, event):
        await trio.sleep_forever()
"""


async def test_handlers_that_raise_or_hang_cost_their_events_only(world, node, drop, other, autojump_clock):
    await enable(node, drop, HANDLERS, capabilities=["bus:subscribe:peer.*"])
    for number in range(20):
        node.node.bus.emit(f"peer.n{number}", number)
    await world.run_for(1)
    assert len(node.node.modules.running["bad"].loaded.kind.seen) == 20
    assert await state(node, "bad") == "running"
    assert len(world.trace.of("alice", "module.bad.trouble")) == 20
    dropped = [one.dropped for one in node.node.bus.stats().subscriptions if one.capacity == 4]
    assert dropped == [16]


FLOOD = """
class Main(Module):
    count = 0

    @service
    async def flood(self):
        while True:
            await self.context.publish("bad.noise", self.count)
            Main.count += 1
"""


async def test_a_flood_waits_and_pushes_nobody_out(world, node, drop, other, autojump_clock):
    async with node.node.bus.subscribe("peer.**", capacity=8, overflow="error") as events:
        await enable(node, drop, FLOOD, capabilities=["bus:publish:bad.noise"], tables=provides(services=("flood",)))
        await world.run_for(10)
        node.node.bus.emit("peer.calm", 1)
        assert (await events.receive()).value == 1
    count = node.node.modules.running["bad"].loaded.kind.count
    assert 2900 <= count <= 3100
    assert await state(node, "bad") == "running"


async def test_a_handler_of_its_own_trouble_makes_no_echo(world, node, drop, other, autojump_clock):
    code = """
class Main(Module):
    @on("module.**")
    async def again(self, event):
        raise ValueError(event.topic)
"""
    await enable(node, drop, code, capabilities=["bus:subscribe:module.**"])
    node.node.bus.emit("module.x.trouble", 1)
    await world.run_for(5)
    told = [one.value.what for one in world.trace.of("alice", "module.bad.trouble")]
    assert told == ["again on module.enabled"]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('@on("peer.*")\n    async def f(self, event): ...', "bus:subscribe:peer.*"),
        ('@received("x.**")\n    async def f(self, message): ...', "fabric:x.**"),
        ('@delivered("x.y")\n    async def f(self, message): ...', "fabric:x.y"),
        ('@protocol("/x/1")\n    async def f(self, stream): ...', "stream:/x/1"),
        ('@operation(scope=Scope.MESSAGE)\n    async def f(self) -> None: "Do."', "fabric:bad.f"),
    ],
)
async def test_what_a_decorator_needs_and_was_not_granted_is_refused_with_the_line_to_add(
    node, drop, other, body, line, autojump_clock
):
    tables = provides("f") if "operation" in body else ""
    error = await refused(enable(node, drop, f"class Main(Module):\n    {body}\n", tables=tables))
    assert error.code == "module.not-granted"
    assert error.message == f'{line} was not granted; add to module.toml, capabilities: "{line}"'
    assert await state(node, "bad") == "failed"


USES = {
    "kv:x": "self.context.kv('x')",
    "bus:publish:bad.x": "await self.context.publish('bad.x')",
    "bus:subscribe:a.b": "await self.context.subscribe('a.b').__aenter__()",
    "stream:/x/1": "await self.context.open_stream(self.context.node, '/x/1')",
    "fabric:bad.**": "self.context.fabric",
    "files": "self.context.files",
    "peers": "self.context.peers()",
    "timer": "await self.context.sleep(1)",
    "sign": "self.context.sign(b'x')",
}


@pytest.mark.parametrize("line", USES)
async def test_what_is_used_and_was_not_granted_is_refused_with_the_line_to_add(
    node, drop, other, line, autojump_clock
):
    code = (
        f'class Main(Module):\n    @operation\n    async def use(self) -> None:\n        "Use."\n        {USES[line]}\n'
    )
    await enable(node, drop, code, tables=provides("use"))
    error = await refused(node.call("bad.use"))
    assert error.code == "module.not-granted"
    assert error.facts["capability"] == line


async def test_calling_another_operation_needs_its_grant_and_passes_the_gate(node, drop, other, autojump_clock):
    code = """
class Main(Module):
    @operation
    async def ask(self, name: str) -> object:
        "Call another operation."
        return await self.context.call(name)
"""
    code = "from typing import Any\n" + code.replace("-> object", "-> dict[str, Any]")
    await enable(node, drop, code, capabilities=["call:node.state"], tables=provides("ask"))
    assert (await node.call("bad.ask", name="node.state"))["name"] == "alice"
    assert (await refused(node.call("bad.ask", name="node.stop"))).code == "control.refused"
    assert (await refused(node.call("bad.ask", name="node.nothing"))).code == "control.unknown-operation"
