"""One process a home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.store.lock import HomeLock, holder

HOLDER = (
    "import sys; from pathlib import Path; from nzcore.store.lock import HomeLock\n"
    "lock = HomeLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()"
)


def test_a_second_process_is_refused_with_the_pid_of_the_first_and_served_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UnavailableError) as caught, HomeLock(path):
            pass
        assert caught.value.code == "store.home-busy"
        assert caught.value.facts["pid"] == other.pid
        other.kill()
    assert holder(path) == other.pid  # stale, and harmless
    with HomeLock(path):
        assert holder(path) == os.getpid()
    assert holder(path) is None


def test_a_second_lock_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with HomeLock(tmp_path / "lock") as lock:
        with pytest.raises(UnavailableError) as caught, HomeLock(tmp_path / "lock"):
            pass
        assert caught.value.facts["pid"] == os.getpid()
        with pytest.raises(UsageError):
            lock.acquire()
        assert holder(tmp_path / "lock") == os.getpid()
    with HomeLock(tmp_path / "lock"):
        pass


def test_the_lock_file_is_private_and_a_link_is_not_followed(tmp_path: Path) -> None:
    with HomeLock(tmp_path / "lock"):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError) as caught, HomeLock(tmp_path / "link"):
        pass
    assert caught.value.code == "store.cannot-write"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("content", [b"", b"x", "٣".encode(), b"\xff" * 100, b"1" * 1000, b"-1"])
def test_garbage_in_the_file_names_nobody(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(content)
    assert holder(tmp_path / "lock") in (None, int("1" * 32))
    with HomeLock(tmp_path / "lock"):
        assert holder(tmp_path / "lock") == os.getpid()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        HomeLock(tmp_path / "nowhere" / "lock").acquire()
    assert caught.value.code == "store.cannot-write"
    assert holder(tmp_path / "nowhere" / "lock") is None
