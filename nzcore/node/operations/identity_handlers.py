"""Handlers of the operations on the node's identity."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from nzcore.control import identity_ops
from nzcore.control.identity_ops import (
    ApplyArgs,
    Card,
    CardArgs,
    Export,
    ExportArgs,
    Identity,
    PassphraseArgs,
    Request,
    RotateArgs,
    SignArgs,
    SignedText,
    VaultLock,
)
from nzcore.control.operation import Nothing
from nzcore.ipc.connection import SendItem
from nzcore.node.export import seal_export
from nzcore.node.network import advertised
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.card import MAX_ADDRESSES
from nzcore.proto.identity.card import Card as CardMachine
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.mnemonic import Mnemonic


def show(node: Node, args: Nothing, send: SendItem) -> Identity:
    certificate = node.identity.certificate
    return Identity(
        node=certificate.node.text,
        identity=certificate.root.text,
        name=certificate.name,
        epoch=certificate.epoch,
        sign_key=certificate.sign_key.hex(),
        dh_key=certificate.dh_key.hex(),
    )


def sign(node: Node, args: SignArgs, send: SendItem) -> SignedText:
    signature = node.identity.sign_document(bytes.fromhex(args.digest), args.size)
    return SignedText(node=signature.node.text, signature=signature.text)


def rotate(node: Node, args: RotateArgs, send: SendItem) -> Identity:
    with Mnemonic.parse(args.mnemonic) as mnemonic, _telling(node):
        node.identity.rotate(mnemonic)
    return show(node, Nothing(), send)


def request(node: Node, args: Nothing, send: SendItem) -> Request:
    asked = node.identity.request()
    return Request(node=asked.node.text, request=asked.text)


def apply(node: Node, args: ApplyArgs, send: SendItem) -> Identity:
    answer = Certificate.parse_text(args.certificate)
    with _telling(node):
        node.identity.apply(answer)
    return show(node, Nothing(), send)


async def export(node: Node, args: ExportArgs, send: SendItem) -> Export:
    """In a thread: the passphrase's cost, 0.3 s on purpose, must not hold up the node."""
    contents = node.identity.take_out()
    try:
        sealed = await trio.to_thread.run_sync(seal_export, contents, args.passphrase)
    finally:
        contents.wipe()
    return Export(node=node.identity.certificate.node.text, sealed=sealed)


async def passphrase(node: Node, args: PassphraseArgs, send: SendItem) -> VaultLock:
    """In a thread what costs 0.3 s a passphrase; here, where no rotation can come between, what changes the vault."""
    lock = await trio.to_thread.run_sync(node.identity.next_lock, args.current, args.new)
    node.identity.relock(lock)
    node.bus.emit("identity.relocked", lock.kind)
    return VaultLock(node=node.identity.certificate.node.text, lock=lock.kind)


def card(node: Node, args: CardArgs, send: SendItem) -> Card:
    known = advertised(map(Address.parse, node.listening())) if args.addresses else []
    return Card(card=CardMachine.make(node.identity.certificate, tuple(known[:MAX_ADDRESSES])).text)


@contextmanager
def _telling(node: Node) -> Iterator[None]:
    """Where other keys count afterwards, also if only writing the public copy failed: no channel goes on under the old
    ones, which may be in other hands and are wiped here."""
    before = node.identity.certificate
    try:
        yield
    finally:
        if (now := node.identity.certificate) != before:
            node.bus.emit("identity.rotated", now.epoch)
            node.channels.links.close_all("net.rotated")


HANDLERS: dict[str, Handler] = {
    identity_ops.SHOW.name: show,
    identity_ops.SIGN.name: sign,
    identity_ops.ROTATE.name: rotate,
    identity_ops.REQUEST.name: request,
    identity_ops.APPLY.name: apply,
    identity_ops.EXPORT.name: export,
    identity_ops.PASSPHRASE.name: passphrase,
    identity_ops.CARD.name: card,
}
