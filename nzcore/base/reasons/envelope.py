"""Reasons of `nzcore.proto.envelope`: files sealed for one node."""

from nzcore.base.reasons import Reason

REASONS = {
    "not-an-envelope": Reason("this is not a sealed envelope", "check the file: nzcore seal makes envelopes"),
    "unknown-version": Reason("sealed in a version that this node does not know", "update nzcore on this machine"),
    "other-recipient": Reason(
        "sealed for another node", "open it where that node lives; compare ids with nzcore identity show"
    ),
    "other-keys": Reason(
        "sealed for keys that this node does not have; keys that were rotated away are not kept",
        "ask the sender to seal it again for your present card: nzcore identity card",
    ),
    "damaged": Reason("the envelope was changed or damaged", "get it again from where it came"),
    "bad-record": Reason("the envelope does not follow its specification", "ask the sender to seal it again"),
    "truncated": Reason("the envelope ends too early", "get it again, whole, from where it came"),
    "trailing": Reason("something follows the end of the envelope", "get it again from where it came"),
    "bad-seal": Reason("the sender's signature does not hold", "trust nothing of it; ask the sender yourself"),
    "other-content": Reason(
        "the sender signed another envelope than this one", "trust nothing of it; ask the sender yourself"
    ),
    "sender-rotated": Reason(
        "sealed with keys that the sender has replaced since", "ask the sender to seal it again with its present keys"
    ),
    "sender-forked": Reason(
        "two different certificates of the sender's present keys exist",
        "ask the sender to rotate its keys with its mnemonic and to seal it again",
    ),
    "sender-retired": Reason("the sender is retired for ever", "trust nothing of it; ask its owner yourself"),
    "recipient-retired": Reason("the recipient is retired for ever", "ask its owner for the card of another node"),
    "weak-recipient": Reason(
        "the recipient's key would make the secret predictable", "the card is faulty or hostile; ask its owner yourself"
    ),
    "out-of-turn": Reason(
        "an envelope used out of turn", "start, chunk, finish; an envelope that was refused or finished is done with"
    ),
    "bad-argument": Reason("a value of an envelope out of its range", "see spec/envelope.md for the ranges"),
}
