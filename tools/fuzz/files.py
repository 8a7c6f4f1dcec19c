"""Fuzz target: any bytes into either side of a transfer, at any point of it, and any name onto a disk."""

from nzcore.base.errors import PeerError
from nzcore.proto.files import frames
from nzcore.proto.files.machine import Receiver, Sender
from nzcore.proto.files.manifest import Entry, Have, Kind, Manifest, places
from nzcore.proto.files.names import MAX_NAME_BYTES, safe_name

_ENTRIES = (Entry(("d",), Kind.FOLDER, 0), Entry(("d", "f"), Kind.FILE, 64), Entry(("s",), Kind.STREAM, 0))


def target(data: bytes) -> None:
    """The first byte chooses whom the rest is told, and when."""
    choice, rest = data[:1], data[1:]
    sender, receiver = Sender(Manifest(_ENTRIES), bytes(16)), Receiver()
    receiver.stream_limit = 64
    for page in sender.offer():
        receiver.receive(page)
    step = int.from_bytes(choice, "big") % 5
    try:
        if step == 0:
            receiver = Receiver()
        elif step == 1:
            sender.receive(rest)
        elif step == 2:
            receiver.receive(frames.frame(frames.OFFER, rest[: frames.CONTROL_BYTES]))
        else:
            receiver.have([Have(1, 32, bytes(32))])
            receiver.go()
            if step == 4:
                receiver.receive(frames.frame(frames.START, frames.START_PAYLOAD.pack(1, 32)))
        receiver.receive(rest)
    except PeerError:
        pass
    for place in places(receiver.manifest):
        for name in place:
            assert name not in ("", ".", "..")
            assert "/" not in name
    name = safe_name(rest.decode("utf-8", "surrogateescape"))
    assert 1 <= len(name.encode()) <= MAX_NAME_BYTES
    assert safe_name(name) == name
