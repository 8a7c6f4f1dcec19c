"""What a receiver bears with, and what a sender's own disk may do to it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nzcore.base.errors import NzError, PeerError, UnavailableError
from nzcore.base.ids import NodeId
from nzcore.crypto.hashing import sha256
from nzcore.net.stream import Stream
from nzcore.node.config import Config, Files
from nzcore.node.files import inbox as inbox_module
from nzcore.node.files import receiving
from nzcore.node.files.inbox import Inbox
from nzcore.node.files.records import Records
from nzcore.node.files.source import Reading, survey
from nzcore.node.files.spool import BLOCK_BYTES, QUEUE_BYTES, Spool
from nzcore.node.files.staging import PARTIAL
from nzcore.node.home import Home, default_home, default_inbox
from nzcore.node.node import inbox_folder
from nzcore.proto.files import frames
from nzcore.proto.files.machine import Event, Sender
from nzcore.proto.files.manifest import Entry, Kind, Manifest
from nzcore.testing.world import WorldNode

from .transfers import content, inbox, pair, partial, send, tree, written

FILE = Entry(("a.bin",), Kind.FILE, 5)


async def told(alice: WorldNode, bob: WorldNode, say: Callable[[Sender], bytes], *entries: Entry) -> str:
    """The code with which Bob refuses a sender that says this once it may."""
    sender = Sender(Manifest(entries or (FILE,)), bytes(range(16)))
    async with await alice.node.channels.open_stream(bob.id, "/nz/files/1") as stream:
        for page in sender.offer():
            await stream.send_all(page)
        events = await heard(sender, stream)
        assert events[-1][0] is Event.GO
        await stream.send_all(say(sender))
        (refused,) = await heard(sender, stream)
        assert refused[0] is Event.REFUSED
        return str(refused[1])


async def heard(sender: Sender, stream: Stream) -> list[tuple[object, ...]]:
    while True:
        if events := sender.receive(await stream.receive_some()):
            return events


def lying(content: bytes, digest: bytes) -> Callable[[Sender], bytes]:
    return lambda sender: sender.start(0, 0) + sender.data_header(len(content)) + content + sender.end(digest)


@pytest.mark.parametrize(
    ("say", "code"),
    [
        (lying(b"12345", hashlib.sha256(b"other").digest()), "files.hash-mismatch"),
        (lying(b"123456", hashlib.sha256(b"123456").digest()), "files.too-many-bytes"),
        (lying(b"1234", hashlib.sha256(b"1234").digest()), "files.too-few-bytes"),
        (lambda sender: sender.finish(), "files.incomplete"),
        (lambda sender: frames.frame(frames.GO), "files.out-of-turn"),
        (lambda sender: b"\xff" * 5, "files.bad-frame"),
    ],
)
async def test_a_sender_that_lies_is_told_and_leaves_nothing(
    say: Callable[[Sender], bytes], code: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (world, alice, bob):
        assert await told(alice, bob, say) == code
        await world.settle()
        assert (tree(tmp_path / "inbox"), partial(tmp_path / "inbox")) == ({}, [])
        assert await inbox(bob) == []
        await send(alice, written(tmp_path / "a.bin", b"12345"))
        assert tree(tmp_path / "inbox") == {"alice/a.bin": b"12345"}


async def test_a_manifest_that_claims_more_than_any_disk_is_refused_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        sender = Sender(Manifest([Entry(("huge",), Kind.FILE, 1 << 53)]), bytes(16))
        async with await alice.node.channels.open_stream(bob.id, "/nz/files/1") as stream:
            await stream.send_all(sender.offer()[0])
            assert (await heard(sender, stream))[0][:2] == (Event.REFUSED, "files.over-quota")
    assert partial(tmp_path / "inbox") == []


async def test_names_that_would_harm_are_rewritten_on_the_disk(tmp_path: Path, autojump_clock: MockClock) -> None:
    entries = [
        Entry((".ssh",), Kind.FOLDER, 0),
        Entry((".ssh", "CON"), Kind.FILE, 0),
        Entry(("a\\b",), Kind.FILE, 0),
        Entry(("A\\B",), Kind.FILE, 0),
    ]

    def say(sender: Sender) -> bytes:
        empty = hashlib.sha256().digest()
        return b"".join(sender.start(index, 0) + sender.end(empty) for index in (1, 2, 3)) + sender.finish()

    async with pair(tmp_path) as (_, alice, bob):
        sender = Sender(Manifest(entries), bytes(16))
        async with await alice.node.channels.open_stream(bob.id, "/nz/files/1") as stream:
            await stream.send_all(sender.offer()[0])
            await heard(sender, stream)
            await stream.send_all(say(sender))
            assert await heard(sender, stream) == [(Event.RECEIPT, ["_.ssh", "a_b", "A_B (2)"])]
    assert set(tree(tmp_path / "inbox/alice")) == {"_.ssh/_CON", "a_b", "A_B (2)"}


async def test_a_file_that_changes_while_it_is_sent_is_no_file(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "log", content(3_000_000))
    read = Reading.read

    def append(self: Reading, *args: int) -> bytes:
        with source.open("ab") as file:
            file.write(b"more")
        return read(self, *args)

    async with pair(tmp_path) as (_, alice, _bob):
        monkeypatch.setattr(Reading, "read", append)
        with pytest.raises(UnavailableError) as caught:
            await send(alice, source)
        assert caught.value.code == "files.source-changed"
    assert tree(tmp_path / "inbox") == {}


async def test_a_cancelled_sender_closes_its_file_when_nobody_reads_it_any_more(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    read, close = Reading.read, Reading.close

    def reading(self: Reading, *args: int) -> bytes:
        done.append("read")
        return read(self, *args)

    def closing(self: Reading) -> None:
        done.append("close")
        close(self)

    async def slowly(function: Callable[..., Any], /, *args: Any) -> Any:
        with trio.CancelScope(shield=True):  # as a thread, which is waited for
            await trio.sleep(1)
        return function(*args)

    source = written(tmp_path / "a.bin", content(12 << 20))
    async with pair(tmp_path) as (_, alice, _bob):
        monkeypatch.setattr(Reading, "read", reading)
        monkeypatch.setattr(Reading, "close", closing)
        alice.node.files.inbox.offload = slowly
        for patience in range(1, 8):
            done.clear()
            with trio.move_on_after(patience + 0.5):
                await send(alice, source)
            assert "close" not in done or done.index("close") >= done.count("read"), done
            assert not done or done[-1] == "close"
        assert "read" in done


def test_a_survey_skips_what_is_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc")
    written(tmp_path / "b", b"x")
    written(tmp_path / "a/c", b"xy")
    found = survey([str(tmp_path)])
    name = tmp_path.name
    assert [entry.path for entry in found.manifest.entries] == [(name,), (name, "a"), (name, "b"), (name, "a", "c")]
    assert found.skipped == [str(tmp_path / "link"), str(tmp_path / "pipe")]


def test_names_that_are_no_text_travel_as_distinct_text(tmp_path: Path) -> None:
    for raw in (b"\xff.txt", b"\xfe.txt"):
        (tmp_path / os.fsdecode(raw)).write_bytes(b"x")
    found = survey([str(tmp_path)])
    assert [entry.path[-1] for entry in found.manifest.entries[1:]] == ["\ufffd.txt", "\ufffd (2).txt"]


def test_a_link_that_the_user_named_is_followed_and_one_swapped_in_is_not(tmp_path: Path) -> None:
    target = written(tmp_path / "target", b"x")
    (tmp_path / "named").symlink_to(target)
    found = survey([str(tmp_path / "named")])
    assert found.manifest.roots == ["named"]
    assert found.paths == [str(target)]
    with pytest.raises(NzError) as caught:
        Reading(str(tmp_path / "named"), 1)
    assert caught.value.code == "files.unreadable"


def test_the_inbox_lies_outside_the_home_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DOWNLOAD_DIR", str(tmp_path / "downloads"))
    assert default_inbox(tmp_path / "n") == tmp_path / "n-inbox"
    assert default_inbox(default_home()) == tmp_path / "downloads" / "nzcore"
    assert inbox_folder(Home(tmp_path / "n"), Config(files=Files(inbox_dir="/else/where"))) == Path("/else/where")
    with pytest.raises(ValueError, match="absolute"):
        Files(inbox_dir="some/where")


async def test_a_silent_sender_gives_its_place_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path, at_once=1) as (world, alice, bob):
        silent = await alice.node.channels.open_stream(bob.id, "/nz/files/1")
        await silent.send_all(b"\1\0\0")
        await world.run_for(1)
        source = written(tmp_path / "a.bin", b"x")
        begun = trio.current_time()
        await send(alice, source)
        assert receiving.IDLE_S <= trio.current_time() - begun <= receiving.IDLE_S + 10
        silent.close()


async def test_a_slow_disk_holds_the_sender_back(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    add = Spool.add

    def adding(self: Spool, piece: bytes) -> None:
        add(self, piece)
        held.append(self._queued)

    async def slowly(function: Callable[..., Any], /, *args: Any) -> Any:
        await trio.sleep(receiving.IDLE_S + 5)  # no fault of the sender's, so its time does not run
        return function(*args)

    source = written(tmp_path / "a.bin", content(12 << 20))
    async with pair(tmp_path) as (_, alice, bob):
        monkeypatch.setattr(Spool, "add", adding)
        bob.node.files.inbox.offload = slowly
        await send(alice, source)
    assert tree(tmp_path / "inbox") == {"alice/a.bin": source.read_bytes()}
    assert QUEUE_BYTES <= max(held) <= QUEUE_BYTES + BLOCK_BYTES


async def test_unfinished_transfers_expire_and_are_bounded(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path, keep_partial_days=1.0) as (_, _alice, bob):
        own = bob.node.files.inbox
        for number in range(inbox_module.MAX_PARTIAL + 3):
            path = written(tmp_path / "inbox" / PARTIAL / "peer" / f"{number:03}-1" / "f", b"x").parent
            os.utime(path, (1_000_000 + number, 1_000_000 + number))
        assert own.expire(1_000_100.0) == 3
        left = sorted(path.name for path in (tmp_path / "inbox" / PARTIAL / "peer").iterdir())
        assert left[0] == "003-1"
        assert own.expire(1_000_000.0 + 2 * 86_400) == inbox_module.MAX_PARTIAL
        assert list((tmp_path / "inbox" / PARTIAL).iterdir()) == []


async def test_the_inbox_is_read_once_for_a_peer_and_again_only_before_a_refusal(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[NodeId] = []
    of = Records.of

    def reading(self: Records, peer: NodeId) -> Any:
        read.append(peer)
        return of(self, peer)

    monkeypatch.setattr(Records, "of", reading)
    source = written(tmp_path / "a.bin", content(30_000))
    async with pair(tmp_path, quota_bytes=100_000) as (_, alice, bob):
        for _ in range(3):
            await send(alice, source)
        assert read == [alice.id]
        (tmp_path / "inbox/alice/a.bin").unlink()  # nobody told the inbox
        await send(alice, source)
        assert read == [alice.id] * 2
        with pytest.raises(PeerError) as caught:
            await send(alice, source)
        assert caught.value.code == "files.over-quota"
        assert read == [alice.id] * 3
        own = bob.node.files.inbox  # a node that was started again has counted nothing yet
        bob.node.files.inbox = Inbox(own.folder, Files(quota_bytes=100_000), own.records, own.offload)
        with pytest.raises(PeerError) as caught:
            await send(alice, source)
        assert caught.value.code == "files.over-quota"


async def test_what_an_interruption_left_counts_when_it_is_resumed(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path, quota_bytes=100_000) as (_, alice, _bob):
        source = written(tmp_path / "b.bin", content(50_000, 2))
        key = sha256(b"NZ-FILES-01 staging\0", alice.id, b"b.bin")[:12].hex()
        written(tmp_path / "inbox" / PARTIAL / alice.id.text[4:20] / f"{key}-1" / "b.bin", content(50_000, 2)[:45_000])
        await send(alice, written(tmp_path / "a.bin", content(52_000)))
        with pytest.raises(PeerError) as caught:
            await send(alice, source)
        assert caught.value.code == "files.over-quota"


async def test_what_an_interruption_leaves_counts_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with pair(tmp_path, quota_bytes=27 << 18) as (world, alice, bob):  # 6.75 MiB
        await send(alice, written(tmp_path / "a.bin", content(100)))  # the inbox is counted, and added to from here on
        sender = Sender(Manifest([Entry(("b.bin",), Kind.FILE, 5 << 20)]), bytes(16))
        stream = await alice.node.channels.open_stream(bob.id, "/nz/files/1")
        await stream.send_all(sender.offer()[0])
        await heard(sender, stream)
        await stream.send_all(sender.start(0, 0))
        for number in range(3):
            await stream.send_all(sender.data_header(1 << 20) + content(1 << 20, number))
        await world.run_for(1)
        stream.reset()
        await world.run_for(1)
        assert [path.stat().st_size for path in partial(tmp_path / "inbox")] == [3 << 20]
        with pytest.raises(PeerError) as caught:
            await send(alice, written(tmp_path / "c.bin", content(4 << 20)))
        assert caught.value.code == "files.over-quota"


async def test_the_inbox_can_be_asked_for_one_peer_and_for_the_newest(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with pair(tmp_path) as (_, alice, bob):
        for number in range(3):
            await send(alice, written(tmp_path / f"{number}.txt", b"x"))
            await trio.sleep(2)
        assert [Path(one["path"]).name for one in await inbox(bob, last=2)] == ["1.txt", "2.txt"]
        assert len(await inbox(bob, peer="alice")) == 3
