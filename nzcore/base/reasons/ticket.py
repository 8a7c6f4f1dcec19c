"""Reasons of tickets: their text (`nzcore.proto.identity.ticket`) and what became of them (`nzcore.node.pairing`).

Numbers 72 to 76 are refusals, said inside the encrypted channel.
"""

from nzcore.base.reasons import Reason

REASONS = {
    "expired": Reason("the ticket's time is over", "ask for a new one: nzcore invite", wire=72),
    "used": Reason("the ticket was used already, by somebody else", "ask for a new one: nzcore invite", wire=73),
    "cancelled": Reason("the ticket was taken back by who gave it", "ask for a new one: nzcore invite", wire=74),
    "void": Reason(
        "the ticket was given before its node was restored or moved", "ask for a new one: nzcore invite", wire=75
    ),
    "no-room": Reason(
        "the other node knows as many peers as it may", "its owner can remove some: nzcore peer remove", wire=76
    ),
    "bad-ticket": Reason("not a valid ticket", "scan or copy the ticket again, from nz: to its very last character"),
    "bad-argument": Reason("values that no ticket can hold", "see spec/ticket.md §2 for the limits"),
    "own-ticket": Reason("this ticket is the node's own", "give it to somebody else: they join with it"),
    "unknown": Reason("no ticket is called that", "`nzcore invite --list` shows those that are open"),
    "too-many": Reason("as many tickets are open as may be", "take some back: nzcore invite --cancel TID"),
    "unanswered": Reason(
        "the other node answers, but not to this ticket",
        "it may be damaged, forgotten since it ran out, or of another network; ask for a new one",
    ),
}
