"""Reasons of `nzcore.base`: texts that name nodes and identities."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-text": Reason(
        "not a valid node or identity text", "copy the whole text again, from nzn1… or nzi1… to its end"
    ),
    "bad-id-size": Reason("an id of the wrong size", "ids are exactly 32 bytes; see spec/identity.md"),
}
