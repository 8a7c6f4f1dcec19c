"""What both sides must know before the first message: preface, prologue and psk (NZ-HANDSHAKE-01 §3, §4).

Knows bytes and derivations: no machine, no certificates. All three doors of a node differ in nothing but these values.
"""

from enum import IntEnum
from typing import NamedTuple

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.crypto.hashing import hkdf, sha256

MAGIC = b"nzc1"
PREFACE_BYTES = 16
TID_BYTES = 8
TICKET_SECRET_BYTES = 16
SECRET_BYTES = 32  # network secret N and ticket psk T
NONE = bytes(SECRET_BYTES)
NO_TICKET = bytes(TID_BYTES)

PROLOGUE_LABEL = b"NZ-HANDSHAKE-01\0"
PSK_LABEL = b"NZ-HANDSHAKE-01 psk"
TICKET_ID_LABEL = b"NZ-TICKET-01 id"
TICKET_PSK_LABEL = b"NZ-TICKET-01 psk"
WINDOW_LABEL = b"NZ-DISCOVERY-01 pair"


class Mode(IntEnum):
    """By which door the initiator comes in."""

    KNOWN = 0
    """It knows the responder's NodeId: a peer, or whoever holds its card."""
    TICKET = 1
    """It holds a ticket of the responder's."""
    WINDOW = 2
    """Both have their pairing window open on one local network."""


class Preface(NamedTuple):
    """The first 16 bytes of a connection, in clear."""

    mode: Mode
    tid: bytes
    """Which ticket, 8 bytes; zeros unless the mode is TICKET."""

    def encode(self) -> bytes:
        """`nzc1` ‖ mode ‖ 000000 ‖ tid."""
        return MAGIC + bytes((self.mode, 0, 0, 0)) + self.tid


def decode_preface(data: bytes) -> Preface:
    """The preface in 16 bytes. *Raises* PeerError `handshake.bad-preface` for any other bytes than `encode` makes."""
    mode, tid = data[4:5], data[8:]
    if len(data) != PREFACE_BYTES or data[:4] != MAGIC or mode > b"\2" or data[5:8] != b"\0\0\0":
        raise PeerError("handshake.bad-preface")
    preface = Preface(Mode(mode[0]), tid)
    if preface.mode is not Mode.TICKET and tid != NO_TICKET:
        raise PeerError("handshake.bad-preface")
    return preface


def ticket_id(secret: bytes) -> bytes:
    """The 8 bytes that name a ticket in a preface: they tell nothing of its secret."""
    return hkdf(_ticket_secret(secret), info=TICKET_ID_LABEL, length=TID_BYTES)


def ticket_psk(secret: bytes) -> bytes:
    """T: what a ticket's 16 secret bytes add to the psk."""
    return hkdf(_ticket_secret(secret), info=TICKET_PSK_LABEL, length=SECRET_BYTES)


def window_key(instance: bytes) -> bytes:
    """X of a pairing window: both sides know the mDNS instance that the responder announces."""
    return sha256(WINDOW_LABEL, b"\0", instance)


def prologue(preface: bytes) -> bytes:
    return PROLOGUE_LABEL + preface


def derive_psk(
    preface: Preface,
    *,
    responder: NodeId | None = None,
    instance: bytes | None = None,
    ticket_secret: bytes | None = None,
    network_secret: bytes | None = None,
) -> bytes:
    """The 32 bytes that message 1 is keyed with: whoever lacks one of the values can't make or read it.

    *Raises* UsageError `handshake.bad-setup` where the values don't fit the mode: `responder` for KNOWN and TICKET,
    `instance` for WINDOW only, `ticket_secret` for TICKET only; `network_secret` has 32 bytes and is not all zeros.
    """
    mode = preface.mode
    if (instance is not None) != (mode is Mode.WINDOW) or (ticket_secret is not None) != (mode is Mode.TICKET):
        raise UsageError("handshake.bad-setup", mode=mode.name)
    if network_secret is not None and (len(network_secret) != SECRET_BYTES or network_secret == NONE):
        raise UsageError("handshake.bad-setup", given="network_secret")
    key = responder if instance is None else window_key(instance)
    if key is None:
        raise UsageError("handshake.bad-setup", mode=mode.name, missing="responder")
    ticket = NONE if ticket_secret is None else ticket_psk(ticket_secret)
    return hkdf(key + (network_secret or NONE) + ticket, salt=PSK_LABEL, info=preface.encode(), length=SECRET_BYTES)


def _ticket_secret(secret: bytes) -> bytes:
    if len(secret) != TICKET_SECRET_BYTES:
        raise UsageError("handshake.bad-setup", given="ticket_secret", size=len(secret))
    return secret
