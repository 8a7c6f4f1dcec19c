"""A node that does not answer, or can't be found: what is said of it, and how it is ended."""

import os
import signal
from pathlib import Path

import pytest

from nzcore.cli.spawn import lock_owner, wait_for_end
from nzcore.store.lock import HomeLock, holder

from .conftest import WAIT_S, Run, start_node


def test_down_names_the_process_that_does_not_answer(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nzcore.ipc.client.GRACE_S", 0)
    monkeypatch.setattr("nzcore.ipc.client.FAREWELL_S", 0)
    start_node(tmp_path / "home", "deaf")
    pid = holder(tmp_path / "home" / "lock")
    assert pid
    os.kill(pid, signal.SIGSTOP)
    ended = run("--home", tmp_path / "home", "--json", "--timeout", "0.05", "down")
    os.kill(pid, signal.SIGKILL)
    assert (ended.code, ended.error["code"]) == (5, "ipc.timeout")
    assert f"kill -9 {pid}" in ended.error["hint"]
    assert wait_for_end(pid, WAIT_S)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not list locks")
def test_a_node_whose_socket_is_gone_is_named_wherever_it_is_missed(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    start_node(home, "hidden")
    pid = holder(home / "lock")
    assert pid
    (home / "run" / "nzcore.sock").unlink()
    for words, code in ((("state",), 3), (("down",), 3), (("invite",), 3), (("up",), 1), (("up", "-d"), 1)):
        ended = run("--home", home, "--json", *words)
        assert ended.code == code
        assert f"process {pid}" in ended.error["message"]
        assert f"kill {pid} stops it" in ended.error["hint"]
    found = {one["check"]: one for one in run("--home", home, "--json", "doctor").json}
    assert not found["node answers"]["ok"]
    os.kill(pid, signal.SIGTERM)
    assert wait_for_end(pid, WAIT_S)
    assert "up -d" in run("--home", home, "--json", "state").error["hint"]


def test_the_owner_of_a_lock_is_found_without_taking_it(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path / "lock")
    assert lock_owner(tmp_path / "lock") is None
    with lock:
        assert lock_owner(tmp_path / "lock") == (os.getpid() if Path("/proc/locks").exists() else None)
    assert lock_owner(tmp_path / "lock") is None
