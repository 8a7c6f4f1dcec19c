"""Operations that lend the node's keys to whoever seals and unseals files (spec/control.md §5.7).

Content never passes through the node: it signs a transcript, and gives out the key of one envelope.
"""

from typing import Annotated

from msgspec import Meta, Struct

from nzcore.control.identity_ops import MAX_TEXT
from nzcore.control.operation import Args, Operation

_HASH = "64 hexadecimal digits"
_NODE = Annotated[str, Meta(description="NodeId of the recipient, nzn1…", min_length=1, max_length=128)]
_HEX32 = "^[0-9a-f]{64}$"


class EnvelopeSignArgs(Args, frozen=True, kw_only=True):
    recipient: _NODE
    handshake: Annotated[str, Meta(description=f"hash of the envelope's handshake, {_HASH}", pattern=_HEX32)]
    digest: Annotated[str, Meta(description=f"SHA-256 of the content, {_HASH}", pattern=_HEX32)]
    size: Annotated[int, Meta(description="bytes of content", ge=0, le=(1 << 63) - 1)]


class Seal(Struct, frozen=True, kw_only=True):
    """What ends an envelope: the node's signature of it, with the node's certificate."""

    seal: Annotated[str, Meta(description="hexadecimal")]


class EnvelopeOpenArgs(Args, frozen=True, kw_only=True):
    head: Annotated[str, Meta(description="first 72 bytes of an envelope, hexadecimal", pattern="^[0-9a-f]{144}$")]


class EnvelopeKey(Struct, frozen=True, kw_only=True):
    """What opens one envelope and nothing else."""

    recipient: _NODE
    handshake: Annotated[str, Meta(description=f"hash of the envelope's handshake, {_HASH}")]
    key: Annotated[str, Meta(description=f"secret: key of the envelope's records, {_HASH}")]

    def __repr__(self) -> str:
        return "EnvelopeKey(hidden)"


class EnvelopeSenderArgs(Args, frozen=True, kw_only=True):
    certificate: Annotated[str, Meta(description="nzcert:… text", min_length=1, max_length=MAX_TEXT)]


class EnvelopeSender(Struct, frozen=True, kw_only=True):
    """Whom a certificate is of, as this node knows it."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    name: Annotated[str, Meta(description="petname of a known node; else what it calls itself")]
    identity: Annotated[str, Meta(description="IdentityId, nzi1…")]
    known: Annotated[bool | None, Meta(description="whether it is a peer or this node; null while the node is down")]


SIGN = Operation(
    name="envelope.sign",
    summary="Sign an envelope that is being sealed.",
    args=EnvelopeSignArgs,
    result=Seal,
    risk="change",
    local_only=True,
    offline=True,
)
OPEN = Operation(
    name="envelope.open",
    summary="Give the key of one envelope that is for this node.",
    args=EnvelopeOpenArgs,
    result=EnvelopeKey,
    risk="danger",
    local_only=True,
    offline=True,
)
SENDER = Operation(
    name="envelope.sender",
    summary="Judge the certificate of whoever sealed an envelope.",
    args=EnvelopeSenderArgs,
    result=EnvelopeSender,
    local_only=True,
    offline=True,
)

ENVELOPE_OPERATIONS = (SIGN, OPEN, SENDER)
