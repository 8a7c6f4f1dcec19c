"""The loopback door: both sides prove that they know the token, and nobody learns it."""

import os
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.ipc import doors, loopback, loopback_server
from nzcore.ipc.client import Client
from nzcore.ipc.doors import open_client
from nzcore.ipc.home import serve_home
from nzcore.ipc.loopback import (
    ADDRESS,
    ClientChallenge,
    ServerChallenge,
    Token,
    connect_loopback,
    parse_token,
    write_token,
)
from tests.ipc.ipc_helpers import Handlers

TOKEN = Token(4711, bytes(range(32)))


async def _start(nursery: trio.Nursery, path: Path, handlers: Handlers) -> Token:
    async def run(task_status: trio.TaskStatus[Path]) -> None:
        await loopback_server.serve_loopback(path, handlers, report=handlers.troubles.append, task_status=task_status)

    await nursery.start(run)
    return await trio.to_thread.run_sync(lambda: parse_token(path.read_bytes()))


def test_two_that_know_the_token_meet() -> None:
    client, server = ClientChallenge(TOKEN), ServerChallenge(TOKEN)
    server.verify(client.answer(server.greet(client.hello)))


def test_a_server_without_the_token_is_found_out_before_the_client_says_anything() -> None:
    client, server = ClientChallenge(TOKEN), ServerChallenge(Token(4711, bytes(32)))
    with pytest.raises(PeerError, match="bad-token"):
        client.answer(server.greet(client.hello))


def test_a_client_without_the_token_is_not_let_in() -> None:
    server = ServerChallenge(TOKEN)
    server.greet(ClientChallenge(TOKEN).hello)
    for proof in (bytes(32), b"", b"\xff" * 32):
        with pytest.raises(PeerError, match="bad-token"):
            server.verify(proof)


def test_a_proof_before_the_greeting_opens_nothing() -> None:
    with pytest.raises(PeerError, match="bad-token"):
        ServerChallenge(TOKEN).verify(bytes(32))


def test_a_servers_answer_can_not_be_reflected_as_a_clients_proof() -> None:
    victim = ServerChallenge(TOKEN)
    answer = victim.greet(ClientChallenge(TOKEN).hello)
    with pytest.raises(PeerError, match="bad-token"):
        victim.verify(answer[32:])


def test_a_proof_serves_once() -> None:
    client, server = ClientChallenge(TOKEN), ServerChallenge(TOKEN)
    proof = client.answer(server.greet(client.hello))
    again = ServerChallenge(TOKEN)
    again.greet(client.hello)
    with pytest.raises(PeerError, match="bad-token"):
        again.verify(proof)


@given(st.binary(max_size=120))
def test_any_bytes_in_place_of_the_challenge_end_in_a_peer_error_or_a_proof(data: bytes) -> None:
    attempts = (
        lambda: ClientChallenge(TOKEN).answer(data),
        lambda: ServerChallenge(TOKEN).greet(data),
        lambda: ServerChallenge(TOKEN).verify(data),
        lambda: parse_token(data),
    )
    for attempt in attempts:
        with suppress(PeerError):
            assert attempt() is not None


def test_the_token_hides_itself_and_is_readable_by_its_owner_only(folder: Path) -> None:
    write_token(folder / "token", TOKEN)
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert parse_token((folder / "token").read_bytes()) == TOKEN
    assert os.listdir(folder) == ["token"]
    assert TOKEN.secret.hex() not in repr(TOKEN)


async def test_a_client_calls_and_streams_through_the_loopback(
    folder: Path, handlers: Handlers, nursery: trio.Nursery
) -> None:
    await _start(nursery, folder / "token", handlers)

    def work() -> tuple[object, object]:
        with Client(folder / "token", connect=connect_loopback) as client:
            return client.call("who"), list(client.stream("count", 3))

    assert await trio.to_thread.run_sync(work) == ("owner loopback", [0, 1, 2])


async def test_an_old_token_does_not_open_a_new_server(folder: Path, handlers: Handlers, nursery: trio.Nursery) -> None:
    token = await _start(nursery, folder / "token", handlers)
    write_token(folder / "old", token._replace(secret=bytes(32)))
    with pytest.raises(PeerError, match="bad-token"):
        await trio.to_thread.run_sync(connect_loopback, folder / "old", 5.0)


async def test_who_does_not_prove_the_token_asks_nothing(
    folder: Path, handlers: Handlers, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    token = await _start(nursery, folder / "token", handlers)
    hello = ClientChallenge(token).hello
    for said in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", hello + bytes(64), hello, b""):
        async with await trio.open_tcp_stream(ADDRESS, token.port) as stream:
            await stream.send_all(said)
            heard = bytearray()
            with suppress(trio.BrokenResourceError):
                async for data in stream:
                    heard += data
            assert b"ipc." in heard
    assert handlers.started == 0
    assert not handlers.troubles


async def test_the_token_is_gone_after_the_server(folder: Path, handlers: Handlers) -> None:
    async with trio.open_nursery() as nursery:
        await _start(nursery, folder / "token", handlers)
        nursery.cancel_scope.cancel()
    assert os.listdir(folder) == []


async def test_a_folder_that_takes_no_token_is_said_so(folder: Path, handlers: Handlers) -> None:
    with pytest.raises(UnavailableError) as failed:
        await loopback_server.serve_loopback(folder / "no" / "token", handlers, report=handlers.troubles.append)
    assert failed.value.code == "ipc.unsafe-folder"


@pytest.mark.parametrize("unix", [True, False])
async def test_a_home_is_served_and_found_by_the_door_of_its_system(
    folder: Path, handlers: Handlers, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, unix: bool
) -> None:
    monkeypatch.setattr(doors, "HAS_UNIX_SOCKETS", unix)

    async def run(task_status: trio.TaskStatus[Path]) -> None:
        await serve_home(folder, handlers, report=handlers.troubles.append, task_status=task_status)

    await nursery.start(run)
    assert os.listdir(folder / "run") == ["nzcore.sock" if unix else "token"]

    def work() -> object:
        with open_client(folder) as client:
            return client.call("who")

    assert await trio.to_thread.run_sync(work) == (f"owner {os.getuid()}" if unix else "owner loopback")


@pytest.mark.parametrize("kept", [None, b"", b"NZ-IPC-01 99999 00\n"])
def test_without_a_good_token_file_no_port_is_asked(folder: Path, kept: bytes | None) -> None:
    if kept is not None:
        (folder / "token").write_bytes(kept)
    with pytest.raises(NzError) as failed:
        connect_loopback(folder / "token", 1.0)
    assert failed.value.code == ("ipc.not-running" if kept is None else "ipc.bad-token")


def test_the_port_of_a_dead_node_is_not_running(folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind((ADDRESS, 0))
        write_token(folder / "token", Token(unused.getsockname()[1], bytes(32)))
        with pytest.raises(UnavailableError) as failed:
            connect_loopback(folder / "token", 1.0)
    assert failed.value.code == "ipc.not-running"


def test_a_server_that_hangs_up_in_the_challenge_is_a_lost_connection(folder: Path) -> None:
    with socket.socket() as listener:
        listener.bind((ADDRESS, 0))
        listener.listen()
        write_token(folder / "token", Token(listener.getsockname()[1], bytes(32)))

        def hang_up() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(loopback.HELLO_BYTES)
                sock.sendall(b"x" * 10)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(UnavailableError) as failed:
            connect_loopback(folder / "token", 5.0)
        thread.join(5)
    assert failed.value.code == "ipc.connection-lost"


def test_a_token_left_by_a_start_that_was_cut_short_is_replaced(folder: Path) -> None:
    (folder / "token.new").write_text("half")
    (folder / "token.new").chmod(0o644)
    write_token(folder / "token", TOKEN)
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert os.listdir(folder) == ["token"]


def test_another_process_on_the_port_learns_nothing_and_is_refused(folder: Path) -> None:
    with socket.socket() as thief:
        thief.bind((ADDRESS, 0))
        thief.listen()
        write_token(folder / "token", Token(thief.getsockname()[1], bytes(32)))
        with pytest.raises(UnavailableError) as failed:
            connect_loopback(folder / "token", 0.05)
        assert failed.value.code == "ipc.timeout"
        taken, _ = thief.accept()
        with taken:
            assert len(taken.recv(4096)) == loopback.HELLO_BYTES
