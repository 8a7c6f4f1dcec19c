"""The sending side by itself: what ends an attempt, whatever its thread and its disk do at that moment."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import UnavailableError
from nzcore.net.stream import Stream, StreamLost
from nzcore.node.files.sending import Outgoing
from nzcore.node.files.source import Reading, Survey, survey
from nzcore.node.files.staging import Staging
from nzcore.proto.files.frames import GO, frame
from nzcore.proto.files.manifest import Entry, Kind, Manifest

from .transfers import written


class Losing:
    """A stream to a receiver that asks for everything: lost a second after it has taken so many pieces of that."""

    id = 1

    def __init__(self, pieces: int) -> None:
        self._left = pieces + 1  # the offer comes first
        self._was_asked = False
        self._is_lost = trio.Event()

    async def send_all(self, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            await trio.sleep(1)
            self._is_lost.set()
            raise StreamLost("channel.stream-lost")

    async def receive_some(self) -> bytes:
        if self._was_asked:
            await self._is_lost.wait()
            await trio.sleep(1)
            raise StreamLost("channel.stream-lost")
        self._was_asked = True
        return frame(GO)

    async def __aenter__(self) -> "Losing":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""


async def for_a_second(function: Callable[..., Any], /, *args: Any) -> Any:
    with trio.CancelScope(shield=True):  # as a thread, which is waited for
        await trio.sleep(1)
    return function(*args)


def outgoing(found: Survey, pieces: int) -> Outgoing:
    async def open_stream() -> Stream:
        return cast(Stream, Losing(pieces))

    return Outgoing(found, bytes(16), open_stream, for_a_second, patience_s=-1)


async def test_a_stream_that_is_lost_just_as_a_part_was_read_is_an_interruption_like_any_other(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    for number in range(20):
        written(tmp_path / "photos" / str(number), bytes(200_000))
    found = survey([str(tmp_path / "photos")])
    for pieces in (0, 1, 2) * 20:  # which of the two tasks goes on first is left to chance
        with pytest.raises(UnavailableError) as caught:
            await outgoing(found, pieces).run()
        assert caught.value.code == "files.gave-up"


@pytest.mark.parametrize("kept", [0, 1])
def test_a_file_that_its_server_forgets_is_unreadable_and_not_kept_open(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "a.bin", b"x")
    looks = [0] * kept
    closed: list[int] = []
    fstat, close = os.fstat, os.close
    inode = source.stat().st_ino

    def forgetting(file: int) -> os.stat_result:
        found = fstat(file)
        if found.st_ino == inode and not looks:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        if found.st_ino == inode:
            looks.pop()
        return found

    def noted(file: int) -> None:
        closed.append(file)
        close(file)

    monkeypatch.setattr(os, "fstat", forgetting)
    monkeypatch.setattr(os, "close", noted)
    with pytest.raises(UnavailableError) as caught:
        Reading(str(source), 1).finish()
    assert caught.value.code == "files.unreadable"
    assert len(closed) == 1


def test_a_descriptor_is_closed_once_even_where_the_system_complains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = os.close

    def complaining(file: int) -> None:
        closed.append(file)
        close(file)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    reading = Reading(str(written(tmp_path / "a.bin", b"x")), 1)
    staging = Staging(tmp_path / "staging", 0)
    staging.match(Manifest([Entry(("a.bin",), Kind.FILE, 1)]))
    staging.start(0, 0)
    monkeypatch.setattr(os, "close", complaining)
    for _ in range(2):
        reading.close()
        staging.close()
    monkeypatch.undo()
    assert len(closed) == len(set(closed)) == 2
