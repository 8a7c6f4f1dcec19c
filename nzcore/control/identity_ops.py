"""Operations on the node's identity and keys (spec/control.md §5.3); what spends a secret or the vault is local."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from nzcore.control.operation import Args, Nothing, Operation

MAX_TEXT = 8192  # characters; the longest text here is a certificate of 512 bytes in base32
_SECRET = {"writeOnly": True}


class Identity(Struct, frozen=True, kw_only=True):
    """Who the node is, by its current certificate."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    identity: Annotated[str, Meta(description="IdentityId, nzi1…")]
    name: Annotated[str, Meta(description="the name this node suggests to others")]
    epoch: Annotated[int, Meta(description="grows with every change of keys", ge=0)]
    sign_key: Annotated[str, Meta(description="Ed25519 public key, 64 hexadecimal digits")]
    dh_key: Annotated[str, Meta(description="X25519 public key, 64 hexadecimal digits")]


class SignArgs(Args, frozen=True, kw_only=True):
    digest: Annotated[str, Meta(description="SHA-256 of the file, 64 hexadecimal digits", pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(description="bytes in the file", ge=0, le=(1 << 63) - 1)]


class SignedText(Struct, frozen=True, kw_only=True):
    """A detached signature: what is kept beside the file."""

    node: Annotated[str, Meta(description="NodeId of the signer, nzn1…")]
    signature: Annotated[str, Meta(description="text of the signed document (spec/identity.md)")]


class RotateArgs(Args, frozen=True, kw_only=True):
    mnemonic: Annotated[
        str, Meta(description="the 24 words of the identity", min_length=1, max_length=512, extra_json_schema=_SECRET)
    ]

    def __repr__(self) -> str:
        return "RotateArgs(mnemonic=hidden)"


class Request(Struct, frozen=True, kw_only=True):
    """Asks the holder of the mnemonic to certify fresh keys."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    request: Annotated[str, Meta(description="text to take to where the mnemonic is")]


class ApplyArgs(Args, frozen=True, kw_only=True):
    certificate: Annotated[str, Meta(description="text that answers the request", min_length=1, max_length=MAX_TEXT)]


class ExportArgs(Args, frozen=True, kw_only=True):
    passphrase: Annotated[
        str, Meta(description="seals what is exported", min_length=1, max_length=1024, extra_json_schema=_SECRET)
    ]

    def __repr__(self) -> str:
        return "ExportArgs(passphrase=hidden)"


class Export(Struct, frozen=True, kw_only=True):
    """The node's keys, sealed under a passphrase."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    sealed: Annotated[str, Meta(description="text that identity import takes with the same passphrase")]


class PassphraseArgs(Args, frozen=True, kw_only=True):
    current: Annotated[
        str | None, Meta(description="what opens the vault; null under a key file", extra_json_schema=_SECRET)
    ] = None
    new: Annotated[
        str | None, Meta(description="what is to open it; null: a key file beside it", extra_json_schema=_SECRET)
    ]

    def __repr__(self) -> str:
        return "PassphraseArgs(current=hidden, new=hidden)"


class VaultLock(Struct, frozen=True, kw_only=True):
    """What the node's keys are sealed under."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    lock: Literal["passphrase", "key-file"]


class CardArgs(Args, frozen=True, kw_only=True):
    addresses: Annotated[bool, Meta(description="put the node's addresses on the card")] = True


class Card(Struct, frozen=True, kw_only=True):
    """What the node shows to others in public."""

    card: Annotated[str, Meta(description="text beginning with nzc:")]


SHOW = Operation(name="identity.show", summary="Show who this node is.", args=Nothing, result=Identity, offline=True)
SIGN = Operation(
    name="identity.sign",
    summary="Sign a file's digest with the node's key.",
    args=SignArgs,
    result=SignedText,
    risk="change",
    local_only=True,
    offline=True,
)
ROTATE = Operation(
    name="identity.rotate",
    summary="Replace the node's keys, certified by the mnemonic.",
    args=RotateArgs,
    result=Identity,
    risk="danger",
    local_only=True,
    offline=True,
)
REQUEST = Operation(
    name="identity.request",
    summary="Make fresh keys and ask for a certificate elsewhere.",
    args=Nothing,
    result=Request,
    risk="change",
    local_only=True,
    offline=True,
)
APPLY = Operation(
    name="identity.apply",
    summary="Take up the keys that an answered request certifies.",
    args=ApplyArgs,
    result=Identity,
    risk="danger",
    local_only=True,
    offline=True,
)
EXPORT = Operation(
    name="identity.export",
    summary="Give the node's keys, sealed under a passphrase.",
    args=ExportArgs,
    result=Export,
    risk="danger",
    local_only=True,
    offline=True,
)
PASSPHRASE = Operation(
    name="identity.passphrase",
    summary="Seal the node's keys under another passphrase, or a key file.",
    args=PassphraseArgs,
    result=VaultLock,
    risk="danger",
    local_only=True,
    offline=True,
)
CARD = Operation(name="identity.card", summary="Give the node's public card.", args=CardArgs, result=Card, offline=True)

IDENTITY_OPERATIONS = (SHOW, SIGN, ROTATE, REQUEST, APPLY, EXPORT, PASSPHRASE, CARD)
