"""Reasons of `nzcore.net`: dialling, listening, and keeping one channel a peer. Numbers from 128 stand in CLOSE."""

from nzcore.base.reasons import Reason

REASONS = {
    "unreachable": Reason("nothing answers at this address", "check the address, and that the other node runs"),
    "no-address": Reason("no address of this peer is known", "add its card again, with addresses"),
    "no-trust": Reason("this node does not let the peer connect", "add it again with `nzcore peer add`"),
    "too-slow": Reason("the other side did not answer in time", "check the network between both nodes"),
    "cut": Reason(
        "the other side closed the connection without a word",
        "it may not know this node, or be another node: compare cards; `nzcore doctor PEER` goes step by step",
    ),
    "cannot-listen": Reason(
        "the node cannot listen on this address", "choose another with --listen, or stop what uses the port"
    ),
    "too-many-half-open": Reason("too many connections have not proved anything yet", "wait a moment"),
    "too-fast": Reason("one network opens connections too fast", "wait a moment"),
    "not-connected": Reason("there is no channel to this peer", "connect with `nzcore peer connect`"),
    "kept-closed": Reason(
        "the owner of this node keeps the channel closed", "`nzcore peer connect PEER` opens it again"
    ),
    "protocol-taken": Reason("this protocol is served already", "two modules can't serve one protocol: disable one"),
    "not-running": Reason("the network service is not running", "`nzcore service start net` starts it"),
    "reply-too-long": Reason("a reply longer than was asked for", "the other side is faulty or hostile"),
    "clone": Reason(
        "two copies of one node are running",
        "stop one of them; a copied home is the same node: make another with `nzcore init`",
        wire=128,
    ),
    "duplicate": Reason("there is a better channel to this node already", "nothing to do", wire=129),
    "revoked": Reason("the other node no longer trusts this one", "ask its owner to add this node again", wire=130),
    "rotated": Reason("the other node changed its keys", "nothing to do: it connects again", wire=131),
}
