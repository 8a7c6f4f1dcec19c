"""Reasons of `nzcore.codec`: bytes that are not the value they should be."""

from nzcore.base.reasons import Reason

_BOTH = "the sender's software is wrong or the bytes were damaged on the way; compare the versions of both sides"

REASONS = {
    "too-large": Reason(
        "larger than this kind of object may be", "check the limits in the specification of the object"
    ),
    "truncated": Reason("the bytes end before the value does", _BOTH),
    "trailing": Reason("bytes follow the end of the value", _BOTH),
    "not-canonical": Reason(
        "not the one deterministic encoding of the value",
        "encode with the shortest forms and with sorted, distinct keys; see spec/crypto.md §3",
    ),
    "forbidden-type": Reason(
        "a kind of value that this encoding does not allow",
        "signed objects hold unsigned integers, bytes, text, booleans, arrays and maps only; see spec/crypto.md §3",
    ),
    "bad-number": Reason("a number outside the range 0 to 2^63 - 1", "see spec/crypto.md §3"),
    "bad-key": Reason(
        "a map key that is not allowed or stands twice",
        "keys are the integers 0 to 23 in signed objects and distinct texts in messages",
    ),
    "bad-text": Reason("text that is not UTF-8 in normalization form C", "normalize the text to NFC before encoding"),
    "too-deep": Reason("arrays and maps nested more than 8 deep", "flatten the value"),
    "bad-sign1": Reason("not a COSE_Sign1 object of the one form that is used here", "see spec/crypto.md §4"),
    "bad-message": Reason("not one well-formed MessagePack value", _BOTH),
    "wrong-type": Reason(
        "a value of the wrong shape", "compare the arguments with the operation's description, which names their types"
    ),
    "unencodable": Reason(
        "a value that has no encoding here",
        "a bug in the caller: pass only the types that the encoder's docstring names",
    ),
}
