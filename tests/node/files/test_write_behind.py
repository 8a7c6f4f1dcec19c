"""Large files on their way to the disk: what the system is told while they are written, and what that never changes."""

import errno
import os
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from nzcore.base.errors import UnavailableError
from nzcore.node.files.behind import KEPT_BYTES, WINDOW_BYTES, WriteBehind
from nzcore.node.files.staging import Staging
from nzcore.proto.files.manifest import Entry, Kind, Manifest

FILE = 7  # a descriptor that nobody opened
STEP = 1 << 20


class Told:
    """What was said about a file's range, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.sizes: list[int] = []
        monkeypatch.setattr(os, "posix_fadvise", self._advise)

    def _advise(self, file: int, begin: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        self.ranges.append((begin, begin + length))
        self.sizes.append(0 if file == FILE else os.fstat(file).st_size)


def grown(size: int, begin: int = 0) -> None:
    behind = WriteBehind(FILE, begin)
    for end in range(begin + STEP, size + 1, STEP):
        behind.reached(end)
    behind.synchronised(size)


def test_every_window_is_told_twice_in_order_and_all_of_the_file_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch)
    size = KEPT_BYTES + 5 * WINDOW_BYTES
    grown(size)
    *windows, last = told.ranges
    assert last == (0, size)
    ends = [end for _, end in windows]
    assert [begin for begin, _ in windows] == [0, 0, *ends[:-2]]
    assert ends[0] == KEPT_BYTES + STEP
    assert all(after - before == WINDOW_BYTES for before, after in pairwise(ends))


def test_a_resumed_file_begins_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch)
    begin = 3 * KEPT_BYTES
    grown(begin + 2 * WINDOW_BYTES, begin)
    assert told.ranges[0] == (begin, begin + WINDOW_BYTES)


def test_what_is_not_large_stays_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch)
    grown(KEPT_BYTES)
    assert told.ranges == []


def test_where_the_system_takes_no_advice_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    grown(2 * KEPT_BYTES)  # nobody opened that descriptor: the refusal is borne
    monkeypatch.delattr(os, "posix_fadvise")
    grown(2 * KEPT_BYTES)


def staged(folder: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, after: int = 0) -> tuple[Staging, bytes]:
    """A transfer of one file, all of it written: in windows of two blocks once it is larger than `after` bytes."""
    monkeypatch.setattr("nzcore.node.files.behind.KEPT_BYTES", after)
    monkeypatch.setattr("nzcore.node.files.behind.WINDOW_BYTES", 2 * 4096)
    staging = Staging(folder, 0)
    staging.match(Manifest([Entry(("a.bin",), Kind.FILE, blocks * 4096)]))
    staging.start(0, 0)
    digest = sha256()
    for number in range(blocks):
        block = bytes([number]) * 4096
        staging.write(block)
        digest.update(block)
    return staging, digest.digest()


def test_only_what_is_written_is_ever_spoken_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch)
    staging, digest = staged(tmp_path / "s", monkeypatch, 7)
    assert [end for _, end in told.ranges] == [8192, 16384, 24576]
    assert all(end <= size for (_, end), size in zip(told.ranges, told.sizes, strict=True))
    staging.end(digest)
    assert told.ranges[-1] == (0, 7 * 4096)


def test_the_file_arrives_whole_and_is_synchronised_before_the_rest_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, advise = os.fsync, os.posix_fadvise

    def noted_sync(file: int) -> None:
        done.append("sync")
        sync(file)

    def noted_advise(file: int, begin: int, length: int, advice: int) -> None:
        done.append("let go")
        advise(file, begin, length, advice)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "posix_fadvise", noted_advise)
    staging, digest = staged(tmp_path / "s", monkeypatch, 5)
    staging.end(digest)
    assert done == ["let go", "let go", "sync", "let go"]
    names = staging.wishes(tmp_path / "inbox")
    staging.commit(tmp_path / "inbox", names)
    assert sha256((tmp_path / "inbox" / "a.bin").read_bytes()).digest() == digest


def test_a_file_that_the_disk_did_not_take_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    staging, digest = staged(tmp_path / "s", monkeypatch, 5)
    told = Told(monkeypatch)
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(UnavailableError) as caught:
        staging.end(digest)
    assert caught.value.code == "files.cannot-write"
    assert told.ranges == []
    assert staging.received(tmp_path, ["a.bin"]) == []
