"""Frames of the fabric: `length u32 ‖ MessagePack array`, the first element its kind (spec/fabric.md §2).

The length comes first because an unfinished MessagePack value would have to be skipped over anew with every byte.
"""

import re
from collections.abc import Callable, Sequence

from nzcore.base.errors import PeerError, UsageError
from nzcore.codec.frames import pack, unpack
from nzcore.proto.fabric.limits import (
    BODY_BYTES,
    CODE_CHARACTERS,
    DEADLINE_S,
    DETAIL_CHARACTERS,
    FRAME_BYTES,
    KEY_CHARACTERS,
    MAX_NUMBER,
    OPERATION_CHARACTERS,
    OUTBOX_BYTES,
    TOPIC_CHARACTERS,
)

# Plain integers, not an Enum: compared for each frame.
SUBSCRIBE, UNSUBSCRIBE, REQUEST, REPLY, FAIL, CANCEL, DELIVER, ACK, REFUSE = range(1, 10)

HEAD_BYTES = 4
Frame = list[object]

_TOPIC = re.compile(r"[^.\s*]+(?:\.[^.\s*]+)*")
_PATTERN = re.compile(r"\*\*|(?:\*|[^.\s*]+)(?:\.(?:\*|[^.\s*]+))*(?:\.\*\*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_OPERATION = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9][a-z0-9_-]*)+")
_CODE = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")
_FLAT = frozenset({bytes, str, int, float, bool, type(None)})
_ARRAY_OF_ONE = b"\x91"
_ARRAY16, _ARRAY32 = b"\xdc", b"\xdd"


def is_topic(text: object) -> bool:
    return isinstance(text, str) and len(text) <= TOPIC_CHARACTERS and _TOPIC.fullmatch(text) is not None


def is_pattern(text: object) -> bool:
    return isinstance(text, str) and len(text) <= TOPIC_CHARACTERS and _PATTERN.fullmatch(text) is not None


def require_plain(text: str) -> None:
    """Refuses a control character in a topic or pattern that this side chooses: it would steer whatever shows it.

    Not asked of what a peer sends, which the wire lets choose such ones: a line is not ended for them.
    *Raises* UsageError `fabric.bad-topic`.
    """
    if _CONTROL.search(text):
        raise UsageError(
            "fabric.bad-topic",
            "a topic or pattern has no control characters",
            hint="leave out what is not printed, as escape, backspace and delete",
        )


def is_operation(text: object) -> bool:
    return isinstance(text, str) and len(text) <= OPERATION_CHARACTERS and _OPERATION.fullmatch(text) is not None


def packed_body(body: object) -> bytes:
    """A body as it travels, certain to be taken by the other side's parser.

    *Raises* UsageError `codec.unencodable`, `fabric.too-large`, `fabric.bad-body`.
    """
    packed = pack(body)
    if len(packed) > BODY_BYTES:
        raise UsageError("fabric.too-large", size=len(packed), limit=BODY_BYTES)
    if type(body) not in _FLAT:
        try:
            unpack(_ARRAY_OF_ONE + packed)  # as deep as in a frame; a line must not end for one caller's mistake
        except PeerError as error:
            raise UsageError("fabric.bad-body", f"{error.message} in a body") from error
    return packed


def encode(kind: int, *fields: object) -> bytes:
    """A frame; its fields are checked by whoever made them."""
    return framed(pack([kind, *fields]))


def encode_with_body(kind: int, fields: Sequence[object], body: bytes) -> bytes:
    """A frame whose last field is packed already."""
    head = pack([kind, *fields])
    size = len(head) + len(body)
    return b"".join((size.to_bytes(HEAD_BYTES, "big"), bytes([head[0] + 1]), head[1:], body))  # one element more


def encode_publications(items: Sequence[bytes]) -> bytes:
    """A frame of `/nz/topics/1`; each item is a topic and a body, both packed."""
    count = 2 * len(items)
    head = _ARRAY16 + count.to_bytes(2, "big") if count < 1 << 16 else _ARRAY32 + count.to_bytes(4, "big")
    return framed(head + b"".join(items))


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(HEAD_BYTES, "big") + payload


class FrameCutter:
    """Cuts a stream into the payloads of its frames; holds at most one unfinished frame."""

    def __init__(self, max_bytes: int = FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes. *Raises* PeerError `fabric.bad-frame` for an empty or too large one."""
        held = self._held
        size = len(data) - HEAD_BYTES
        if not held and 0 < size <= self._max_bytes and data[:HEAD_BYTES] == size.to_bytes(HEAD_BYTES, "big"):
            return [data[HEAD_BYTES:]]  # one frame, whole: what mostly comes
        held += data
        payloads: list[bytes] = []
        at, end = 0, len(held)
        while end - at >= HEAD_BYTES:
            size = int.from_bytes(held[at : at + HEAD_BYTES], "big")
            if not 0 < size <= self._max_bytes:
                raise PeerError("fabric.bad-frame", size=size, limit=self._max_bytes)
            if end - at - HEAD_BYTES < size:
                break
            at += HEAD_BYTES + size
            payloads.append(bytes(held[at - size : at]))
        if at:
            del held[:at]
        return payloads


def decode(payload: bytes) -> Frame:
    """The fields of a frame of `/nz/fabric/1`, its kind first, each checked.

    *Raises* PeerError `fabric.bad-frame`, `codec.*`.
    """
    frame = unpack(payload, max_bytes=FRAME_BYTES)
    if not isinstance(frame, list) or not frame or type(frame[0]) is not int:
        raise PeerError("fabric.bad-frame")
    kind, fields = frame[0], frame[1:]
    if kind == REPLY and len(fields) == 2 and _is_number(fields[0]):
        return frame  # these two are what a line mostly carries
    if kind == REQUEST and len(fields) == 5:
        number, operation, deadline, key, _ = fields
        if _is_number(number) and is_operation(operation) and _is_deadline(deadline) and _is_key(key):
            return frame
    if kind in (SUBSCRIBE, UNSUBSCRIBE):
        checks: Sequence[Callable[[object], bool]] = (is_pattern, _is_bool) * (len(fields) // 2)
        checks = checks if kind == SUBSCRIBE else (is_pattern,) * len(fields)
        is_whole = kind == SUBSCRIBE or bool(fields)  # the first SUBSCRIBE may be empty
    else:
        checks = _FIELDS.get(kind, ())
        is_whole = kind in _FIELDS
    if not is_whole or len(checks) != len(fields) or not all(c(f) for c, f in zip(checks, fields, strict=True)):
        raise PeerError("fabric.bad-frame", kind=kind)
    return frame


class PublicationReader:
    """Cuts a stream of `/nz/topics/1` into lists of topic, body, topic, body …"""

    def __init__(self) -> None:
        self._cutter = FrameCutter()
        self._known: set[str] = set()  # topics that were checked, bounded

    def feed(self, data: bytes) -> list[list[object]]:
        """*Raises* PeerError `fabric.bad-frame`, `codec.*`."""
        return [self._checked(unpack(payload, max_bytes=FRAME_BYTES)) for payload in self._cutter.feed(data)]

    def _checked(self, value: object) -> list[object]:
        if not isinstance(value, list) or not value or len(value) % 2:
            raise PeerError("fabric.bad-frame")
        try:
            fresh = set(value[::2]) - self._known
        except TypeError as error:  # a list or map cannot be a topic, nor a member of a set
            raise PeerError("fabric.bad-frame") from error
        if fresh:
            if not all(map(is_topic, fresh)):
                raise PeerError("fabric.bad-frame")
            self._known = self._known | fresh if len(self._known) < 1024 else fresh
        return value


def _is_bool(value: object) -> bool:
    return type(value) is bool


def _is_number(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_NUMBER


def _is_deadline(value: object) -> bool:
    return type(value) is int and 0 < value <= DEADLINE_S * 1000


def _is_key(value: object) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value) <= KEY_CHARACTERS)


def _is_code(value: object) -> bool:
    return isinstance(value, str) and len(value) <= CODE_CHARACTERS and _CODE.fullmatch(value) is not None


def _is_detail(value: object) -> bool:
    return isinstance(value, str) and len(value) <= DETAIL_CHARACTERS


def _is_outbox(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == OUTBOX_BYTES


def _is_any(value: object) -> bool:
    return True


_FIELDS: dict[int, tuple[Callable[[object], bool], ...]] = {
    REQUEST: (_is_number, is_operation, _is_deadline, _is_key, _is_any),  # id, operation, ms, key, body
    REPLY: (_is_number, _is_any),  # id, body
    FAIL: (_is_number, _is_code, _is_detail),  # id, code, detail
    CANCEL: (_is_number,),  # id
    DELIVER: (_is_outbox, _is_number, _is_number, is_topic, _is_any),  # outbox, floor, number, topic, body
    ACK: (_is_outbox, _is_number),  # outbox, number
    REFUSE: (_is_outbox, _is_number, _is_code),  # outbox, number, code
}
