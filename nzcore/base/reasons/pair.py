"""Reasons of pairing by phrase (`proto/pairing`, `node/window.py`). Numbers from 77 stand in CLOSE or RESET."""

from nzcore.base.reasons import Reason

REASONS = {
    "window-used": Reason(
        "the pairing window has had its one attempt", "open it again on both nodes: nzcore join NAME", wire=77
    ),
    "denied": Reason(
        "the other person says that the words differ, or went away",
        "if the words did differ, somebody stands between both nodes: pair by ticket instead",
        wire=78,
    ),
    "broken-commitment": Reason(
        "the other side showed another number than it had committed to",
        "somebody may stand between both nodes: pair by ticket instead",
        wire=79,
    ),
    "bad-message": Reason("a message of pairing that may not come now", "compare the versions of both nodes"),
    "bad-argument": Reason("a pairing value out of its range", "see spec/pairing.md"),
    "out-of-turn": Reason("nothing is there to be confirmed now", "wait until the words are shown"),
    "busy": Reason("a pairing window is open already", "finish or stop that one first"),
    "no-window": Reason("no pairing window is open here", "open one: nzcore join --window"),
    "timed-out": Reason(
        "the pairing window closed before both sides had confirmed", "open it again on both nodes: nzcore join NAME"
    ),
    "not-found": Reason(
        "no node of this name shows an open pairing window",
        "let the other person open theirs, and compare the name; or give --address tcp://HOST:PORT",
    ),
    "unreadable": Reason(
        "the text is neither a ticket nor a card", "a ticket begins with nz:, a card with nzc:; copy it to its end"
    ),
}
