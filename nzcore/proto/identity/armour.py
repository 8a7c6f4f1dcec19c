"""Texts that survive people: prefix, base32 and a checksum (NZ-IDENTITY-01 §3).

`<prefix>:` then unpadded upper-case base32 (RFC 4648) of `data ‖ SHA-256(data)[:4]`. White space anywhere and the case
of letters don't matter, so that a text may be wrapped by a mail program or scanned from a QR code in alphanumeric mode.
The checksum finds accidents, not attackers: what must be authentic is signed inside.
"""

from base64 import b32decode, b32encode

from nzcore.base.errors import PeerError
from nzcore.crypto.hashing import sha256

CHECK_BYTES = 4
LINE = 64  # symbols a line of a wrapped text: fits any terminal and any quoted mail
_SPACE_ALLOWANCE = 2  # a text may be this many times longer than its symbols, for white space


def encode(prefix: str, data: bytes) -> str:
    """One line: prefix in lower case, the rest in upper case."""
    return f"{prefix}:{b32encode(data + _check(data)).decode().rstrip('=')}"


def encode_lines(prefix: str, data: bytes) -> str:
    """The same text in lines of 64 characters, each ended by a newline: for files."""
    text = encode(prefix, data)
    return "".join(text[i : i + LINE] + "\n" for i in range(0, len(text), LINE))


def decode(prefix: str, text: str, *, max_bytes: int) -> bytes:
    """The data in `text`, at most `max_bytes`.

    *Raises* PeerError `identity.bad-text` for another prefix, a foreign character, a wrong checksum or too much.
    """
    symbols = (max_bytes + CHECK_BYTES) * 8 // 5 + 1
    if len(text) > (len(prefix) + 1 + symbols) * _SPACE_ALLOWANCE:
        raise PeerError("identity.bad-text", problem="too long")
    head, colon, tail = "".join(text.split()).partition(":")
    if not colon or not head.isascii() or head.lower() != prefix:
        raise PeerError("identity.bad-text", problem="prefix", expected=prefix)
    if not tail.isascii() or len(tail) > symbols:
        raise PeerError("identity.bad-text", problem="symbols")
    tail = tail.upper()
    try:
        raw = b32decode(tail + "=" * (-len(tail) % 8))
    except ValueError:
        raise PeerError("identity.bad-text", problem="symbols") from None
    data = raw[:-CHECK_BYTES]
    if len(raw) < CHECK_BYTES or raw[-CHECK_BYTES:] != _check(data):
        raise PeerError("identity.bad-text", problem="checksum")
    if b32encode(raw).decode().rstrip("=") != tail:  # several last symbols mean the same bytes: one of them is right
        raise PeerError("identity.bad-text", problem="symbols")
    return data


def _check(data: bytes) -> bytes:
    return sha256(data)[:CHECK_BYTES]
