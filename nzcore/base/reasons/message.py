"""Reasons of messages between peers."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-text": Reason("a message has 1 to 16,384 bytes", "send longer texts as a file with `nzcore send`"),
    "bad-request": Reason("not a message as the specification describes it", "compare the versions of both nodes"),
    "too-fast": Reason("messages come faster than the receiver takes them", "wait some seconds"),
    "not-kept": Reason("the receiver could not store the message", "ask its owner to look at disk and log"),
    "refused": Reason("the other node refused the message", "ask its owner"),
}
