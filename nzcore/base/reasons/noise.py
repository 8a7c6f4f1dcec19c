"""Reasons of `nzcore.proto.noise`: handshakes and sealed envelopes."""

from nzcore.base.reasons import Reason

REASONS = {
    "message-too-long": Reason(
        "a handshake message of more than 65,535 bytes", "the other side does not speak this protocol, or is hostile"
    ),
    "truncated": Reason(
        "a handshake message that ends too early", "the connection was cut or the other side speaks another protocol"
    ),
    "not-authentic": Reason(
        "a handshake message that does not open",
        "check that both sides mean the same node, ticket and network secret; otherwise it was changed on its way",
    ),
    "weak-key": Reason(
        "a handshake key that would make the shared secret predictable",
        "the other side is faulty or hostile; no correct implementation sends such a key",
    ),
    "reflected": Reason(
        "our own handshake message came back to us", "something on the way returns what it gets; check the address"
    ),
    "unknown-pattern": Reason("not a Noise pattern that is known here", "see the table in spec/noise.md §3"),
    "bad-setup": Reason(
        "keys or secrets that do not fit the handshake pattern", "give exactly the keys that spec/noise.md §4 names"
    ),
    "not-our-turn": Reason("a handshake message out of turn", "write and read in turn; the initiator writes first"),
    "not-finished": Reason("a handshake that has messages left", "exchange the remaining messages before splitting"),
    "consumed": Reason("a handshake that was already split", "use the transport that the split returned"),
    "wrong-split": Reason(
        "a split of the wrong kind", "split_one_way is for N, K and X, split for patterns of several messages"
    ),
    "payload-too-long": Reason(
        "a payload that does not fit a handshake message", "send it afterwards, over the transport"
    ),
}
