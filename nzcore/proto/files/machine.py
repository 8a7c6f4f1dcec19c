"""Both sides of a transfer as machines: who may say what, and when (spec/files.md §5).

Bytes in, events out. They know no file, no hash function and no clock; what a digest must equal, the shells compare.
Events are tuples, the kind first: one is made for each piece of content.
"""

from enum import IntEnum, auto
from typing import Any

from nzcore.base.errors import PeerError, UsageError
from nzcore.proto.files import frames
from nzcore.proto.files.frames import FrameReader
from nzcore.proto.files.manifest import Entry, Have, Kind, Manifest

MAX_HAVE = 1000
"""Entries of a HAVE frame: at 50 bytes each, well within a control frame."""


class State(IntEnum):
    """Where a transfer stands, seen from either side."""

    OFFERING = auto()
    """The sender sends pages of the manifest."""
    OFFERED = auto()
    """The receiver looks for what it has."""
    IDLE = auto()
    """Between two files."""
    FILE = auto()
    FINISHED = auto()
    """All is sent; the receiver puts it in place."""
    OVER = auto()


FROM_SENDER: dict[tuple[State, int], State] = {
    (State.OFFERING, frames.OFFER): State.OFFERING,  # the last page moves on to OFFERED
    (State.IDLE, frames.START): State.FILE,
    (State.FILE, frames.DATA): State.FILE,
    (State.FILE, frames.END): State.IDLE,
    (State.IDLE, frames.FINISH): State.FINISHED,
    **{(state, frames.BUSY): state for state in State if state is not State.OVER},
}
FROM_RECEIVER: dict[tuple[State, int], State] = {
    (State.OFFERED, frames.HAVE): State.OFFERED,
    (State.OFFERED, frames.GO): State.IDLE,
    (State.OFFERED, frames.RECEIPT): State.OVER,  # all of it arrived in an earlier attempt
    (State.FINISHED, frames.RECEIPT): State.OVER,
    **{(state, frames.REFUSE): State.OVER for state in State if state is not State.OVER},
}
"""A missing row is the refusal `files.out-of-turn`."""


class Event(IntEnum):
    """Kinds of events, with what follows in the tuple."""

    OFFERED = auto()
    """The manifest is complete: in `manifest` and `transfer`."""
    START = auto()
    """index, offset."""
    DATA = auto()
    """bytes."""
    END = auto()
    """SHA-256 of the whole file."""
    FINISH = auto()
    GO = auto()
    """What the receiver has stands in `have`."""
    RECEIPT = auto()
    """Names of the roots as stored."""
    REFUSED = auto()
    """code, detail."""


Events = list[tuple[Any, ...]]


class Receiver:
    """The receiving side. `have`, `go`, `receipt` and `refuse` give the bytes to send."""

    def __init__(self) -> None:
        self.manifest = Manifest()
        self.transfer = b""
        self.state = State.OFFERING
        self.stream_limit = 0
        """Bytes that a file without a known size may have; set it before `go`."""
        self._reader = FrameReader()
        self._have: dict[int, int] = {}
        self._index = -1
        self._left = 0  # bytes of the present file still to come, or still allowed

    def takes(self, data: bytes) -> bool:
        """Whether `data` is content of the present file and nothing else: it is then taken, at half the cost.

        Otherwise nothing has happened: ask `receive`.
        """
        size = len(data)
        if size > self._left or self.state is not State.FILE or not self._reader.passes(size):
            return False
        self._left -= size
        return True

    def receive(self, data: bytes) -> Events:
        """*Raises* PeerError `files.*`: the transfer is over, tell it by `refuse`."""
        events: Events = []
        for kind, payload in self._reader.feed(data):
            if kind == frames.DATA and self.state is State.FILE:
                if len(payload) > self._left:
                    raise PeerError("files.too-many-bytes", index=self._index)
                self._left -= len(payload)
                events.append((Event.DATA, payload))
            else:
                self._hear(kind, payload, events)
        return events

    def have(self, have: list[Have]) -> bytes:
        """Says what is there of some files; at most `MAX_HAVE` a call, indexes rising over all calls."""
        _check(self.state is State.OFFERED)
        self._have.update((one.index, one.size) for one in have)
        return frames.message(frames.HAVE, have)

    def go(self) -> bytes:
        """Asks for the files."""
        _check(self.state is State.OFFERED)
        self.state = State.IDLE
        return frames.frame(frames.GO)

    def receipt(self, names: list[str]) -> bytes:
        """Says that everything is in its place."""
        _check(self.state in (State.OFFERED, State.FINISHED))
        self.state = State.OVER
        return frames.message(frames.RECEIPT, frames.Receipt(names))

    def refuse(self, code: str, detail: str = "") -> bytes:
        """Ends the transfer from any state."""
        self.state = State.OVER
        return frames.message(frames.REFUSE, frames.Refusal(code[: frames.MAX_CODE], detail[: frames.MAX_DETAIL]))

    @property
    def entry(self) -> Entry:
        """The file that comes now, or came last."""
        return self.manifest.entries[self._index]

    def _hear(self, kind: int, payload: bytes, events: Events) -> None:
        self.state = _next(FROM_SENDER, self.state, kind)
        if kind == frames.OFFER:
            self._take_offer(frames.read_offer(payload), events)
        elif kind == frames.START:
            self._start(*frames.read_start(payload), events)
        elif kind == frames.END:
            digest = frames.read_end(payload)
            if self._left and self.entry.kind is Kind.FILE:
                raise PeerError("files.too-few-bytes", index=self._index, missing=self._left)
            events.append((Event.END, digest))
        else:
            frames.read_nothing(payload)
            if kind == frames.FINISH:
                if self._next_file() is not None:
                    raise PeerError("files.incomplete")
                events.append((Event.FINISH,))

    def _take_offer(self, offer: frames.Offer, events: Events) -> None:
        if self.transfer not in (b"", offer.transfer):
            raise PeerError("files.bad-frame")
        self.transfer = offer.transfer
        for entry in offer.entries:
            self.manifest.add(entry)
        if not offer.more:
            if not self.manifest.entries:
                raise PeerError("files.bad-manifest", "an empty manifest")
            self.state = State.OFFERED
            events.append((Event.OFFERED,))

    def _start(self, index: int, offset: int, events: Events) -> None:
        if index != self._next_file():
            raise PeerError("files.out-of-turn", index=index)
        if offset not in (0, self._have.get(index, 0)):
            raise PeerError("files.bad-offset", index=index, offset=offset)
        self._index = index
        self._left = self.stream_limit if self.entry.kind is Kind.STREAM else self.entry.size - offset
        events.append((Event.START, index, offset))

    def _next_file(self) -> int | None:
        """Files come in the order of the manifest, every one of them."""
        entries = self.manifest.entries
        following = range(self._index + 1, len(entries))
        return next((index for index in following if entries[index].kind is not Kind.FOLDER), None)


class Sender:
    """The sending side. All methods but `receive` give the bytes to send."""

    def __init__(self, manifest: Manifest, transfer: bytes) -> None:
        """`transfer`: 16 random bytes, the same in every attempt."""
        self.manifest = manifest
        self.state = State.OFFERED
        self.have: dict[int, Have] = {}
        self._transfer = transfer
        self._reader = FrameReader()

    def offer(self) -> list[bytes]:
        """The manifest in pages, to be sent first."""
        pages: list[list[Entry]] = [[]]
        size = 0
        for entry in self.manifest.entries:
            cost = sum(len(name.encode()) + 3 for name in entry.path) + 16
            if size + cost > frames.CONTROL_BYTES - 64:
                pages.append([])
                size = 0
            pages[-1].append(entry)
            size += cost
        return [
            frames.message(frames.OFFER, frames.Offer(self._transfer, page, page is not pages[-1])) for page in pages
        ]

    def start(self, index: int, offset: int) -> bytes:
        """Begins the file `index`, from the beginning or from what the receiver has."""
        _check(self.state is State.IDLE)
        self.state = State.FILE
        return frames.frame(frames.START, frames.START_PAYLOAD.pack(index, offset))

    def data_header(self, size: int) -> bytes:
        """What goes before `size` bytes of content, 1 to `DATA_BYTES`."""
        _check(self.state is State.FILE and 0 < size <= frames.DATA_BYTES)
        return frames.HEADER.pack(frames.DATA, size)

    def end(self, sha256: bytes) -> bytes:
        """Ends the present file."""
        _check(self.state is State.FILE)
        self.state = State.IDLE
        return frames.frame(frames.END, sha256)

    def finish(self) -> bytes:
        """Says that all files were sent."""
        _check(self.state is State.IDLE)
        self.state = State.FINISHED
        return frames.frame(frames.FINISH)

    def busy(self) -> bytes:
        """A sign of life, while files are read again to compare them."""
        return frames.frame(frames.BUSY)

    def receive(self, data: bytes) -> Events:
        """*Raises* PeerError `files.*`."""
        events: Events = []
        for kind, payload in self._reader.feed(data):
            self.state = _next(FROM_RECEIVER, self.state, kind)
            if kind == frames.HAVE:
                self._take_have(frames.read_have(payload))
            elif kind == frames.GO:
                frames.read_nothing(payload)
                events.append((Event.GO,))
            elif kind == frames.RECEIPT:
                events.append((Event.RECEIPT, frames.read_receipt(payload).names))
            else:
                refusal = frames.read_refusal(payload)
                events.append((Event.REFUSED, refusal.code, refusal.detail))
        return events

    def _take_have(self, have: list[Have]) -> None:
        for one in have:
            last = next(reversed(self.have), -1)
            if not last < one.index < len(self.manifest.entries):
                raise PeerError("files.bad-offset", index=one.index)
            entry = self.manifest.entries[one.index]
            if entry.kind is not Kind.FILE or not 0 < one.size <= entry.size:
                raise PeerError("files.bad-offset", index=one.index, offset=one.size)
            self.have[one.index] = one


def _next(table: dict[tuple[State, int], State], state: State, kind: int) -> State:
    following = table.get((state, kind))
    if following is None:
        raise PeerError("files.out-of-turn", state=state.name, kind=frames.NAMES[kind])
    return following


def _check(may: bool) -> None:
    """*Raises* UsageError `files.misused`: a shell that sends out of turn has a bug."""
    if not may:
        raise UsageError("files.misused")
