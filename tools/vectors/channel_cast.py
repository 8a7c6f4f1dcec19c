"""The channel of vectors/channel.json: two sides whose keys, hash, exporter and static-static DH are fixed."""

from functools import partial

from nzcore.base.instant import Instant
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.channel.channel import Channel
from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.channel.events import Event
from nzcore.proto.channel.hello import Hello
from nzcore.proto.noise.kernel import Transport
from tools.vectors.seeds import seed_of

Case = dict[str, object]

PROTOCOL = "/nz/vector/1"
CONFIG = ChannelConfig(max_streams=2)
"""Two streams a side, so that the third is one too many."""

seed = partial(seed_of, "channel")


def transport(*, initiator: bool) -> Transport:
    """What a handshake would have left on one side."""
    send, receive = seed("initiator sends"), seed("responder sends")
    if not initiator:
        send, receive = receive, send
    return Transport(CountingCipher(send), CountingCipher(receive), seed("handshake hash"), seed("exporter"), None)


def machine(*, initiator: bool, config: ChannelConfig | None = None, now: float = 0.0) -> Channel:
    """One side of the channel of the vectors."""
    return Channel(
        transport(initiator=initiator),
        initiator=initiator,
        agree=lambda: seed("static-static DH"),
        hello=Hello(time=1_800_000_000, features=("vector",), dk=seed("dk") if initiator else b""),
        now=Instant(now),
        config=config,
    )


def readable(event: tuple[object, ...]) -> list[object]:
    """An event as JSON: its kind's name, bytes as hexadecimal text, a HELLO as its three values."""
    assert isinstance(event[0], Event)
    found: list[object] = [event[0].name]
    for value in event[1:]:
        if isinstance(value, bytes):
            found.append(value.hex())
        elif isinstance(value, Hello):
            found += [value.time, list(value.features), value.dk.hex()]
        else:
            found.append(value)
    return found
