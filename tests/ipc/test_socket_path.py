"""Where the socket is: near the home where it fits, by hash where it does not, the same for both sides."""

import os
import socket
import struct
import tempfile
from pathlib import Path

import pytest

from nzcore.base.errors import UnavailableError
from nzcore.ipc import path as path_module
from nzcore.ipc import peer
from nzcore.ipc.path import MAX_SOCKET_PATH, socket_path


def _long(folder: Path, name: str = "h") -> Path:
    return folder / (name * 120)


def test_a_short_home_holds_its_own_socket(folder: Path) -> None:
    assert socket_path(folder) == Path(os.path.realpath(folder), "run", "nzcore.sock")


def test_a_long_home_has_its_socket_in_the_runtime_folder_by_hash(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    path = socket_path(_long(folder))
    assert path.parent == folder
    assert path.name.startswith("nzcore-")
    assert path != socket_path(_long(folder, "i"))
    assert path == socket_path(_long(folder))


@pytest.mark.parametrize("runtime", [None, "relative/folder", "/" + "r" * 120])
def test_without_a_usable_runtime_folder_it_is_in_a_folder_of_this_user(
    folder: Path, monkeypatch: pytest.MonkeyPatch, runtime: str | None
) -> None:
    if runtime is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    path = socket_path(_long(folder))
    assert path.parent == Path(tempfile.gettempdir(), f"nzcore-{os.getuid()}")


def test_where_nothing_is_short_enough_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + "t" * 120)
    monkeypatch.setattr(path_module, "SHORTEST_FOLDER", "/" + "s" * 120)
    with pytest.raises(UnavailableError) as failed:
        socket_path(_long(folder))
    assert failed.value.code == "ipc.no-socket-path"


def test_a_temporary_folder_that_is_too_long_itself_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + "t" * 120)
    assert socket_path(_long(folder)).parent == Path("/tmp", f"nzcore-{os.getuid()}")


def test_a_link_to_a_home_leads_to_the_same_socket(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "link").symlink_to(folder / "home")
    assert socket_path(folder / "link") == socket_path(folder / "home")


def test_the_system_takes_a_path_of_the_limit_and_no_longer(folder: Path) -> None:
    longest = str(folder / ("s" * (MAX_SOCKET_PATH - len(str(folder)) - 1)))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(longest)
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(OSError, match="too long"):
        sock.bind(longest + "s")


def test_the_uid_of_the_other_end_is_ours() -> None:
    one, two = socket.socketpair()
    with one, two:
        assert peer.peer_uid(one) == os.getuid()


@pytest.mark.parametrize(
    ("raw", "uid"),
    [
        (struct.pack("2Ih16I", 0, 501, 1, *[20] * 16), 501),
        (struct.pack("2Ih16I", 1, 501, 1, *[20] * 16), None),
        (struct.pack("2I", 0, 501), None),
        (b"", None),
    ],
)
def test_a_struct_xucred_is_read_only_in_the_version_that_we_know(raw: bytes, uid: int | None) -> None:
    assert peer.parse_xucred(raw) == uid


def test_without_a_way_to_ask_nobody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = socket.socketpair()
    with one, two:
        monkeypatch.delattr(socket, "SO_PEERCRED")
        assert peer.peer_uid(one) is None
