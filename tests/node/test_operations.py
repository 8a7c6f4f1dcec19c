"""Every operation has a handler, every handler an operation; the gate stands before all of them."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import NzError, UnavailableError
from nzcore.base.scopes import Scope
from nzcore.codec.types import builtins, convert
from nzcore.control.node_ops import EventItem, State
from nzcore.control.operation import AnyOperation
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Principal, Verdict
from nzcore.kernel import Event, Service
from nzcore.kernel import State as ServiceState
from nzcore.node.dispatch import Dispatcher, Judged
from nzcore.node.node import Node
from nzcore.node.operations.node_handlers import WATCH_S
from nzcore.node.operations.table import HANDLERS
from nzcore.node.services import IpcService, StoreService
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.root import Root
from nzcore.proto.identity.rotation import RotationRequest, approve
from nzcore.store.inline import InlineKV

WORDS = "abandon " * 23 + "art"
OWNER = Principal("owner", "1000")
EVERY_SCOPE = Principal("peer", "nzn1peer", scopes=frozenset(Scope))
STRANGER = Principal("peer", "nzn1stranger")
DIGEST = {"digest": "00" * 32, "size": 3}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "service.show": {"name": "spare"},
    "service.stop": {"name": "spare"},
    "service.start": {"name": "spare"},
    "service.restart": {"name": "spare"},
    "service.kill": {"name": "spare"},
    "identity.sign": DIGEST,
    "identity.rotate": {"mnemonic": WORDS},
    "identity.export": {"passphrase": "a phrase"},
    "identity.passphrase": {"new": "a phrase"},
    "identity.card": {"addresses": True},
    "config.get": {"name": "log.level"},
    "config.set": {"name": "log.level", "value": "error"},
}
"""For operations that answer without a peer; all others are called with what they refuse."""


class Spare(Service):
    name = "spare"


class Play:
    """A running node under a virtual clock, asked through its dispatcher."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.items: list[Any] = []
        self.told: list[Event] = []

    async def ask(self, name: str, args: object = None, *, principal: Principal = OWNER) -> Any:
        outcome = Dispatcher(self.node)(principal, name, args, self._send)
        return await outcome if hasattr(outcome, "__await__") else outcome

    async def _send(self, item: object) -> None:
        await trio.lowlevel.checkpoint()
        self.items.append(item)

    async def _listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self.node.bus.subscribe("control.**") as events:
            task_status.started()
            async for event in events:
                self.told.append(event)


def play(node: Node, scene: Callable[[Play], Any], *more: Service) -> None:
    """Runs `scene` while the node is up, in virtual time."""

    async def main() -> None:
        one, ready = Play(node), trio.Event()
        store = StoreService(lambda: InlineKV(node.identity.data_key), requires=())
        node.attach(lambda: store.kv)
        async with trio.open_nursery() as nursery:
            await nursery.start(one._listen)
            nursery.start_soon(lambda: node.run([store, Spare(), *more], on_ready=ready.set))
            await ready.wait()
            await node.peers.load()
            await scene(one)
            node.request_stop()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0.01))


def test_every_operation_has_a_handler_and_every_handler_an_operation() -> None:
    assert set(HANDLERS) == set(OPERATIONS)


def test_the_owner_gets_from_every_operation_its_result_or_a_refusal_of_ours(node: Node) -> None:
    async def scene(one: Play) -> None:
        for name, operation in OPERATIONS.items():
            if name == "node.stop":
                continue
            answered = await _answer(one, operation)
            assert answered or name not in {*ARGUMENTS, "node.state", "node.doctor", "service.list", "peer.list"}, name

    play(node, scene)


async def _answer(one: Play, operation: AnyOperation) -> bool:
    """Whether the operation gave a result, which must be of its type; other errors than ours climb."""
    one.items.clear()
    try:
        with trio.move_on_after(5):  # streams go on for ever
            result = await one.ask(operation.name, ARGUMENTS.get(operation.name))
            if not operation.stream:
                convert(builtins(result), operation.result)
                return True
    except NzError as error:
        assert error.message and error.hint, operation.name  # noqa: PT017, PT018  (any of ours will do)
        return False
    for item in one.items:
        convert(builtins(item), operation.result)
    return bool(one.items)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_a_peer_reaches_no_local_operation_and_a_stranger_none(node: Node, operation: AnyOperation) -> None:
    async def scene(one: Play) -> None:
        asking = [STRANGER, EVERY_SCOPE] if operation.local_only else [STRANGER]
        for principal in asking:
            for args in (ARGUMENTS.get(operation.name), {"nonsense": 1}, 7):
                with pytest.raises(NzError) as caught:
                    await one.ask(operation.name, args, principal=principal)
                assert caught.value.code == "control.refused"
        await trio.sleep(1)
        refused = [event.value for event in one.told if event.topic == "control.refused"]
        assert len(refused) == 3 * len(asking)
        assert isinstance(refused[0], Judged)
        assert refused[0].operation == operation.name
        assert refused[0].reasons

    play(node, scene)


def test_what_is_dangerous_is_done_and_told(node: Node) -> None:
    async def scene(one: Play) -> None:
        await one.ask("service.kill", {"name": "spare"})
        await one.ask("node.state")
        await trio.sleep(1)
        (warned,) = [event.value for event in one.told if event.topic == "control.warned"]
        assert isinstance(warned, Judged)
        assert (warned.principal, warned.operation) == ("owner 1000", "service.kill")
        assert any("service:spare" in reason for reason in warned.reasons)

    play(node, scene)


def test_a_secret_among_the_arguments_is_told_to_nobody(node: Node) -> None:
    async def scene(one: Play) -> None:
        async with node.bus.subscribe("**", overflow="error") as everything:
            await one.ask("identity.rotate", {"mnemonic": WORDS})
            await one.ask("identity.export", {"passphrase": "correct horse"})
            with pytest.raises(NzError):
                await one.ask("identity.rotate", {"mnemonic": "horse " * 24})
            await one.ask("identity.passphrase", {"new": "battery horse"})
            with pytest.raises(NzError):
                await one.ask("identity.passphrase", {"current": "wrong horse", "new": "staple horse"})
            node.bus.emit("end")
            async for event in everything:
                assert "abandon" not in repr(event)
                assert "horse" not in repr(event)
                if event.topic == "end":
                    break

    play(node, scene)


async def test_a_policy_that_fails_lets_nobody_in(node: Node) -> None:
    def broken(principal: Principal, operation: AnyOperation, resource: str) -> Verdict:
        raise LookupError

    with pytest.raises(LookupError):
        Dispatcher(node, broken)(OWNER, "node.stop", None, None)  # type: ignore[arg-type]
    assert not node._life.cancel_called


def test_an_essential_service_is_stopped_and_killed_only_by_force(node: Node) -> None:
    async def scene(one: Play) -> None:
        for operation in ("service.stop", "service.restart", "service.kill"):
            with pytest.raises(NzError) as caught:
                await one.ask(operation, {"name": "store"})
            assert caught.value.code in ("node.essential-service", "kernel.essential")
            assert node.supervisor.info("store").restarts == 0
        await one.ask("service.kill", {"name": "store", "force": True})
        await trio.sleep(5)
        state = await one.ask("node.state")
        assert {service.name: service.restarts for service in state.services}["store"] == 1
        assert state.healthy

    play(node, scene)


class Door(Service):
    name = IpcService.name


def test_the_door_of_a_running_node_is_not_stopped_even_by_force(node: Node) -> None:
    async def scene(one: Play) -> None:
        with pytest.raises(NzError) as caught:
            await one.ask("service.stop", {"name": "ipc", "force": True})
        assert caught.value.code == "node.only-door"
        assert "nzcore down" in caught.value.hint
        assert node.supervisor.info("ipc").state is ServiceState.RUNNING

    assert IpcService.requires == ()  # or stopping what it requires would stop it too
    play(node, scene, Door())


def test_a_rotation_by_request_goes_over_the_operations(node: Node) -> None:
    async def scene(one: Play) -> None:
        asked = await one.ask("identity.request")
        with Mnemonic.parse(WORDS) as mnemonic, Root.from_mnemonic(mnemonic) as root:
            answer = approve(root, RotationRequest.parse_text(asked.request), 2_000_000_000)
        shown = await one.ask("identity.apply", {"certificate": answer.text})
        assert (shown.epoch, shown.sign_key) == (answer.epoch, answer.sign_key.hex())
        assert Certificate.parse_text(node.home.certificate.read_text()) == answer
        assert (await one.ask("identity.show")).epoch == answer.epoch

    play(node, scene)


class Flapping(Service):
    """Tells nothing; whoever holds it wakes it to fall."""

    name = "flapping"

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()


def test_a_watch_shows_changes_and_no_floods(node: Node) -> None:
    async def scene(one: Play) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.ask, "node.watch")
            await trio.sleep(10)
            assert len(one.items) == 1  # time alone changes nothing
            for number in range(20_000):
                node.bus.emit("fault.flood", number)
            await trio.sleep(1)
            assert len(one.items) == 1
            assert node.bus.stats().dropped <= 20_000  # by the listener of this test's own `control.**`: none of ours
            node.supervisor.crash("flapping")
            await trio.sleep(1)
            assert [_restarts(state) for state in one.items][-1] == 1
            assert 2 <= len(one.items) <= 2 + 1 / WATCH_S
            nursery.cancel_scope.cancel()

    play(node, scene, Flapping())


def _restarts(state: State) -> int:
    return next(service.restarts for service in state.services if service.name == "flapping")


class Hostile:
    """A value that can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_events_arrive_in_order_also_those_that_nobody_can_print(node: Node) -> None:
    async def scene(one: Play) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.ask, "node.events", {"pattern": "test.*"})
            await trio.sleep(1)
            for value in (1, Hostile(), Judged("a", "b", ("c",)), b"x", Hostile):
                node.bus.emit("test.value", value)
            node.bus.emit("other.value", 1)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert all(isinstance(item, EventItem) and item.topic == "test.value" for item in one.items)
        shown = [item.value for item in one.items]
        assert (shown[0], shown[2]) == (1, {"principal": "a", "operation": "b", "reasons": ("c",)})
        assert "raised RuntimeError" in one.items[1].value

    play(node, scene)


def test_an_operation_on_services_says_that_none_runs(node: Node) -> None:
    with pytest.raises(UnavailableError) as caught:
        Dispatcher(node)(OWNER, "service.list", None, None)  # type: ignore[arg-type]
    assert caught.value.code == "node.not-up"
