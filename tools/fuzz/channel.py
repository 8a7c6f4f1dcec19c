"""Any bytes into an open channel: as ciphertext, as plaintexts under the right key, and as frames of each kind.

Whatever comes, `receive` gives events or ends the channel; it never raises, and what it may hold stays within bounds.
"""

from nzcore.base.instant import Instant
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.config import PLAINTEXT_BYTES
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.frames import NAMES, frame
from tools.vectors.channel_cast import CONFIG, machine, transport

_CUT = 1 << 12  # bytes of one plaintext, so that an input makes several


def target(data: bytes) -> None:
    """One input in four ways, each to a fresh machine; half of them are the initiator."""
    receiver = _greeted(initiator=bool(data[:1] > b"\x7f"))
    _feed(receiver, data)
    plaintexts = [data[at : at + _CUT] for at in range(0, len(data), _CUT)]
    for initiator in (True, False):
        receiver = _greeted(initiator=initiator)
        receiver.open("/fuzz/1")
        for plaintext in plaintexts:
            _feed(receiver, _record(receiver, plaintext))
        _check(receiver)
    receiver = _greeted(initiator=False)
    for at in range(0, len(data) - 1, 9):  # a kind, a small stream number, the rest as payload
        plaintext = frame(data[at] % len(NAMES), data[at + 1] % 8, data[at + 2 : at + 9])
        _feed(receiver, _record(receiver, plaintext))
    _check(receiver)


def _greeted(*, initiator: bool) -> Channel:
    receiver = machine(initiator=initiator, config=CONFIG)
    sender = machine(initiator=not initiator, config=CONFIG)
    _feed(receiver, b"".join(sender.take()))
    return receiver


def _record(receiver: Channel, plaintext: bytes) -> bytes:
    """The record under which the receiver reads this next: sealed by its own key's twin, at its counter."""
    if receiver.closed_by is not None or not plaintext or len(plaintext) > PLAINTEXT_BYTES:
        return b""
    twin = transport(initiator=receiver._streams._next_local % 2 == 0).send
    for _ in range(receiver._reader.records):
        twin.encrypt(b"", b"")
    ciphertext = twin.encrypt(b"", plaintext)
    return len(ciphertext).to_bytes(2, "big") + ciphertext


def _feed(receiver: Channel, data: bytes) -> None:
    over = receiver.closed_by is not None
    events = receiver.receive(data, Instant(1.0))
    closed = [event for event in events if event[0] is Event.CLOSED]
    assert len(closed) == (receiver.closed_by is not None) - over
    assert not closed or events[-1] is closed[0]
    for event in events:
        if event[0] is Event.DATA:
            assert isinstance(event[1], int)
            assert isinstance(event[2], bytes)
            receiver.consume(event[1], len(event[2]))
    receiver.take()


def _check(receiver: Channel) -> None:
    windows = sum(stream.window for stream in receiver._records.values())
    assert windows <= CONFIG.budget
    assert len(receiver._records) <= 2 * CONFIG.max_streams
