"""Frames of `/nz/files/1`: `kind u8 ‖ length u32 ‖ payload` (spec/files.md §2).

Content passes through in the pieces in which it arrived: no frame of it is ever put together here.
"""

from struct import Struct
from typing import TypeVar

from msgspec import Struct as Shape

from nzcore.base.errors import PeerError
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.proto.files.manifest import Entry, Have

HEADER = Struct(">BI")
HEADER_BYTES = HEADER.size  # 5
START_PAYLOAD = Struct(">IQ")

# Plain integers, not an Enum: one is compared for each piece of content.
OFFER, HAVE, GO, START, DATA, END, FINISH, RECEIPT, REFUSE, BUSY = range(1, 11)
NAMES = ("", "OFFER", "HAVE", "GO", "START", "DATA", "END", "FINISH", "RECEIPT", "REFUSE", "BUSY")

CONTROL_BYTES = 64 << 10
"""Largest payload that is not content: what a reader holds of an unfinished frame."""

DATA_BYTES = 1 << 20
"""Largest payload of content; a sender's unit of reading and hashing."""

DIGEST_BYTES = 32
TRANSFER_BYTES = 16
MAX_CODE, MAX_DETAIL = 64, 256

T = TypeVar("T")

Frame = tuple[int, bytes]
"""Kind and payload; a DATA frame may come as many of these, none empty."""


class Offer(Shape, frozen=True):
    """A page of the manifest; `transfer` is the same on every page and in every attempt."""

    transfer: bytes
    entries: list[Entry]
    more: bool


class Receipt(Shape, frozen=True):
    """Everything is in its place: under which names the roots are stored."""

    names: list[str]


class Refusal(Shape, frozen=True):
    """Why a receiver takes nothing, or nothing more."""

    code: str
    detail: str = ""


class FrameReader:
    """A stream of frames out of any cutting of its bytes; holds one unfinished control frame at most."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._data_left = 0  # bytes of a DATA frame still to come

    def passes(self, size: int) -> bool:
        """Whether the next `size` bytes all lie in the present DATA frame; they are then done with."""
        if 0 < size <= self._data_left:
            self._data_left -= size
            return True
        return False

    def feed(self, data: bytes) -> list[Frame]:
        """*Raises* PeerError `files.bad-frame`; the stream is then beyond repair."""
        if self.passes(len(data)):
            return [(DATA, data)]
        frames: list[Frame] = []
        if self._data_left:
            frames.append((DATA, data[: self._data_left]))
            data = data[self._data_left :]
            self._data_left = 0
        self._held += data
        self._cut(frames)
        return frames

    @property
    def is_between(self) -> bool:
        """Whether nothing of an unfinished frame was read."""
        return not self._held and not self._data_left

    def _cut(self, frames: list[Frame]) -> None:
        held, at = self._held, 0
        while len(held) - at >= HEADER_BYTES:
            kind, size = HEADER.unpack_from(held, at)
            if not OFFER <= kind <= BUSY or size > (DATA_BYTES if kind == DATA else CONTROL_BYTES):
                raise PeerError("files.bad-frame", kind=kind, size=size)
            start, stop = at + HEADER_BYTES, at + HEADER_BYTES + size
            if kind == DATA:
                if not size:
                    raise PeerError("files.bad-frame", "an empty piece of content")
                piece = bytes(held[start:stop])
                if piece:
                    frames.append((DATA, piece))
                self._data_left = size - len(piece)
                at = start + len(piece)
                if self._data_left:
                    break
            elif stop <= len(held):
                frames.append((kind, bytes(held[start:stop])))
                at = stop
            else:
                break
        del held[:at]


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One whole frame; the caller keeps to the limits."""
    return HEADER.pack(kind, len(payload)) + payload


def message(kind: int, shape: object) -> bytes:
    """A frame that holds a value as MessagePack."""
    return frame(kind, pack(builtins(shape)))


def read_offer(payload: bytes) -> Offer:
    """*Raises* PeerError `files.bad-frame`."""
    offer = _read(payload, Offer)
    if len(offer.transfer) != TRANSFER_BYTES or (offer.more and not offer.entries):
        raise PeerError("files.bad-frame")
    return offer


def read_have(payload: bytes) -> list[Have]:
    """*Raises* PeerError `files.bad-frame`."""
    have = _read(payload, list[Have])
    if not have or any(len(one.sha256) != DIGEST_BYTES for one in have):
        raise PeerError("files.bad-frame")
    return have


def read_receipt(payload: bytes) -> Receipt:
    """*Raises* PeerError `files.bad-frame`."""
    return _read(payload, Receipt)


def read_refusal(payload: bytes) -> Refusal:
    """*Raises* PeerError `files.bad-frame`."""
    refusal = _read(payload, Refusal)
    return Refusal(refusal.code[:MAX_CODE], refusal.detail[:MAX_DETAIL])


def read_start(payload: bytes) -> tuple[int, int]:
    """Index of a file and the offset from which it comes. *Raises* PeerError `files.bad-frame`."""
    if len(payload) != START_PAYLOAD.size:
        raise PeerError("files.bad-frame")
    index, offset = START_PAYLOAD.unpack(payload)
    return index, offset


def read_end(payload: bytes) -> bytes:
    """SHA-256 of the whole file. *Raises* PeerError `files.bad-frame`."""
    if len(payload) != DIGEST_BYTES:
        raise PeerError("files.bad-frame")
    return payload


def read_nothing(payload: bytes) -> None:
    """*Raises* PeerError `files.bad-frame` unless empty."""
    if payload:
        raise PeerError("files.bad-frame")


def _read(payload: bytes, shape: type[T]) -> T:
    try:
        return convert(unpack(payload, max_bytes=CONTROL_BYTES), shape)
    except PeerError as error:
        raise PeerError("files.bad-frame", f"a frame that cannot be read: {error.message}") from None
