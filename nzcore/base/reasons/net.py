"""Reasons of `nzcore.net`: dialling and listening."""

from nzcore.base.reasons import Reason

REASONS = {
    "unreachable": Reason("nothing answers at this address", "check the address, and that the other node runs"),
}
