"""A transfer as two machines and the bytes between them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.codec.frames import pack
from nzcore.proto.files import frames
from nzcore.proto.files.frames import FrameReader, frame
from nzcore.proto.files.machine import FROM_RECEIVER, FROM_SENDER, Event, Receiver, Sender, State
from nzcore.proto.files.manifest import (
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_SIZE,
    Entry,
    Have,
    Kind,
    Manifest,
    places,
)

TRANSFER = bytes(range(16))
DIGEST = bytes(32)
TREE = [
    Entry(("photos",), Kind.FOLDER, 0),
    Entry(("photos", "1.jpg"), Kind.FILE, 5),
    Entry(("photos", "empty.txt"), Kind.FILE, 0),
    Entry(("notes.txt",), Kind.FILE, 3),
]


def offered(entries: list[Entry] = TREE) -> tuple[Sender, Receiver]:
    """A sender whose manifest has reached the receiver."""
    sender, receiver = Sender(Manifest(entries), TRANSFER), Receiver()
    events = [event for page in sender.offer() for event in receiver.receive(page)]
    assert events == [(Event.OFFERED,)]
    return sender, receiver


def going(entries: list[Entry] = TREE, have: list[Have] | None = None) -> tuple[Sender, Receiver]:
    """The same, and the receiver wants the files."""
    sender, receiver = offered(entries)
    said = (receiver.have(have) if have else b"") + receiver.go()
    assert sender.receive(said) == [(Event.GO,)]
    return sender, receiver


def content(sender: Sender, data: bytes) -> bytes:
    return sender.data_header(len(data)) + data


def refusal(machine: Sender | Receiver, data: bytes) -> str:
    with pytest.raises(PeerError) as caught:
        machine.receive(data)
    return caught.value.code


def test_files_arrive_in_the_order_of_the_manifest_and_end_in_a_receipt() -> None:
    sender, receiver = going()
    assert receiver.manifest.entries == TREE
    assert receiver.transfer == TRANSFER
    said = sender.start(1, 0) + content(sender, b"12345") + sender.end(DIGEST)
    said += sender.start(2, 0) + sender.end(DIGEST) + sender.start(3, 0) + content(sender, b"abc")
    said += sender.end(DIGEST) + sender.finish()
    events = receiver.receive(said)
    assert [event[0] for event in events if event[0] is not Event.DATA] == [
        *(Event.START, Event.END) * 3,
        Event.FINISH,
    ]
    assert b"".join(event[1] for event in events if event[0] is Event.DATA) == b"12345abc"
    assert sender.receive(receiver.receipt(["photos", "notes (2).txt"])) == [
        (Event.RECEIPT, ["photos", "notes (2).txt"])
    ]
    assert sender.state is receiver.state is State.OVER


@given(st.lists(st.integers(1, 40), max_size=40))
def test_any_cutting_of_the_bytes_gives_the_same_content(cuts: list[int]) -> None:
    sender, receiver = going()
    said = sender.start(1, 0) + content(sender, b"12") + content(sender, b"345") + sender.end(DIGEST)
    got: list[tuple[Any, ...]] = []
    at = 0
    for cut in [*cuts, len(said)]:
        got += receiver.receive(said[at : at + cut])
        at += cut
    assert b"".join(event[1] for event in got if event[0] is Event.DATA) == b"12345"
    assert [event[0] for event in got if event[0] is not Event.DATA] == [Event.START, Event.END]


@given(st.lists(st.integers(1, 12), max_size=40))
def test_the_short_cut_takes_content_and_nothing_else(cuts: list[int]) -> None:
    sender, receiver = going()
    said = sender.start(1, 0) + content(sender, b"12") + content(sender, b"345") + sender.end(DIGEST)
    got, at, kinds = b"", 0, []
    for cut in [*cuts, len(said)]:
        piece = said[at : at + cut]
        at += cut
        if receiver.takes(piece):
            got += piece
            continue
        for event in receiver.receive(piece):
            got += event[1] if event[0] is Event.DATA else b""
            kinds += [event[0]] if event[0] is not Event.DATA else []
    assert (got, kinds) == (b"12345", [Event.START, Event.END])


def test_the_short_cut_is_closed_to_more_than_was_offered() -> None:
    sender, receiver = going()
    receiver.receive(sender.start(1, 0) + sender.data_header(6) + b"1")
    assert not receiver.takes(b"23456")
    assert not receiver.takes(b"")
    assert receiver.takes(b"2345")
    assert refusal(receiver, b"6") == "files.too-many-bytes"


def test_what_the_receiver_has_is_not_sent_again() -> None:
    have = Have(1, 4, b"\1" * 32)
    sender, receiver = going(have=[have])
    assert sender.have == {1: have}
    events = receiver.receive(sender.start(1, 4) + content(sender, b"5") + sender.end(DIGEST))
    assert events[0] == (Event.START, 1, 4)


def test_a_source_that_changed_is_sent_from_its_beginning() -> None:
    sender, receiver = going(have=[Have(1, 4, b"\1" * 32)])
    assert receiver.receive(sender.start(1, 0))[0] == (Event.START, 1, 0)
    assert refusal(receiver, content(sender, b"123456")) == "files.too-many-bytes"


def test_a_transfer_that_came_before_is_confirmed_at_once() -> None:
    sender, receiver = offered()
    assert sender.receive(receiver.receipt(["photos"])) == [(Event.RECEIPT, ["photos"])]


@pytest.mark.parametrize("at", ["offered", "going", "file"])
def test_a_receiver_may_refuse_at_any_moment(at: str) -> None:
    sender, receiver = offered() if at == "offered" else going()
    if at == "file":
        receiver.receive(sender.start(1, 0))
    assert sender.receive(receiver.refuse("files.disk-full", "x" * 999)) == [
        (Event.REFUSED, "files.disk-full", "x" * frames.MAX_DETAIL)
    ]


def test_a_sign_of_life_changes_nothing() -> None:
    sender, receiver = offered()
    assert receiver.receive(sender.busy()) == []
    assert receiver.state is State.OFFERED


def test_a_stream_has_any_length_up_to_what_the_receiver_allows() -> None:
    sender, receiver = offered([Entry(("stdin",), Kind.STREAM, 0)])
    receiver.stream_limit = 4
    sender.receive(receiver.go())
    receiver.receive(sender.start(0, 0) + content(sender, b"123"))
    assert refusal(receiver, content(sender, b"45")) == "files.too-many-bytes"


# What a hostile sender may try.


def raw_offer(entries: list[object], *, more: bool = False, transfer: bytes = TRANSFER) -> bytes:
    return frame(frames.OFFER, pack({"transfer": transfer, "entries": entries, "more": more}))


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([[["..", "x"], 0, 1]], "files.bad-path"),
        ([[["a/b"], 0, 1]], "files.bad-path"),
        ([[["/etc/passwd"], 0, 1]], "files.bad-path"),
        ([[[""], 0, 1]], "files.bad-path"),
        ([[["a\0b"], 0, 1]], "files.bad-path"),
        ([[[], 0, 1]], "files.bad-path"),
        ([[["x" * 256], 0, 1]], "files.bad-path"),
        ([[["d"] * (MAX_DEPTH + 1), 0, 1]], "files.bad-path"),
        ([[["y" * 200], 1, 0], [["y" * 200] * 6, 0, 1]], "files.bad-path"),
        ([[["a"], 0, -1]], "files.bad-size"),
        ([[["a"], 0, MAX_SIZE + 1]], "files.bad-size"),
        ([[["a"], 0, MAX_SIZE], [["b"], 0, 1]], "files.bad-size"),
        ([[["a"], 1, 7]], "files.bad-size"),
        ([[["a"], 2, 7]], "files.bad-size"),
        ([[["a"], 0, 1], [["a"], 0, 1]], "files.bad-manifest"),
        ([[["a"], 0, 1], [["a", "b"], 0, 1]], "files.bad-manifest"),
        ([[["a", "b"], 0, 1]], "files.bad-manifest"),
        ([], "files.bad-manifest"),
        ([[["a"], 9, 1]], "files.bad-frame"),
        ([[["a"], 0, 1.5]], "files.bad-frame"),
        (["a"], "files.bad-frame"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(entries: list[object], code: str) -> None:
    assert refusal(Receiver(), raw_offer(entries)) == code


def test_a_manifest_of_millions_of_files_ends_at_the_limit() -> None:
    receiver = Receiver()
    receiver.receive(raw_offer([[["d"], 1, 0]], more=True))
    page = 1000
    for start in range(0, MAX_ENTRIES - page, page):
        receiver.receive(raw_offer([[["d", f"{number}"], 0, 0] for number in range(start, start + page)], more=True))
    last: list[object] = [[["d", f"-{number}"], 0, 0] for number in range(page)]
    assert refusal(receiver, raw_offer(last, more=True)) == "files.too-many-files"
    assert len(receiver.manifest.entries) == MAX_ENTRIES


def test_pages_of_two_transfers_do_not_mix() -> None:
    receiver = Receiver()
    receiver.receive(raw_offer([[["a"], 0, 1]], more=True))
    assert refusal(receiver, raw_offer([[["b"], 0, 1]], transfer=bytes(16))) == "files.bad-frame"


def test_content_before_it_was_asked_for_is_refused() -> None:
    _, receiver = offered()
    assert refusal(receiver, frame(frames.START, frames.START_PAYLOAD.pack(1, 0))) == "files.out-of-turn"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(frames.START, frames.START_PAYLOAD.pack(0, 0)), "files.out-of-turn"),  # a folder
        (frame(frames.START, frames.START_PAYLOAD.pack(3, 0)), "files.out-of-turn"),  # not the next
        (frame(frames.START, frames.START_PAYLOAD.pack(99, 0)), "files.out-of-turn"),
        (frame(frames.START, frames.START_PAYLOAD.pack(1, 2)), "files.bad-offset"),
        (frame(frames.FINISH), "files.incomplete"),
        (frame(frames.FINISH, b"x"), "files.bad-frame"),
        (frame(frames.DATA, b"x"), "files.out-of-turn"),
        (frame(frames.END, DIGEST), "files.out-of-turn"),
        (frame(frames.GO), "files.out-of-turn"),
        (frames.HEADER.pack(99, 0), "files.bad-frame"),
        (frames.HEADER.pack(frames.END, frames.CONTROL_BYTES + 1), "files.bad-frame"),
        (frames.HEADER.pack(frames.DATA, frames.DATA_BYTES + 1), "files.bad-frame"),
    ],
)
def test_a_sender_out_of_turn_is_refused(said: bytes, code: str) -> None:
    _, receiver = going()
    assert refusal(receiver, said) == code


def test_more_or_fewer_bytes_than_offered_are_refused() -> None:
    sender, receiver = going()
    receiver.receive(sender.start(1, 0))
    assert refusal(receiver, content(sender, b"123456")) == "files.too-many-bytes"
    sender, receiver = going()
    receiver.receive(sender.start(1, 0) + content(sender, b"1234"))
    assert refusal(receiver, sender.end(DIGEST)) == "files.too-few-bytes"


def test_an_empty_piece_of_content_is_refused() -> None:
    sender, receiver = going()
    receiver.receive(sender.start(1, 0))
    assert refusal(receiver, frame(frames.DATA)) == "files.bad-frame"


@pytest.mark.parametrize(
    "have",
    [
        [Have(0, 1, DIGEST)],  # a folder
        [Have(9, 1, DIGEST)],  # nothing
        [Have(-1, 1, DIGEST)],
        [Have(1, 6, DIGEST)],  # more than there is
        [Have(1, 0, DIGEST)],
        [Have(3, 1, DIGEST), Have(1, 1, DIGEST)],  # backwards
        [Have(1, 1, DIGEST), Have(1, 1, DIGEST)],
    ],
)
def test_a_receiver_that_has_what_cannot_be_is_refused(have: list[Have]) -> None:
    sender, _ = offered()
    assert refusal(sender, frames.message(frames.HAVE, have)) == "files.bad-offset"


def test_a_receiver_out_of_turn_is_refused() -> None:
    sender, _ = going()
    assert refusal(sender, frames.message(frames.RECEIPT, frames.Receipt([]))) == "files.out-of-turn"


def test_a_caller_out_of_turn_is_told() -> None:
    sender, receiver = offered()
    for misuse in (
        lambda: sender.start(1, 0),
        lambda: sender.end(DIGEST),
        sender.finish,
        lambda: sender.data_header(1),
    ):
        with pytest.raises(UsageError):
            misuse()
    receiver.go()
    with pytest.raises(UsageError):
        receiver.go()


def test_a_large_manifest_travels_in_pages_within_the_limit() -> None:
    entries = [Entry(("d",), Kind.FOLDER, 0), *(Entry(("d", f"{n:0200}"), Kind.FILE, 1) for n in range(2000))]
    sender = Sender(Manifest(entries), TRANSFER)
    pages = sender.offer()
    assert len(pages) > 5
    assert all(len(page) <= frames.CONTROL_BYTES + frames.HEADER_BYTES for page in pages)
    receiver = Receiver()
    assert [event for page in pages for event in receiver.receive(page)] == [(Event.OFFERED,)]
    assert receiver.manifest.entries == entries


@given(st.binary(max_size=200))
def test_any_bytes_into_either_side_end_in_events_or_a_peer_error(data: bytes) -> None:
    for machine in (Receiver(), going()[0], going()[1], offered()[0]):
        try:
            machine.receive(data)
        except PeerError:
            continue


def test_a_reader_holds_no_more_than_one_control_frame() -> None:
    reader = FrameReader()
    reader.feed(frames.HEADER.pack(frames.OFFER, frames.CONTROL_BYTES) + bytes(frames.CONTROL_BYTES - 1))
    assert not reader.is_between
    assert len(reader.feed(b"x")) == 1
    assert reader.is_between


def test_places_keep_the_tree_and_tell_colliding_names_apart() -> None:
    manifest = Manifest(
        [
            Entry(("A",), Kind.FOLDER, 0),
            Entry(("A", "x?"), Kind.FILE, 1),
            Entry(("A", "x*"), Kind.FILE, 1),
            Entry(("a",), Kind.FOLDER, 0),
            Entry(("a", "x?"), Kind.FILE, 1),
            Entry((".git",), Kind.FOLDER, 0),
            Entry((".git", "CON"), Kind.FILE, 1),
        ]
    )
    assert places(manifest) == [
        ("A",),
        ("A", "x_"),
        ("A", "x_ (2)"),
        ("a (2)",),
        ("a (2)", "x_"),
        ("_.git",),
        ("_.git", "_CON"),
    ]


def test_every_row_of_the_tables_is_reached_from_the_first_state() -> None:
    for table, first in ((FROM_SENDER, State.OFFERING), (FROM_RECEIVER, State.OFFERED)):
        assert any(state is first for state, _ in table)
        assert {kind for _, kind in table} <= set(range(1, 11))
    assert State.OVER not in {state for state, _ in (*FROM_SENDER, *FROM_RECEIVER)}
