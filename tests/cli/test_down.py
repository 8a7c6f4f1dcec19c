"""`nzcore down` at a node that does not answer."""

import os
import signal
from pathlib import Path

import pytest

from nzcore.cli.spawn import wait_for_end
from nzcore.store.lock import holder

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
