"""What a record's frames mean: frames in, events out (spec/channel.md §3, §4). Knows no ciphers."""

from collections.abc import Callable

from nzcore.base.errors import PeerError
from nzcore.base.instant import Instant
from nzcore.proto.channel import frames
from nzcore.proto.channel.answers import Answers
from nzcore.proto.channel.codes import code_of, wire_of
from nzcore.proto.channel.events import Event, Events
from nzcore.proto.channel.frames import HEADER, HEADER_BYTES
from nzcore.proto.channel.hello import read_hello
from nzcore.proto.channel.liveness import Liveness
from nzcore.proto.channel.records import RecordWriter
from nzcore.proto.channel.rekey import Rekey
from nzcore.proto.channel.streams import Streams, Turn

_DATA, _unpack_header = frames.DATA, HEADER.unpack_from

OnClose = Callable[[str, bytes, Events], None]
"""Called with the reason and the detail of the other side's CLOSE."""


class Incoming:
    """Reads the frames of one record after the other."""

    __slots__ = ("_answers", "_close", "_greeted", "_handlers", "_life", "_records", "_rekey", "_streams", "_writer")

    def __init__(
        self, streams: Streams, answers: Answers, writer: RecordWriter, rekey: Rekey, life: Liveness, close: OnClose
    ) -> None:
        self._streams = streams
        self._records = streams.records  # the same dict: one attribute less on the hot path
        self._answers = answers
        self._writer = writer
        self._rekey = rekey
        self._life = life
        self._close = close
        self._greeted = False
        self._handlers = {
            frames.PAD: self._on_pad,
            frames.OPEN: self._on_open,
            frames.CREDIT: self._on_credit,
            frames.END: self._on_end,
            frames.RESET: self._on_reset,
            frames.PING: self._on_ping,
            frames.PONG: self._on_pong,
        }

    def read(self, plaintext: bytes, events: Events, now: Instant) -> bool:
        """Appends to `events`; false after CLOSE: nothing counts that follows it. *Raises* PeerError `channel.*`."""
        at, end = 0, len(plaintext)
        if not self._greeted and plaintext[0] != frames.CLOSE:  # a refusal comes without a greeting
            hello, at = read_hello(plaintext)
            events.append((Event.HELLO, hello))
            self._greeted = True
        records = self._records
        while at < end:
            if end - at < HEADER_BYTES:
                raise PeerError("channel.bad-frame")
            kind, number, size = _unpack_header(plaintext, at)
            at += HEADER_BYTES
            stop = at + size
            if stop > end or (kind == _DATA and not size):
                raise PeerError("channel.bad-frame")
            if kind == _DATA:
                stream = records.get(number) or self._streams.known(number)
                if stream is not None:
                    if size > stream.receivable:
                        raise PeerError("channel.over-credit", stream=number, size=size)
                    stream.receivable -= size
                    if not (stream.local or stream.remote) or stream.hear(Turn.DATA):
                        events.append((Event.DATA, number, plaintext[at:stop]))
            elif kind == frames.REKEY:
                if number or stop != end:
                    raise PeerError("channel.bad-frame")
                if self._rekey.receive(plaintext[at:stop], now):
                    events.append((Event.REKEYED, self._rekey.count))
            elif kind == frames.CLOSE:
                self._on_close(number, plaintext[at:stop], events)
                return False
            else:
                handler = self._handlers.get(kind)
                if handler is None:
                    raise PeerError("channel.bad-frame", kind=kind)
                handler(number, plaintext[at:stop], events, now)
            at = stop
        return True

    def _on_pad(self, number: int, payload: bytes, events: Events, now: Instant) -> None:
        if number:  # padding hides sizes and means nothing
            raise PeerError("channel.bad-frame")

    def _on_open(self, number: int, payload: bytes, events: Events, now: Instant) -> None:
        protocol = frames.read_protocol(payload)
        if self._streams.open_remote(number):
            events.append((Event.OPENED, number, protocol))
        else:
            self._answers.refuse(number, wire_of("channel.too-many-streams"))

    def _on_credit(self, number: int, payload: bytes, events: Events, now: Instant) -> None:
        amount = frames.read_credit(payload)
        stream = self._streams.known(number)
        if stream is None or not stream.hear(Turn.CREDIT):
            return
        if stream.credit + amount > frames.MAX_CREDIT:
            raise PeerError("channel.over-credit", stream=number, size=amount)
        if not stream.credit:
            events.append((Event.CREDITED, number))
        stream.credit += amount

    def _on_end(self, number: int, payload: bytes, events: Events, now: Instant) -> None:
        if payload:
            raise PeerError("channel.bad-frame")
        stream = self._streams.known(number)
        if stream is not None and stream.hear(Turn.END):
            self._answers.forget(number)
            events.append((Event.ENDED, number))
            self._streams.forget_if_over(stream)

    def _on_reset(self, number: int, payload: bytes, events: Events, now: Instant) -> None:
        code = code_of(frames.read_code(payload))
        stream = self._streams.known(number)
        was_over = stream is None or stream.is_over
        if stream is not None and stream.hear(Turn.RESET) and not was_over:
            self._writer.end_data()
            self._answers.forget(number)
            events.append((Event.RESET, number, code))
            self._streams.forget_if_over(stream)

    def _on_ping(self, number: int, payload: bytes, events: Events, now: Instant) -> None:
        frames.read_nonce(number, payload)
        self._answers.pong(payload)

    def _on_pong(self, number: int, payload: bytes, events: Events, now: Instant) -> None:
        nonce = frames.read_nonce(number, payload)
        rtt = self._life.pong(nonce, now)
        if rtt is not None:
            events.append((Event.PONG, nonce, rtt))

    def _on_close(self, number: int, payload: bytes, events: Events) -> None:
        if number:
            raise PeerError("channel.bad-frame")
        wire, detail = frames.read_close(payload)
        self._close(code_of(wire), detail, events)
