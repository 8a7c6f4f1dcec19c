"""NZ-IPC-01 on the wire: bytes in, events out, and back (spec/control.md §6).

MessagePack-RPC, so that any MessagePack library makes a client. Knows no socket, no clock, no operation; it only
holds each side to the messages that are that side's to send. Imported by the command line: nothing slow here.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from nzcore.base import limits
from nzcore.base.errors import NzError, PeerError, UsageError
from nzcore.codec import frames

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2  # as MessagePack-RPC numbers them
ITEM, CANCEL, CLOSE = "item", "cancel", "close"

MAX_ID = (1 << 32) - 1  # MessagePack-RPC: msgid is 32 bits
MAX_OPERATION = 64  # characters of an operation's name
MAX_DEADLINE_S = 86_400.0  # a day: what waits longer is a stream and needs no deadline
MAX_CODE = 64  # characters of a refusal's code
MAX_SENTENCE = 2048  # characters of a message or hint that are kept

FAILED, USAGE, REFUSED, TIMEOUT = "failed", "usage", "refused", "timeout"
KINDS = frozenset((FAILED, USAGE, REFUSED, TIMEOUT))
_KIND_OF_CODE = {
    "control.refused": REFUSED,
    "control.bad-arguments": USAGE,
    "control.unknown-operation": USAGE,
    "ipc.deadline": TIMEOUT,
    "ipc.not-owner": REFUSED,
    # What another node answered, where only another node can have said it.
    "channel.out-of-scope": REFUSED,
    "files.cannot-write": REFUSED,
    "files.disk-full": REFUSED,
    "files.over-quota": REFUSED,
    "files.refused": REFUSED,
    "files.stopping": REFUSED,
    "message.not-kept": REFUSED,
    "message.refused": REFUSED,
    "message.too-fast": REFUSED,
}


class Failure(NamedTuple):
    """An error as it travels: a code that `nzcore explain` knows, words, and what sort of failure it is."""

    code: str
    message: str
    hint: str
    kind: str = FAILED
    facts: Mapping[str, object] = {}


class Call(NamedTuple):
    """Asks for an operation; `deadline_s` counts from when the server reads it, None for no deadline."""

    id: int
    operation: str
    args: object
    deadline_s: float | None


class Cancel(NamedTuple):
    """The caller no longer wants the answer to this call."""

    id: int


class Reply(NamedTuple):
    """The last word on a call: a failure, or the result (nil after a stream)."""

    id: int
    failure: Failure | None
    result: object


class Item(NamedTuple):
    """One value of a streaming call."""

    id: int
    value: object


class Close(NamedTuple):
    """The server's reason for closing the connection."""

    failure: Failure


ToServer: TypeAlias = Call | Cancel
ToClient: TypeAlias = Reply | Item | Close


def failure_of(error: NzError) -> Failure:
    """What a refusal or failure of ours says on the wire; an error of the caller's counts as bad usage."""
    kind = _KIND_OF_CODE.get(error.code, USAGE if isinstance(error, UsageError) else FAILED)
    return Failure(error.code, error.message, error.hint, kind, error.facts)


def encode_call(call: Call) -> bytes:
    meta = {} if call.deadline_s is None else {"deadline_s": call.deadline_s}
    return frames.pack([REQUEST, call.id, call.operation, [call.args, meta]])


def encode_cancel(call_id: int) -> bytes:
    return frames.pack([NOTIFICATION, CANCEL, [call_id]])


def encode_result(call_id: int, result: object) -> bytes:
    return frames.pack([RESPONSE, call_id, None, result])


def encode_failure(call_id: int, failure: Failure) -> bytes:
    return frames.pack([RESPONSE, call_id, _failure_map(failure), None])


def encode_item(call_id: int, value: object) -> bytes:
    return frames.pack([NOTIFICATION, ITEM, [call_id, value]])


def encode_close(failure: Failure) -> bytes:
    return frames.pack([NOTIFICATION, CLOSE, [_failure_map(failure)]])


class ServerWire:
    """The server's ear: bytes of one client into calls and cancels, in order."""

    def __init__(self, *, max_bytes: int = limits.MESSAGE_BYTES) -> None:
        self._reader = frames.MessageReader(max_bytes=max_bytes)

    def receive(self, data: bytes) -> list[ToServer]:
        """*Raises* PeerError `ipc.bad-message` or `codec.*`; the connection is then beyond repair."""
        return [self._read(message) for message in self._reader.feed(data)]

    def _read(self, message: object) -> ToServer:
        match _numbered(message):
            case [0, int(call_id), str(operation), [args, dict(meta)]]:
                if not operation or len(operation) > MAX_OPERATION:
                    raise PeerError("ipc.bad-message", "an operation's name is 1 to 64 characters")
                return Call(_id(call_id), operation, args, _deadline(meta))
            case [2, "cancel", [int(call_id)]]:
                return Cancel(_id(call_id))
            case _:
                raise PeerError("ipc.bad-message")


class ClientWire:
    """The client's ear: bytes of the server into items, replies and the reason of a close, in order."""

    def __init__(self, *, max_bytes: int = limits.MESSAGE_BYTES) -> None:
        self._reader = frames.MessageReader(max_bytes=max_bytes)

    def receive(self, data: bytes) -> list[ToClient]:
        """*Raises* PeerError `ipc.bad-message` or `codec.*`; the connection is then beyond repair."""
        return [self._read(message) for message in self._reader.feed(data)]

    def _read(self, message: object) -> ToClient:
        match _numbered(message):
            case [1, int(call_id), None, result]:
                return Reply(_id(call_id), None, result)
            case [1, int(call_id), dict(error), None]:
                return Reply(_id(call_id), _failure(error), None)
            case [2, "item", [int(call_id), value]]:
                return Item(_id(call_id), value)
            case [2, "close", [dict(error)]]:
                return Close(_failure(error))
            case _:
                raise PeerError("ipc.bad-message")


def _numbered(message: object) -> list[object]:
    """The message, if it begins with an integer: `false` and `0.0` equal 0 and would pass for a request."""
    if not isinstance(message, list) or not message or type(message[0]) is not int:
        raise PeerError("ipc.bad-message")
    return message


def _id(value: int) -> int:
    if isinstance(value, bool) or not 0 <= value <= MAX_ID:
        raise PeerError("ipc.bad-message", "a call's id is 0 to 2^32 - 1")
    return value


def _deadline(meta: Mapping[object, object]) -> float | None:
    """Unknown keys are left for later versions; a deadline beyond a day is cut to a day."""
    value = meta.get("deadline_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise PeerError("ipc.bad-message", "a deadline is a positive number of seconds")
    return float(min(value, MAX_DEADLINE_S))


def _failure(error: Mapping[object, object]) -> Failure:
    code, kind, facts = error.get("code"), error.get("kind", FAILED), error.get("facts", {})
    message, hint = error.get("message"), error.get("hint", "")
    if not (isinstance(code, str) and isinstance(message, str) and isinstance(hint, str) and isinstance(facts, dict)):
        raise PeerError("ipc.bad-message", "an error is a map of code, message and hint")
    if not code or len(code) > MAX_CODE:
        raise PeerError("ipc.bad-message", "an error's code is 1 to 64 characters")
    named = {name: value for name, value in facts.items() if isinstance(name, str)}
    known = kind if isinstance(kind, str) and kind in KINDS else FAILED
    return Failure(code, message[:MAX_SENTENCE], hint[:MAX_SENTENCE], known, named)


def _failure_map(failure: Failure) -> dict[str, object]:
    told: dict[str, object] = {
        "code": failure.code,
        "message": failure.message[:MAX_SENTENCE],
        "hint": failure.hint[:MAX_SENTENCE],
        "kind": failure.kind,
    }
    if failure.facts:
        told["facts"] = dict(failure.facts)
    return told
