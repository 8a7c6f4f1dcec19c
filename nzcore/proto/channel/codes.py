"""Numbers of reasons on the wire, in RESET and CLOSE frames (spec/channel.md §8); the catalogue declares them."""

from nzcore.base.reasons import catalogue

UNKNOWN = "channel.unknown-reason"
"""What a number means that this version does not know."""

PROTOCOL_ERROR = "channel.protocol-error"
"""What is said where a reason has no number of its own: details of our refusals help only an attacker."""

SILENT = frozenset({"crypto.not-authentic", "channel.bad-record"})
"""After these nothing is sent: what came was not the other side's, or can't be told from it."""

_WIRE = {code: entry.wire for code, entry in catalogue().items() if entry.wire}
_CODE = {wire: code for code, wire in _WIRE.items()}


def wire_of(code: str) -> int:
    """The number that says `code` to the other side."""
    return _WIRE.get(code, _WIRE[PROTOCOL_ERROR])


def code_of(wire: int) -> str:
    """The code behind a number that the other side sent."""
    return _CODE.get(wire, UNKNOWN)
