"""Handlers of the operations on sealed envelopes."""

from nzcore.base.ids import NodeId
from nzcore.base.instant import WallTime
from nzcore.control import envelope_ops
from nzcore.control.envelope_ops import (
    EnvelopeKey,
    EnvelopeOpenArgs,
    EnvelopeSender,
    EnvelopeSenderArgs,
    EnvelopeSignArgs,
    Seal,
)
from nzcore.ipc.connection import SendItem
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.proto.envelope.seal import Sender, Transcript, check_sender
from nzcore.proto.identity.certificate import Certificate


def sign(node: Node, args: EnvelopeSignArgs, send: SendItem) -> Seal:
    handshake, digest = bytes.fromhex(args.handshake), bytes.fromhex(args.digest)
    transcript = Transcript(NodeId.parse(args.recipient), handshake, digest, args.size)
    return Seal(seal=node.identity.sign_envelope(transcript).hex())


def open_(node: Node, args: EnvelopeOpenArgs, send: SendItem) -> EnvelopeKey:
    opened = node.identity.open_envelope(bytes.fromhex(args.head))
    return EnvelopeKey(recipient=opened.recipient.text, handshake=opened.handshake.hex(), key=opened.key.hex())


def sender(node: Node, args: EnvelopeSenderArgs, send: SendItem) -> EnvelopeSender:
    """While the node is down its peers can't be asked: then only its own certificate is compared."""
    own = node.identity.certificate

    def remembered(asked: NodeId) -> Certificate | None:
        return own if asked == own.node else node.peers.certificate(asked)

    certificate = check_sender(Sender(Certificate.parse_text(args.certificate), WallTime(0)), remembered).certificate
    peer = node.peers.get(certificate.node)
    known = True if peer or certificate.node == own.node else False if node.is_ready else None
    return EnvelopeSender(
        node=certificate.node.text,
        name=peer.petname if peer else certificate.name,
        identity=certificate.root.text,
        known=known,
    )


HANDLERS: dict[str, Handler] = {
    envelope_ops.SIGN.name: sign,
    envelope_ops.OPEN.name: open_,
    envelope_ops.SENDER.name: sender,
}
