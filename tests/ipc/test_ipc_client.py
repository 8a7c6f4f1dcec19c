"""The blocking client against a real server: results, refusals, streams, timeouts, Ctrl-C; and what it imports."""

import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.control import node_ops, service_ops
from nzcore.control.operation import Nothing
from nzcore.ipc import client as client_module
from nzcore.ipc import wire
from nzcore.ipc.client import Client, NodeError, exit_code
from nzcore.ipc.typed import TypedClient
from tests.ipc.ipc_helpers import Handlers, start

if TYPE_CHECKING:
    from nzcore.control.caller import Caller

InClient = Callable[[Callable[[Client], object]], Awaitable[object]]


@pytest.fixture
def in_client(server: Path) -> InClient:
    """Runs a function with a connected client in a thread, while the server runs here."""

    async def run(work: Callable[[Client], object], timeout_s: float = 10.0) -> object:
        def connected() -> object:
            with Client(server, timeout_s=timeout_s) as client:
                return work(client)

        return await trio.to_thread.run_sync(connected)

    return run


async def test_a_call_returns_plain_values(in_client: InClient) -> None:
    assert await in_client(lambda client: client.call("echo", {"name": "ipc", "n": 1})) == {"name": "ipc", "n": 1}


async def test_many_calls_keep_their_order_beyond_the_window(in_client: InClient) -> None:
    calls = [("echo", number) for number in range(200)]
    assert await in_client(lambda client: client.call_many(calls)) == list(range(200))


async def test_a_refusal_is_a_node_error_with_the_nodes_words(in_client: InClient) -> None:
    with pytest.raises(NodeError) as refused:
        await in_client(lambda client: client.call("misused"))
    error = refused.value
    assert (error.code, error.message, error.hint) == ("base.bad-text", "no such service", "look at service list")
    assert (error.facts, error.exit_code) == ({"name": "x"}, 2)


async def test_the_connection_serves_on_after_a_refusal(in_client: InClient) -> None:
    def work(client: Client) -> object:
        with pytest.raises(NodeError):
            client.call("crash")
        return client.call("echo", "after")

    assert await in_client(work) == "after"


async def test_one_refusal_among_many_takes_the_others_back(in_client: InClient, handlers: Handlers) -> None:
    def work(client: Client) -> object:
        with pytest.raises(NodeError):
            client.call_many([("hang", None), ("crash", None), ("hang", None)])
        return client.call("echo", "after")

    assert await in_client(work) == "after"
    assert (handlers.started, handlers.ended) == (2, 2)


async def test_a_stream_gives_its_items_and_ends(in_client: InClient) -> None:
    assert await in_client(lambda client: list(client.stream("count", 5))) == [0, 1, 2, 3, 4]


async def test_closing_a_stream_cancels_it_at_the_node_and_frees_the_connection(
    in_client: InClient, handlers: Handlers
) -> None:
    def work(client: Client) -> object:
        with closing(client.stream("flood")) as items:
            assert next(items) == "x" * 10_000
            with pytest.raises(UsageError, match="busy-connection"):
                client.call("echo", 1)
        return client.call("echo", "free")

    assert await in_client(work) == "free"
    assert handlers.ended == 1


async def test_the_nodes_deadline_is_a_timeout_by_its_kind(in_client: InClient) -> None:
    with pytest.raises(NodeError) as late:
        await in_client(lambda client: client.call("hang", timeout_s=0.01))
    assert (late.value.code, exit_code(late.value)) == ("ipc.deadline", 5)


async def test_ctrl_c_cancels_the_call_at_the_node(
    in_client: InClient, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(client: Client, give_up: float) -> wire.Item:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "_next_event", interrupted)

    def work(client: Client) -> object:
        with pytest.raises(KeyboardInterrupt):
            client.call("hang")
        return client.call("echo", "still there")

    assert await in_client(work) == "still there"
    assert (handlers.started, handlers.ended) == (1, 1)


async def test_the_typed_client_takes_and_gives_the_tables_types(server: Path, handlers: Handlers) -> None:
    info = {
        "name": "net",
        "state": "running",
        "restarts": 2,
        "since_s": 1,
        "summary": "",
        "essential": False,
        "requires": [],
        "strategy": "one_for_one",
        "restart": "permanent",
    }
    check = {"check": "home", "ok": True, "detail": "fine"}
    asked: list[object] = []

    def answer(principal: object, args: object, send_item: object) -> object:
        asked.append(args)
        return info

    async def doctor(principal: object, args: object, send_item: Callable[[object], Awaitable[None]]) -> None:
        for number in range(2):
            await send_item({"topic": "a.b", "at": number, "value": None})

    handlers.added["service.show"] = answer
    handlers.added["node.doctor"] = lambda *_: [check]
    handlers.added["node.events"] = doctor
    handlers.added["node.state"] = lambda *_: {"node": 5}

    def work() -> None:
        with Client(server) as client:
            caller: Caller = TypedClient(client)
            shown = caller.call(service_ops.SHOW, service_ops.ServiceArgs(name="net"))
            assert (shown.name, shown.restarts, shown.last_error) == ("net", 2, None)
            assert caller.call(node_ops.DOCTOR, Nothing()) == [node_ops.Check(check="home", ok=True, detail="fine")]
            items = list(caller.stream(node_ops.EVENTS, node_ops.EventsArgs(pattern="a.*")))
            assert items == [node_ops.EventItem(topic="a.b", at=float(n), value=None) for n in range(2)]
            with pytest.raises(PeerError, match="wrong-type"):
                caller.call(node_ops.STATE, Nothing())

    await trio.to_thread.run_sync(work)
    assert asked == [{"name": "net"}]


def test_without_a_socket_the_node_is_not_running(folder: Path) -> None:
    for path in (folder / "run" / "nzcore.sock", folder / "nzcore.sock"):
        with pytest.raises(UnavailableError) as failed:
            Client(path)
        assert (failed.value.code, exit_code(failed.value)) == ("ipc.not-running", 3)
        assert "nzcore up -d" in failed.value.hint


def test_a_dead_nodes_socket_is_not_running_either(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead.sock"))
    with pytest.raises(UnavailableError) as failed:
        Client(folder / "dead.sock")
    assert failed.value.code == "ipc.not-running"


def test_a_path_too_long_for_a_socket_is_said_to_be_so(folder: Path) -> None:
    with pytest.raises(UnavailableError) as failed:
        Client(folder / ("x" * 120))
    assert failed.value.code == "ipc.no-socket-path"


def test_a_socket_of_another_user_is_not_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _listening(folder) as path:
        monkeypatch.setattr(client_module, "peer_uid", lambda sock: 4711)
        with pytest.raises(PeerError) as failed:
            Client(path)
        assert (failed.value.code, exit_code(failed.value)) == ("ipc.not-owner", 4)


def test_a_node_that_never_answers_is_a_timeout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "GRACE_S", 0.01)
    monkeypatch.setattr(client_module, "FAREWELL_S", 0.01)
    with _listening(folder) as path, Client(path, timeout_s=0.01) as client:
        with pytest.raises(UnavailableError) as failed:
            client.call("node.state")
        assert (failed.value.code, exit_code(failed.value)) == ("ipc.timeout", 5)


def test_a_call_that_nobody_takes_off_the_socket_is_a_timeout_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "GRACE_S", 0.01)
    monkeypatch.setattr(client_module, "FAREWELL_S", 0.01)
    with _listening(folder) as path, Client(path, timeout_s=0.05) as client:
        with pytest.raises(UnavailableError) as failed:
            client.call("echo", "x" * 1_000_000)
        assert failed.value.code == "ipc.timeout"
        with pytest.raises(UnavailableError) as closed:  # half a message is on its way: nothing may follow it
            client.call("echo", 1)
        assert closed.value.code == "ipc.connection-lost"


async def test_arguments_beyond_a_message_are_not_sent(in_client: InClient) -> None:
    def work(client: Client) -> object:
        with pytest.raises(UsageError, match="too-large"):
            client.call("echo", "x" * (1 << 20))
        return client.call("echo", "small")

    assert await in_client(work) == "small"


async def test_a_name_that_is_no_text_is_not_sent(in_client: InClient) -> None:
    def work(client: Client) -> object:
        with pytest.raises(UsageError, match="not-text"):
            client.call("echo", ["/etc/\udcff"])
        with pytest.raises(UsageError, match="unencodable"):
            client.call("echo", object())
        return client.call("echo", "small")

    assert await in_client(work) == "small"


async def test_without_a_timeout_a_call_waits_for_its_answer(server: Path) -> None:
    def work() -> object:
        with Client(server, timeout_s=client_module.FOREVER) as client:
            return client.call("count", 1)

    assert await trio.to_thread.run_sync(work) is None


async def test_a_node_that_stops_in_the_middle_of_a_stream_says_so(folder: Path, handlers: Handlers) -> None:
    path = folder / "nzcore.sock"

    async def tick(principal: object, args: object, send_item: Callable[[object], Awaitable[None]]) -> None:
        await send_item(1)
        await trio.sleep_forever()

    handlers.added["tick"] = tick
    async with trio.open_nursery() as nursery:
        await start(nursery, path, handlers)

        def work() -> str:
            with Client(path) as client, closing(client.stream("tick")) as items:
                next(items)
                trio.from_thread.run_sync(nursery.cancel_scope.cancel)
                try:
                    for _ in items:
                        pass
                except NodeError as error:
                    return error.code
            return "no error"

        code = await trio.to_thread.run_sync(work)
        assert code == "ipc.stopping"


def test_a_queue_of_waiting_clients_that_is_full_is_busy(folder: Path) -> None:
    with _listening(folder, backlog=0) as path:
        with ExitStack() as waiting:

            def come() -> None:
                for _ in range(10):
                    waiting.enter_context(Client(path, timeout_s=0.05))

            with pytest.raises(UnavailableError) as failed:
                come()
        assert failed.value.code == "ipc.busy"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "ipc.connection-lost"),
        (b"\xc1", "codec.bad-message"),
        (wire.encode_cancel(1), "ipc.bad-message"),
        (wire.encode_close(wire.Failure("ipc.busy", "no room", "wait")), "ipc.busy"),
        (wire.encode_failure(1, wire.Failure("newer.code", "", "", "odd")), "newer.code"),
        (wire.encode_result(77, None), "ipc.connection-lost"),
    ],
)
def test_whatever_the_other_end_says_is_an_answer_or_an_error_with_a_code(folder: Path, said: bytes, code: str) -> None:
    with _listening(folder, said=said) as path, Client(path, timeout_s=5) as client:
        with pytest.raises(NzError) as failed:
            client.call("node.state")
        assert failed.value.code == code
        assert str(failed.value)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnavailableError("ipc.not-running"), 3),
        (UnavailableError("ipc.timeout"), 5),
        (UnavailableError("ipc.connection-lost"), 1),
        (UsageError("ipc.busy-connection"), 2),
        (PeerError("control.refused"), 4),
        (NodeError(wire.Failure("a.b", "m", "h", wire.REFUSED)), 4),
        (NodeError(wire.Failure("a.b", "m", "h", wire.FAILED)), 1),
    ],
)
def test_each_error_has_the_exit_code_that_the_commands_promise(error: NzError, status: int) -> None:
    assert exit_code(error) == status


def test_importing_the_client_loads_nothing_slow() -> None:
    code = "import sys, nzcore.ipc.client, nzcore.ipc.path, nzcore.ipc.doors; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    slow = {"trio", "cryptography", "nacl", "asyncio", "structlog", "msgspec", "dataclasses", "logging", "hashlib"}
    assert not slow & set(done.stdout.split())


@contextmanager
def _listening(folder: Path, *, said: bytes | None = None, backlog: int = 8) -> Iterator[Path]:
    """A socket that accepts nobody, or one client to whom it says `said` after the first bytes, and then leaves."""
    path = folder / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        if said is None:
            yield path
            return

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        yield path
        thread.join(5)
