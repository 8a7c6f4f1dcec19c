"""Reasons of `nzcore.control`: calls that the gate does not admit."""

from nzcore.base.reasons import Reason

REASONS = {
    "unknown-operation": Reason(
        "this node has no such operation", "nzcore schema lists the operations; the node may be older than the command"
    ),
    "bad-arguments": Reason("the arguments do not fit the operation", "nzcore schema OP shows what it takes"),
    "refused": Reason(
        "not allowed to do this", "the reasons say which right is missing; the owner at the node's machine may do it"
    ),
}
