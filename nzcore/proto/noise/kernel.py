"""The three handshakes that a node makes, and the only door to this package for the rest of nzcore (spec/noise.md §2).

A test holds all other packages to this module: patterns are chosen here and nowhere else, so no peer and no setting
can lead a node into a weaker one.
"""

from nzcore.crypto.keys import AgreementPublic, AgreementSecret
from nzcore.proto.noise.handshake import MESSAGE_BYTES, Handshake, OneWayTransport, Transport
from nzcore.proto.noise.patterns import TAG_BYTES, parse

__all__ = [
    "CHANNEL_EXPORT",
    "CHANNEL_MESSAGES",
    "ENVELOPE_BYTES",
    "MESSAGE_BYTES",
    "REKEY_MESSAGES",
    "TAG_BYTES",
    "Handshake",
    "OneWayTransport",
    "Transport",
    "channel_handshake",
    "envelope_recipient",
    "envelope_sender",
    "rekey_handshake",
]

CHANNEL_EXPORT = "NZ-CHANNEL-01 export"
"""Label under which a channel's handshake and each rekey export the secret that the next rekey builds on."""

_CHANNEL = parse("XXhfs+psk0")
_REKEY = parse("NNhfs+psk0")
_ENVELOPE = parse("N")

CHANNEL_MESSAGES = _CHANNEL.overheads
"""Bytes of messages 1 to 3 of a channel's handshake beyond their payloads: 1,248, 1,200 and 64."""

REKEY_MESSAGES = _REKEY.overheads
"""Bytes of both messages of a rekey beyond their payloads: 1,248 and 1,152."""

ENVELOPE_BYTES = _ENVELOPE.overheads[0]
"""Bytes of an envelope's first message beyond its payload: 48."""


def channel_handshake(*, initiator: bool, prologue: bytes, static: AgreementSecret, psk: bytes) -> Handshake:
    """`XXhfs+psk0`: opens a channel; both static keys travel encrypted.

    `psk` has 32 bytes; `static` stays the caller's, who wipes it.
    *Raises* UsageError `noise.bad-setup`.
    """
    return Handshake(_CHANNEL, initiator=initiator, prologue=prologue, static=static, psks=(psk,))


def rekey_handshake(*, initiator: bool, prologue: bytes, psk: bytes) -> Handshake:
    """`NNhfs+psk0`: renews the keys of an open channel, whose secrets `psk` (32 bytes) carries on.

    *Raises* UsageError `noise.bad-setup`.
    """
    return Handshake(_REKEY, initiator=initiator, prologue=prologue, psks=(psk,))


def envelope_sender(recipient: AgreementPublic, *, prologue: bytes) -> Handshake:
    """`N`, the sealing side: one message to `recipient`, then records through `split_one_way`."""
    return Handshake(_ENVELOPE, initiator=True, prologue=prologue, remote_static=recipient)


def envelope_recipient(static: AgreementSecret, *, prologue: bytes) -> Handshake:
    """`N`, the opening side. `static` stays the caller's."""
    return Handshake(_ENVELOPE, initiator=False, prologue=prologue, static=static)
