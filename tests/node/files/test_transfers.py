"""Files between two nodes of a world: whole or not at all, resumed, named safely, bounded."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import NzError, PeerError, UnavailableError, UsageError
from nzcore.base.limits import MESSAGE_BYTES
from nzcore.codec.frames import pack
from nzcore.node.files import receiving, staging

from .transfers import content, inbox, pair, partial, send, stream, tree, written


async def test_a_folder_arrives_whole_with_everything_in_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = tmp_path / "photos"
    files = {"1.jpg": content(300_000), "sub/2.jpg": content(3_000_000, 1), "sub/deep/empty": b"", "note.txt": b"hi"}
    for name, data in files.items():
        written(source / name, data)
    (source / "nothing").mkdir()
    (source / "link").symlink_to("/etc/passwd")
    async with pair(tmp_path) as (_, alice, bob):
        sent = await send(alice, source)
        assert tree(tmp_path / "inbox" / "alice") == {f"photos/{name}": data for name, data in files.items()}
        assert (tmp_path / "inbox/alice/photos/nothing").is_dir()
        assert sent["sha256"] == {f"photos/{name}": hashlib.sha256(data).hexdigest() for name, data in files.items()}
        assert (sent["files"], sent["bytes"], sent["resumed_bytes"]) == (4, sum(map(len, files.values())), 0)
        assert sent["destination"] == "bob:photos"
        assert sent["skipped"] == [str(source / "link")]
        listed = await inbox(bob)
        assert {one["path"]: (one["bytes"], one["sha256"]) for one in listed} == {
            str(tmp_path / "inbox/alice/photos" / name): (len(data), hashlib.sha256(data).hexdigest())
            for name, data in files.items()
        }
        assert all(one["from"] == "alice" and one["present"] for one in listed)
        assert partial(tmp_path / "inbox") == []


async def test_nothing_is_overwritten(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = written(tmp_path / "a.txt", b"first")
    async with pair(tmp_path) as (_, alice, _bob):
        assert (await send(alice, source))["destination"] == "bob:a.txt"
        source.write_bytes(b"second")
        assert (await send(alice, source))["destination"] == "bob:a (2).txt"
        written(tmp_path / "b/a.txt", b"third")
        assert (await send(alice, source, tmp_path / "b/a.txt"))["destination"] == "bob:a (3).txt, a (2) (2).txt"
    assert tree(tmp_path / "inbox/alice")["a.txt"] == b"first"
    assert tree(tmp_path / "inbox/alice")["a (2).txt"] == b"second"


async def test_received_files_are_private_and_never_executable(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = written(tmp_path / "run.sh", b"#!/bin/sh\n")
    source.chmod(0o777)
    async with pair(tmp_path) as (_, alice, _bob):
        await send(alice, source)
    assert (tmp_path / "inbox/alice/run.sh").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "inbox/alice").stat().st_mode & 0o777 == 0o700


async def test_standard_input_arrives_as_a_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, _bob), trio.open_nursery() as nursery:
        items: list[dict[str, Any]] = []
        nursery.start_soon(lambda: stream(alice, "file.send", items, peer="bob", stream="log.txt"))
        await trio.testing.wait_all_tasks_blocked()
        for piece in (b"one ", b"two ", content(500_000)):
            await alice.call("tube.write", tube=items[0]["tube"], data=piece)
        await alice.call("tube.end", tube=items[0]["tube"])
    assert tree(tmp_path / "inbox/alice") == {"log.txt": b"one two " + content(500_000)}
    assert items[-1]["phase"] == "finished"
    assert items[-1]["bytes"] == 500_008


@pytest.mark.parametrize("victim", ["sender", "receiver", "network"])
async def test_a_transfer_goes_on_where_it_was(victim: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    """The sender's node dies with its command, which is given again; else the command itself goes on."""
    data = content(24_000_000)
    source = written(tmp_path / "large.bin", data)
    async with pair(tmp_path) as (world, alice, bob):
        results: list[dict[str, Any]] = []

        async def run() -> None:
            try:
                results.append(await send(alice, source))
            except NzError:
                assert victim == "sender"

        def some_arrived() -> bool:
            return any(path.stat().st_size > 2_000_000 for path in partial(tmp_path / "inbox"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until_soon(some_arrived)
            assert not results, "the test came too late"
            if victim == "sender":
                nursery.cancel_scope.cancel()
            elif victim == "receiver":
                await bob.restart()
            else:
                world.network.cut(alice.host, bob.host)
        if victim == "sender":
            await alice.restart()
            await world.until_connected((alice, bob))
            results.append(await send(alice, source))
        (sent,) = results
        assert sent["resumed_bytes"] > 1_000_000
        assert sent["bytes"] == len(data)
        assert sent["sha256"] == {"large.bin": hashlib.sha256(data).hexdigest()}
        assert tree(tmp_path / "inbox/alice") == {"large.bin": data}
        assert len(await inbox(bob)) == 1


async def until_soon(is_so: Callable[[], bool]) -> None:
    """Looks often: what is waited for is over in no time."""
    for _ in range(100_000):
        if is_so():
            return
        await trio.sleep(0.0005)
    raise AssertionError("it was not so")


async def test_a_source_that_changed_is_sent_anew(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = written(tmp_path / "a.bin", content(1000, 1))
    async with pair(tmp_path) as (_, alice, bob):
        key = bob.node.files.inbox
        with key.staging(alice.id, (await alice.node.files.survey([str(source)])).manifest) as started:
            written(started.folder / "a.bin", content(1000, 2)[:500])
        sent = await send(alice, source)
        assert sent["resumed_bytes"] == 0
        with key.staging(alice.id, (await alice.node.files.survey([str(source)])).manifest) as started:
            written(started.folder / "a.bin", content(1000, 1)[:500])
            written(started.folder / "left/over", b"of another manifest")
            (started.folder / "evil").symlink_to("/etc")
        sent = await send(alice, source)
        assert sent["resumed_bytes"] == 500
    assert tree(tmp_path / "inbox/alice") == {"a.bin": content(1000, 1), "a (2).bin": content(1000, 1)}


async def test_files_of_a_folder_that_had_arrived_are_not_sent_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    for number in range(5):
        written(tmp_path / f"d/{number}", content(1000, number))
    async with pair(tmp_path) as (_, alice, bob):
        manifest = (await alice.node.files.survey([str(tmp_path / "d")])).manifest
        with bob.node.files.inbox.staging(alice.id, manifest) as started:
            for number in (0, 1, 3):
                written(started.folder / f"d/{number}", content(1000, number))
        sent = await send(alice, tmp_path / "d")
        assert (sent["files"], sent["bytes"], sent["resumed_bytes"]) == (5, 5000, 3000)
        assert len(sent["sha256"]) == len(await inbox(bob)) == 5
    assert tree(tmp_path / "inbox/alice") == {f"d/{number}": content(1000, number) for number in range(5)}


async def test_a_lost_receipt_brings_no_second_copy(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "a.bin", content(5000))
    async with pair(tmp_path) as (world, alice, bob):
        confirm = receiving.Incoming._confirm
        calls = []

        async def lose_first(self: receiving.Incoming, *args: Any) -> Any:
            calls.append(args)
            if len(calls) == 1:
                world.network.cut(alice.host, bob.host)
            return await confirm(self, *args)

        monkeypatch.setattr(receiving.Incoming, "_confirm", lose_first)
        sent = await send(alice, source)
        assert len(calls) == 2
        assert sent["sha256"] == {"a.bin": hashlib.sha256(content(5000)).hexdigest()}
        assert sent["resumed_bytes"] == 5000
        assert len(await inbox(bob)) == 1
    assert tree(tmp_path / "inbox/alice") == {"a.bin": content(5000)}


async def test_a_hundred_transfers_at_once_all_arrive(tmp_path: Path, autojump_clock: MockClock) -> None:
    sources = [written(tmp_path / f"in/{number}.bin", content(20_000, number)) for number in range(100)]
    most = 0
    async with pair(tmp_path, at_once=4) as (_, alice, bob):
        results: dict[int, dict[str, Any]] = {}

        async def one(number: int) -> None:
            nonlocal most
            results[number] = await send(alice, sources[number])
            most = max(most, bob.node.files.inbox.active)

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(one, number)
        assert len(await inbox(bob)) == 100
    assert most <= 4
    assert tree(tmp_path / "inbox/alice") == {f"{number}.bin": content(20_000, number) for number in range(100)}
    assert all(result["phase"] == "finished" for result in results.values())


async def test_transfers_that_run_together_share_fairly(tmp_path: Path, autojump_clock: MockClock) -> None:
    sources = [written(tmp_path / f"{number}.bin", content(4_000_000, number)) for number in range(4)]
    ends: list[float] = []
    async with pair(tmp_path) as (_, alice, _bob):
        begun = trio.current_time()

        async def one(source: Path) -> None:
            await send(alice, source)
            ends.append(trio.current_time() - begun)

        async with trio.open_nursery() as nursery:
            for source in sources:
                nursery.start_soon(one, source)
    assert max(ends) <= 2 * min(ends) + 0.5


async def test_a_full_disk_is_told_to_the_sender_and_leaves_nothing(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "a.bin", content(6_000_000))
    real, written_bytes = os.write, 0

    def full(descriptor: int, data: Any) -> int:
        nonlocal written_bytes
        written_bytes += len(data)
        if written_bytes > 3_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    async with pair(tmp_path) as (_, alice, bob):
        monkeypatch.setattr(staging.os, "write", full)
        with pytest.raises(PeerError) as caught:
            await send(alice, source)
        monkeypatch.undo()
        assert caught.value.code == "files.disk-full"
        assert (tree(tmp_path / "inbox"), partial(tmp_path / "inbox")) == ({}, [])
        assert (await send(alice, source))["resumed_bytes"] == 0
        assert len(await inbox(bob)) == 1


async def test_what_cannot_fit_is_refused_before_a_byte_is_sent(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "a.bin", content(100_000))
    usage = shutil.disk_usage(tmp_path)
    async with pair(tmp_path, min_free_bytes=usage.total) as (_, alice, _bob):
        with pytest.raises(PeerError) as caught:
            await send(alice, source)
        assert caught.value.code == "files.disk-full"
    assert partial(tmp_path / "inbox") == []


async def test_a_peer_has_its_quota_until_files_are_moved_away(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = written(tmp_path / "a.bin", content(60_000))
    async with pair(tmp_path, quota_bytes=100_000) as (_, alice, bob):
        await send(alice, source)
        with pytest.raises(PeerError) as caught:
            await send(alice, source)
        assert caught.value.code == "files.over-quota"
        (tmp_path / "inbox/alice/a.bin").rename(tmp_path / "kept.bin")
        await send(alice, source)
        assert [one["present"] for one in await inbox(bob)] == [True, True]  # the same name was free again
        with pytest.raises(PeerError):
            await stream_of(alice, content(90_000))
    assert partial(tmp_path / "inbox") == []


async def stream_of(node: Any, data: bytes) -> None:
    """Sends `data` as standard input; raises what the sending does."""
    items: list[dict[str, Any]] = []
    failed: list[NzError] = []

    async def run() -> None:
        try:
            await stream(node, "file.send", items, peer="bob", stream="in")
        except NzError as error:
            failed.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        try:
            await node.call("tube.write", tube=items[0]["tube"], data=data)
            await node.call("tube.end", tube=items[0]["tube"])
        except UsageError:  # refused meanwhile
            pass
    if failed:
        raise failed[0]


async def test_a_link_in_the_place_of_the_peers_folder_is_not_followed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    source = written(tmp_path / "a.bin", b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox/alice").symlink_to(tmp_path / "elsewhere")
    async with pair(tmp_path) as (_, alice, _bob):
        with pytest.raises(PeerError) as caught:
            await send(alice, source)
        assert caught.value.code == "files.cannot-write"
        assert str(tmp_path) not in caught.value.message
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_link_that_stands_at_a_name_is_not_written_through(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = written(tmp_path / "a.txt", b"new")
    precious = written(tmp_path / "precious", b"old")
    written(tmp_path / "inbox/alice/x", b"")
    (tmp_path / "inbox/alice/a.txt").symlink_to(precious)
    async with pair(tmp_path) as (_, alice, _bob):
        assert (await send(alice, source))["destination"] == "bob:a (2).txt"
    assert precious.read_bytes() == b"old"


async def test_a_peer_without_the_scope_may_send_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = written(tmp_path / "a.bin", b"x")
    async with pair(tmp_path) as (_, alice, bob):
        await bob.call("peer.add", card=await alice.card(), scopes=["connect"])
        with pytest.raises(UnavailableError) as caught:
            await send(alice, source)
        assert caught.value.code == "channel.out-of-scope"
    assert tree(tmp_path / "inbox") == {}


async def test_trust_that_ends_meanwhile_ends_the_transfer(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = written(tmp_path / "a.bin", content(30_000_000))
    async with pair(tmp_path) as (world, alice, bob):
        failed: list[NzError] = []

        async def run() -> None:
            try:
                await send(alice, source, wait_s=1.0)
            except NzError as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until_soon(lambda: bool(partial(tmp_path / "inbox")))
            await bob.call("peer.add", card=await alice.card(), scopes=["connect"])
        assert failed[0].code == "channel.out-of-scope"
        await world.settle()
        assert bob.node.files.inbox.active == 0


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["missing"], "files.no-path"),
        (["/relative/../nowhere"], "files.no-path"),
        (["/dev/null"], "files.nothing-to-send"),
        ([], "files.nothing-to-send"),
    ],
)
async def test_what_cannot_be_sent_is_said_at_once(
    paths: list[str], code: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (_, alice, _bob):
        with pytest.raises(NzError) as caught:
            await send(alice, *(tmp_path / path for path in paths))
        assert caught.value.code == code


async def test_a_path_that_depends_on_where_one_stands_is_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path) as (_, alice, _bob):
        with pytest.raises(UsageError) as caught:
            await stream(alice, "file.send", peer="bob", paths=["a.txt"])
        assert caught.value.code == "files.relative-path"


async def test_thousands_of_small_files_with_long_names_arrive(tmp_path: Path, autojump_clock: MockClock) -> None:
    names = [f"{number:04}-" + "n" * 190 for number in range(3000)]
    folder = tmp_path / "many" / ("d" * 200) / ("e" * 200)
    for name in names:
        written(folder / name, name[:4].encode())
    async with pair(tmp_path) as (_, alice, bob):
        sent = await send(alice, tmp_path / "many")
        assert (sent["files"], sent["bytes"], len(sent["sha256"])) == (3000, 12_000, 3000)
        items = await stream(bob, "file.inbox")
        assert sum(len(item["files"]) for item in items) == 3000
        assert max(len(pack(item)) for item in items) < MESSAGE_BYTES
    assert len(tree(tmp_path / "inbox/alice")) == 3000
