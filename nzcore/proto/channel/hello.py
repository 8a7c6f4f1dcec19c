"""HELLO: the first frame each way (spec/channel.md §4).

Unknown keys are ignored, so later versions may say more; `witness`, which will tell a restored disk from a current one,
is such a key in this version.
"""

from msgspec import Struct

from nzcore.base.errors import PeerError, UsageError
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.proto.channel.config import HELLO_BYTES
from nzcore.proto.channel.frames import HEADER, HEADER_BYTES, HELLO
from nzcore.proto.identity.address import ADDRESS_BYTES
from nzcore.proto.identity.card import MAX_ADDRESSES


class Hello(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node says of itself when a channel opens."""

    time: int
    """Seconds since 1970 by the sender's clock: a hint on wrong clocks, nothing is decided by it."""

    features: tuple[str, ...] = ()
    """What the sender can do beyond the first version; what is not known is ignored."""

    dk: bytes = b""
    """Discovery key, 32 bytes, by which the receiver recognises the sender on a local network; empty: not given."""

    addresses: tuple[str, ...] = ()
    """Where the sender can be dialled, the best first; at most eight texts, those not understood are ignored."""

    def __post_init__(self) -> None:
        if len(self.addresses) > MAX_ADDRESSES or any(len(one) > ADDRESS_BYTES for one in self.addresses):
            raise ValueError("too many addresses, or one too long")
        if not 0 <= self.time < 1 << 63 or len(self.dk) not in (0, 32):
            raise ValueError("time or discovery key out of range")


def encode_hello(hello: Hello) -> bytes:
    """Payload of a HELLO frame: a MessagePack map. *Raises* UsageError `channel.hello-too-large`."""
    payload = pack(builtins(hello))
    if len(payload) > HELLO_BYTES:
        raise UsageError("channel.hello-too-large", size=len(payload))
    return payload


def read_hello(plaintext: bytes) -> tuple[Hello, int]:
    """The HELLO that a channel's first plaintext begins with, and where the next frame does.

    *Raises* PeerError `channel.bad-hello`.
    """
    if len(plaintext) < HEADER_BYTES:
        raise PeerError("channel.bad-hello")
    kind, stream, size = HEADER.unpack_from(plaintext)
    stop = HEADER_BYTES + int(size)
    if kind != HELLO or stream or stop > len(plaintext):
        raise PeerError("channel.bad-hello")
    return decode_hello(plaintext[HEADER_BYTES:stop]), stop


def decode_hello(payload: bytes) -> Hello:
    """*Raises* PeerError `channel.bad-hello`."""
    try:
        return convert(unpack(payload, max_bytes=HELLO_BYTES), Hello)
    except PeerError as error:
        raise PeerError("channel.bad-hello", f"the other side's HELLO cannot be read: {error.message}") from None
