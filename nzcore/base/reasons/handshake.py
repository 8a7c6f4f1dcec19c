"""Reasons of `nzcore.proto.handshake`. Numbers from 64 to 127 are refusals, said inside the encrypted channel."""

from nzcore.base.reasons import Reason

REASONS = {
    # Refusals of a node that has proven who it is: they stand in CLOSE.
    "older-epoch": Reason(
        "the node uses keys that newer ones have replaced",
        "if this node was restored or copied, rotate its keys with the mnemonic; the other copy must stop",
        wire=64,
    ),
    "forked": Reason(
        "two different certificates of one epoch exist for this node",
        "rotate the node's keys with the mnemonic: only a higher epoch heals this",
        wire=65,
    ),
    "retired": Reason(
        "the node or its identity is retired for ever", "make a new node: nzcore init --index N", wire=66
    ),
    "own-node": Reason(
        "a node met itself, or a copy of itself",
        "check the address; if it is another machine, two copies of one node run: stop one",
        wire=67,
    ),
    "not-admitted": Reason(
        "the other node does not let this node connect",
        "ask its owner to add this node's card, or for a ticket: nzcore identity card",
        wire=68,
    ),
    # Silence: the connection is closed without a byte.
    "bad-preface": Reason(
        "the connection does not begin as this protocol does", "something else dials this port, or another version"
    ),
    "bad-length": Reason(
        "a handshake message of an impossible size", "the other side speaks another version, or is hostile"
    ),
    "early": Reason(
        "bytes that came before it was their turn", "the other side is faulty, or replays what it has recorded"
    ),
    "not-offered": Reason("pairing was asked for while no window is open", "open the pairing window on both nodes"),
    "unknown-ticket": Reason(
        "a ticket that this node did not give or no longer knows", "ask for a new ticket: they are short-lived"
    ),
    "silence": Reason(
        "a first message that was not made for this node",
        "check that the dialler has the right NodeId, ticket and network secret; scanners cause this too",
    ),
    "bad-payload": Reason("the other side did not introduce itself as it must", "compare the versions of both nodes"),
    "other-key": Reason(
        "the certificate is not about the key that was used", "somebody shows a certificate that is not theirs"
    ),
    "other-node": Reason(
        "another node answered than the one that was dialled",
        "the address now belongs to another node: ask the owner for a new card",
    ),
    "bad-evidence": Reason(
        "a refusal came with a certificate that does not support it", "the other side is faulty; look at its log"
    ),
    # Our caller's errors.
    "bad-setup": Reason("values that do not fit the kind of handshake", "see the table in spec/handshake.md §3"),
    "over": Reason("a handshake that has already ended", "dial again; use the channel if it succeeded"),
}
