"""One line between two nodes: subscriptions, requests, deliveries (spec/fabric.md §3 to §6), as a machine.

Bytes in, events out; what is to be sent is taken with `take`. Knows no scope, no handler and no store.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from nzcore.base.errors import PeerError, UsageError
from nzcore.proto.fabric import frames
from nzcore.proto.fabric.frames import FrameCutter
from nzcore.proto.fabric.limits import (
    CODE_CHARACTERS,
    DETAIL_CHARACTERS,
    PATTERNS,
    REQUEST_BYTES,
    REQUESTS,
    WINDOW,
    WINDOW_BYTES,
)


class Happened(Enum):
    """The first element of an event; what follows stands beside it."""

    WANTED = auto()  # the peer's subscriptions have changed: see `wanted`
    ASKED = auto()  # id, operation, deadline in s, key or None, body, bytes
    GIVEN_UP = auto()  # id of a request of theirs
    ANSWERED = auto()  # id, body
    FAILED = auto()  # id, code, detail
    DELIVERED = auto()  # outbox, floor, number, topic, body
    ACKNOWLEDGED = auto()  # outbox, number
    REFUSED = auto()  # outbox, number, code


Event = tuple[Any, ...]
"""`Happened` first. A tuple: several are made for each request."""


class Session:
    """One end of a line. After a PeerError it is over."""

    def __init__(self, patterns: Mapping[str, bool]) -> None:
        """Greets with what we subscribe to: patterns, and whether each holds publishers up."""
        self.has_heard = False
        """Whether the peer has greeted."""
        self.wanted: dict[str, bool] = {}
        """What the peer subscribed to: patterns, and whether it would rather hold us up than lose something."""
        self._cutter = FrameCutter()
        self._out = [frames.encode(frames.SUBSCRIBE, *(part for one in patterns.items() for part in one))]
        self._last_id = 0
        self._asked: set[int] = set()
        self._last_remote_id = 0
        self._open: dict[int, int] = {}  # their requests under way: bytes
        self._open_bytes = 0
        self._sent: dict[tuple[bytes, int], int] = {}  # our deliveries under way: bytes
        self._sent_bytes = 0
        self._received: dict[tuple[bytes, int], int] = {}  # their deliveries under way
        self._received_bytes = 0

    def take(self) -> bytes:
        """What is to be sent now."""
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    # Subscriptions.

    def subscribe(self, pattern: str, *, holds: bool) -> None:
        """Tells the peer that we want `pattern`; once more for another `holds`."""
        self._out.append(frames.encode(frames.SUBSCRIBE, pattern, holds))

    def unsubscribe(self, pattern: str) -> None:
        self._out.append(frames.encode(frames.UNSUBSCRIBE, pattern))

    # Requests.

    @property
    def can_ask(self) -> bool:
        """Whether there is room for one more request of ours."""
        return len(self._asked) < REQUESTS

    def ask(self, operation: str, body: bytes, *, deadline_s: float, key: str | None = None) -> int:
        """Sends a request; `body` is packed. Returns its id. *Raises* UsageError `fabric.busy`."""
        if not self.can_ask:
            raise UsageError("fabric.busy")
        self._last_id = number = self._last_id + 1
        self._asked.add(number)
        fields = (number, operation, max(1, int(deadline_s * 1000)), key)
        self._out.append(frames.encode_with_body(frames.REQUEST, fields, body))
        return number

    def give_up(self, number: int) -> None:
        """Wants no answer any more; harmless where it has come."""
        if number in self._asked:
            self._asked.remove(number)
            self._out.append(frames.encode(frames.CANCEL, number))

    def answer(self, number: int, body: bytes) -> None:
        """Answers a request of theirs; `body` is packed. Harmless where they have given it up."""
        if self._close_request(number):
            self._out.append(frames.encode_with_body(frames.REPLY, (number,), body))

    def fail(self, number: int, code: str, detail: str = "") -> None:
        """Refuses a request of theirs, or says that it failed."""
        if self._close_request(number):
            fields = (number, code[:CODE_CHARACTERS], detail[:DETAIL_CHARACTERS])
            self._out.append(frames.encode(frames.FAIL, *fields))

    # Deliveries.

    def can_deliver(self, size: int) -> bool:
        """Whether the window has room for a body of `size` bytes."""
        return not self._sent or (len(self._sent) < WINDOW and self._sent_bytes + size <= WINDOW_BYTES)

    def deliver(self, outbox: bytes, floor: int, number: int, topic: str, body: bytes) -> None:
        """Sends a delivery; none below `floor` will ever be sent again. *Raises* UsageError `fabric.busy`."""
        if not self.can_deliver(len(body)) or (outbox, number) in self._sent:
            raise UsageError("fabric.busy")
        self._sent[outbox, number] = len(body)
        self._sent_bytes += len(body)
        self._out.append(frames.encode_with_body(frames.DELIVER, (outbox, floor, number, topic), body))

    def acknowledge(self, outbox: bytes, number: int) -> None:
        """Says that a delivery is kept, durably."""
        self._settle_received(outbox, number)
        self._out.append(frames.encode(frames.ACK, outbox, number))

    def refuse(self, outbox: bytes, number: int, code: str) -> None:
        """Says that a delivery is not kept, and why: it comes again."""
        self._settle_received(outbox, number)
        self._out.append(frames.encode(frames.REFUSE, outbox, number, code))

    # What the peer says.

    def receive(self, data: bytes) -> list[Event]:
        """*Raises* PeerError `fabric.bad-frame`, `fabric.too-many-patterns`, `fabric.too-many-waiting`, `codec.*`."""
        events: list[Event] = []
        for payload in self._cutter.feed(data):
            frame = frames.decode(payload)
            event = self._handle(frame, len(payload))
            if event is not None:
                events.append(event)
        return events

    def _handle(self, frame: list[Any], size: int) -> Event | None:
        kind = frame[0]
        if not self.has_heard:
            if kind != frames.SUBSCRIBE:
                raise PeerError("fabric.bad-frame", kind=kind)
            self.has_heard = True
        if kind == frames.REQUEST:
            return self._on_request(frame, size)
        if kind == frames.REPLY or kind == frames.FAIL:
            return self._on_answer(frame)
        if kind == frames.CANCEL:
            return (Happened.GIVEN_UP, frame[1]) if self._close_request(frame[1]) else None
        if kind == frames.DELIVER:
            return self._on_delivery(frame, size)
        if kind == frames.ACK or kind == frames.REFUSE:
            return self._on_settled(frame)
        return self._on_subscription(frame)

    def _on_subscription(self, frame: list[Any]) -> Event:
        if frame[0] == frames.SUBSCRIBE:
            self.wanted.update(zip(frame[1::2], frame[2::2], strict=True))
            if len(self.wanted) > PATTERNS:
                raise PeerError("fabric.too-many-patterns")
        else:
            for pattern in frame[1:]:
                self.wanted.pop(pattern, None)
        return (Happened.WANTED,)

    def _on_request(self, frame: list[Any], size: int) -> Event | None:
        _, number, operation, deadline_ms, key, body = frame
        if number <= self._last_remote_id:
            raise PeerError("fabric.bad-frame", id=number)
        self._last_remote_id = number
        self._open[number] = size
        self._open_bytes += size
        if len(self._open) > REQUESTS or (self._open_bytes > REQUEST_BYTES and len(self._open) > 1):
            self.fail(number, "fabric.busy")
            return None
        return (Happened.ASKED, number, operation, deadline_ms / 1000, key, body)

    def _on_answer(self, frame: list[Any]) -> Event | None:
        number = frame[1]
        if number > self._last_id:
            raise PeerError("fabric.bad-frame", id=number)
        if number not in self._asked:
            return None  # given up meanwhile
        self._asked.remove(number)
        return (Happened.ANSWERED if frame[0] == frames.REPLY else Happened.FAILED, *frame[1:])

    def _on_delivery(self, frame: list[Any], size: int) -> Event:
        _, outbox, floor, number, topic, body = frame
        place = (outbox, number)
        if floor > number or place in self._received:
            raise PeerError("fabric.bad-frame", number=number)
        self._received[place] = size
        self._received_bytes += size
        too_much = self._received_bytes > WINDOW_BYTES + len(self._received) * 2048  # heads are counted here
        if len(self._received) > WINDOW or (too_much and len(self._received) > 1):
            raise PeerError("fabric.too-many-waiting")
        return (Happened.DELIVERED, outbox, floor, number, topic, body)

    def _on_settled(self, frame: list[Any]) -> Event:
        size = self._sent.pop((frame[1], frame[2]), None)
        if size is None:
            raise PeerError("fabric.bad-frame", number=frame[2])
        self._sent_bytes -= size
        return (Happened.ACKNOWLEDGED if frame[0] == frames.ACK else Happened.REFUSED, *frame[1:])

    def _close_request(self, number: int) -> bool:
        size = self._open.pop(number, None)
        if size is None:
            return False
        self._open_bytes -= size
        return True

    def _settle_received(self, outbox: bytes, number: int) -> None:
        self._received_bytes -= self._received.pop((outbox, number), 0)
