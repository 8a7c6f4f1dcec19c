"""Fuzz target: any bytes into a line at several points of its life, into publications, into numbers from a store."""

from nzcore.base.errors import NzError, PeerError
from nzcore.codec.frames import pack, unpack
from nzcore.proto.fabric import frames
from nzcore.proto.fabric.frames import PublicationReader, is_topic
from nzcore.proto.fabric.limits import PATTERNS, REQUESTS, WINDOW
from nzcore.proto.fabric.seen import Seen
from nzcore.proto.fabric.session import Happened, Session


def target(data: bytes) -> None:
    """The first byte chooses the reader; lines are told the rest cut in two, greeted or not."""
    choice, rest = data[:1], data[1:]
    step = int.from_bytes(choice, "big") % 4
    try:
        if step == 0:
            for batch in PublicationReader().feed(rest):
                assert all(map(is_topic, batch[::2]))
        elif step == 1:
            _store(rest)
        else:
            _line(rest, greeted=step == 3)
    except PeerError:
        pass


def _line(data: bytes, *, greeted: bool) -> None:
    session = Session({"a.*": True})
    session.ask("maths.add", pack(1), deadline_s=5)
    session.deliver(bytes(16), 1, 1, "a", pack(1))
    half = len(data) // 2
    if greeted:
        session.receive(frames.encode(frames.SUBSCRIBE))
        data = frames.framed(data[:half]) + frames.framed(data[half:]) if data else data
    asked = delivered = 0
    for piece in (data[:half], data[half:]):
        for event in session.receive(piece):
            asked += event[0] is Happened.ASKED
            delivered += event[0] is Happened.DELIVERED
    assert asked <= REQUESTS
    assert delivered <= WINDOW
    assert len(session.wanted) <= PATTERNS


def _store(data: bytes) -> None:
    try:
        seen = Seen.of(unpack(data))
    except NzError:
        return
    again = Seen.of(seen.plain())
    assert again.plain() == seen.plain()
    seen.add(bytes(16), 5)
    assert seen.has(bytes(16), 5)
