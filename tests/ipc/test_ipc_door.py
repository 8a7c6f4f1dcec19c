"""The server's door: who gets in, how many, and what stands in the folder."""

import errno
import os
import socket
import stat
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nzcore.base.errors import PeerError, UnavailableError
from nzcore.control.verdict import Principal
from nzcore.ipc import server as server_module
from nzcore.ipc import wire
from nzcore.ipc.server import serve
from tests.ipc.ipc_helpers import Connect, Handlers, Raw, start


async def test_connections_beyond_the_limit_are_turned_away_with_a_reason(
    server: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 2)
    async with connect() as one, connect() as two:
        for client in (one, two):
            await client.ask(1, "echo", 1)
            await client.hear()
        async with connect() as three:
            event = await three.hear()
            assert isinstance(event, wire.Close)
            assert event.failure.code == "ipc.busy"
        await one.ask(2, "echo", 2)
        assert (await one.hear_reply()).result == 2


async def test_the_place_of_a_client_that_left_is_free_again(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 1)
    for number in range(5):
        async with connect() as client:
            await client.ask(number, "echo", number)
            assert (await client.hear_reply()).result == number
        await wait_all_tasks_blocked()


async def test_another_user_is_turned_away_and_told_whose_node_it_is(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "peer_uid", lambda sock: os.getuid() + 1)
    async with connect() as client:
        event = await client.hear()
        assert isinstance(event, wire.Close)
        assert (event.failure.code, event.failure.kind) == ("ipc.not-owner", "refused")
        assert f"uid {os.getuid()}" in event.failure.message


async def test_a_user_whom_the_system_does_not_tell_is_turned_away(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "peer_uid", lambda sock: None)
    async with connect() as client:
        event = await client.hear()
        assert isinstance(event, wire.Close)
        assert event.failure.code == "ipc.not-owner"


async def test_a_connection_that_breaks_in_our_own_code_is_reported_and_no_one_else_notices(
    connect: Connect, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect() as good:
        await good.ask(1, "echo", 1)
        await good.hear()
        with monkeypatch.context() as broken:
            broken.setattr(server_module, "peer_uid", lambda sock: 1 // 0)
            async with connect() as bad:
                assert await bad.hear() is None
        assert isinstance(handlers.troubles[-1].error, ZeroDivisionError)
        await good.ask(2, "echo", 2)
        assert (await good.hear_reply()).result == 2


async def test_folder_and_socket_are_the_owners_alone(server: Path) -> None:
    modes = [stat.S_IMODE(os.lstat(path).st_mode) for path in (server.parent, server)]
    assert modes == [0o700, 0o600]


async def test_the_socket_of_a_dead_node_is_replaced(folder: Path, handlers: Handlers, nursery: trio.Nursery) -> None:
    path = folder / "nzcore.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    await start(nursery, path, handlers)
    async with await trio.open_unix_socket(str(path)) as stream:
        client = Raw(stream)
        await client.ask(1, "echo", "alive")
        assert (await client.hear_reply()).result == "alive"


async def test_a_file_that_is_no_socket_is_left_alone(folder: Path, handlers: Handlers) -> None:
    path = folder / "nzcore.sock"
    path.write_text("mine")
    with pytest.raises(UnavailableError) as refused:
        await serve(path, handlers, report=handlers.troubles.append)
    assert refused.value.code == "ipc.path-taken"
    assert path.read_text() == "mine"


@pytest.mark.parametrize("kind", ["open to others", "a link", "not there"])
async def test_a_folder_that_is_not_ours_alone_is_refused(folder: Path, handlers: Handlers, kind: str) -> None:
    inner = folder / "run"
    if kind == "open to others":
        inner.mkdir()
        inner.chmod(0o755)
    elif kind == "a link":
        (folder / "elsewhere").mkdir(mode=0o700)
        inner.symlink_to(folder / "elsewhere")
    else:
        inner = folder / "missing" / "run"
    with pytest.raises(UnavailableError) as refused:
        await serve(inner / "nzcore.sock", handlers, report=handlers.troubles.append)
    assert refused.value.code == "ipc.unsafe-folder"


async def test_a_path_that_is_too_long_is_refused_in_words(folder: Path, handlers: Handlers) -> None:
    with pytest.raises(UnavailableError, match="too long") as refused:
        await serve(folder / ("s" * 120), handlers, report=handlers.troubles.append)
    assert refused.value.code == "ipc.no-socket-path"


async def test_without_a_descriptor_left_the_server_says_so_and_waits_for_one(
    folder: Path, handlers: Handlers, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    class Scarce(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "too many open files")
            return super().accept()

    async def authenticate(sock: socket.socket) -> Principal:
        return Principal("owner", "test")

    with Scarce(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "scarce"))
        listener.listen()
        listener.setblocking(False)
        report = handlers.troubles.append
        nursery.start_soon(
            partial(server_module.accept_from, listener, handlers, report=report, authenticate=authenticate)
        )
        async with await trio.open_unix_socket(str(folder / "scarce")) as stream:
            client = Raw(stream)
            await client.ask(1, "who")
            assert (await client.hear_reply()).result == "owner test"
        assert [trouble.what for trouble in handlers.troubles] == ["no descriptor left for a connection"] * 3
        nursery.cancel_scope.cancel()


async def test_the_socket_is_gone_after_the_server_but_not_one_that_took_its_place(
    folder: Path, handlers: Handlers
) -> None:
    path = folder / "run" / "nzcore.sock"
    for replaced in (False, True):
        async with trio.open_nursery() as nursery:
            await start(nursery, path, handlers)
            assert path.exists()
            if replaced:
                path.unlink()
                path.write_text("another")
            nursery.cancel_scope.cancel()
        assert path.exists() is replaced


def test_the_owner_of_a_socket_pair_is_this_user() -> None:
    one, two = socket.socketpair()
    with one, two:
        assert server_module.owner_of(one).kind == "owner"


def test_no_peer_error_is_raised_for_the_owner_and_one_for_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = socket.socketpair()
    with one, two:
        monkeypatch.setattr(os, "getuid", lambda: 123_456)
        with pytest.raises(PeerError, match="123456"):
            server_module.owner_of(one)
